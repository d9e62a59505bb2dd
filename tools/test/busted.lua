-- busted.lua - runs busted under whichever interpreter runs this file, so that
-- the choice of the version does not depend on how `busted` was installed.
-- SPDX-License-Identifier: MIT
--
-- Where there is no busted (Lua 5.5, which its libraries do not run on, or a
-- Lua that was built for another processor) a small stand-in runs the specs.
if not pcall(require, "busted.runner") then
  dofile "tools/test/minibusted.lua"
else
  require "busted.runner" { standalone = false }
end
