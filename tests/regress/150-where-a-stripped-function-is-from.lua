-- 150: a function without debug information that has upvalues and came for the
-- second time was from "casting", in tracebacks and errors.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local load = loadstring or load -- luacheck: ignore

local function make()
  local a = 1
  return function() return a + nil end
end
local f = assert(load(string.dump(make(), true)))
debug.setupvalue(f, 1, 1)
local source = debug.getinfo(f, "S").source
local _, message = pcall(f)
local ch = casting.channel(1)
for _ = 1, 4 do
  ch:send(f)
  local g = ch:receive()
  assert(debug.getinfo(g, "S").source == source)
  assert(select(2, pcall(g)) == message)
end
