-- busted.lua - runs busted under whichever interpreter runs this file, so that
-- the choice of the version does not depend on how `busted` was installed.
-- SPDX-License-Identifier: MIT
--
-- Lua 5.5 has no busted yet (libraries of it assign to loop variables, which
-- 5.5 forbids): there a small stand-in runs the same specs.
if _VERSION == "Lua 5.5" and not pcall(require, "busted.runner") then
  dofile "tools/minibusted.lua"
else
  require "busted.runner" { standalone = false }
end
