-- 067: a table lost its metatable while its content was packed (a __save took
-- it away; so may a finalizer, or another task while that waits): what lay on
-- the stack was taken for it.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local saved = 0
local function thief(victim)
  return setmetatable({}, {__save = function()
    saved = saved + 1
    setmetatable(victim, nil)
    return function() return "loot" end
  end})
end

local function roundtrip(...)
  local ch = casting.channel(1)
  ch:send(...)
  return ch:receive()
end

for _ = 1, 3 do
  local victim = setmetatable({}, {__len = function() return 7 end})
  victim.inner = thief(victim)
  local v, after = roundtrip(victim, "after")
  assert(v.inner == "loot" and getmetatable(v) == nil and after == "after")
  -- Deeper, and with a metatable that has a finalizer.
  local meta = {__gc = function() end}
  local outer = setmetatable({}, meta)
  meta.outer = outer
  outer.list = {1, {thief(outer)}, 3}
  v, after = roundtrip({outer, outer}, "after")
  assert(v[1] == v[2] and v[1].list[2][1] == "loot" and after == "after")
end
assert(saved > 3)
