-- 177: 5.4 goes through a chain of __call that are tables with a __call without
-- an instruction at which a hook could be called. In a cycle it did so until
-- the stack was full, for minutes, whatever the limits.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local slow = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
local LONG = 100 * slow
local cycle = [[
  local mt = {}
  mt.__call = setmetatable({}, mt)
  while true do pcall(setmetatable({}, mt)) end]]

local function box(limits)
  limits.sandbox, limits.memory = true, 1e8
  return casting.session(limits)
end

-- By the limit of processor time: what it takes until the stack has doubled.
local session = box {cpu = 0.2}
assert(session:spawn(cycle):join(LONG) == false, "it goes on")
assert(session:stats().cpu < 5 * slow, session:stats().cpu)
assert(session:close(LONG))

-- By a cancellation, and when the session closes.
session = box {cpu = math.huge}
local task = session:spawn(cycle)
casting.sleep(0.1)
task:cancel "enough"
assert(task:join(LONG) == false, "it goes on, cancelled")
assert(session:stats().cpu < 5 * slow, session:stats().cpu)
session:spawn(cycle)
casting.sleep(0.1)
assert(session:close(LONG), "it does not close")
