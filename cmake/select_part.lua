-- fs.lua, net.lua, process.lua - a part of the build of casting that fits the
-- interpreter.
-- SPDX-License-Identifier: MIT
--
-- Lua 5.1 and LuaJIT share a directory: casting.lua beside it chooses. `require`
-- calls this with the part's name.
local name = ...
return require("casting")[name:match "[^.]*$"]
