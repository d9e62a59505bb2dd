-- net.lua - casting.net of the build of casting that fits the interpreter.
-- SPDX-License-Identifier: MIT
--
-- Lua 5.1 and LuaJIT share a directory: casting.lua beside it chooses.
return require("casting").net
