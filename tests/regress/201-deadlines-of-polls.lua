-- 201: casting.poll did not end at the deadline of a with_timeout around it.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local function outcome(...)
  local t = helper.pack(casting.with_timeout(...))
  return table.concat({tostring(t[1]), tostring(t[2])}, " ")
end

assert(outcome(0.05, casting.poll, helper.LONG) == "nil timeout")
assert(outcome(0.05, casting.poll, math.huge) == "nil timeout")
assert(outcome(0.05, function()
  return pcall(casting.poll, helper.LONG)
end) == "nil timeout")

-- Its own timeout remains what it is.
assert(outcome(helper.LONG, casting.poll, 0.01) == "true false")
assert(casting.poll(0.01) == false)

-- The inner of two deadlines; and a shield keeps the outer one off for a while.
assert(outcome(helper.LONG, function()
  return casting.with_timeout(0.01, casting.poll, helper.LONG)
end) == "true nil")
local shielded
assert(outcome(0.01, function()
  casting.shield(function() shielded = casting.poll(0.1) end)
  casting.poll(helper.LONG)
end) == "nil timeout")
assert(shielded == false)
assert(outcome(0.01, function()
  casting.shield(casting.poll, helper.LONG)
end) == "nil timeout")

-- Tasks run meanwhile, and later polls go on.
local n = 0
local ticks = casting.spawn(function()
  for _ = 1, 3 do
    casting.sleep(0.01)
    n = n + 1
  end
end)
assert(outcome(0.01, function()
  while true do casting.poll(helper.LONG) end
end) == "nil timeout")
while ticks:status() ~= "done" do assert(casting.poll(helper.LONG)) end
assert(n == 3)
