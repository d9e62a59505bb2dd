-- 105: LuaJIT: a task that waited was lost when more than twenty values came:
-- while room was made for them on its stack it became one that did not begin.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local unpack = table.unpack or unpack -- luacheck: ignore
local values = {}
for i = 1, 45 do values[i] = i % 10 end
local ch = casting.channel()
local function count(ch) return select("#", ch:receive()) end
local here = casting.spawn(count, ch)
casting.yield()
ch:send(unpack(values))
local ok, n = here:join(20)
assert(ok and n == 45, tostring(n))
local session = casting.session()
local there = session:spawn(count, ch)
ch:send(unpack(values))
assert(there:await(20) == 45)
session:close()
