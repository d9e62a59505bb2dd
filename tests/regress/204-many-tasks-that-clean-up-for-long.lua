-- 204: Each task of a sandbox that had used up its processor time, or was to
-- be closed, had a time for clean-up of its own. So many tasks had many times
-- that: nine hundred used seven seconds more, and closing gave up. They share
-- a second now.
-- uncollected: it is about time.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
casting.on_error(casting.channel(math.huge)) -- they fail on purpose

local TASKS = 900
local source = [[
  local c = require "casting"
  local n, spin = ...
  local function stay()
    pcall(c.sleep, 1000)
    while true do
      pcall(function() while true do os.time() end end)
    end
  end
  for _ = 2, n do c.spawn(stay) end
  c.yield()
  while spin do os.time() end
  c.sleep(1000)
]]

-- Processor time, beyond a limit of 0.3 s. On LuaJIT, too: nothing is compiled
-- in a sandbox with a limit.
local before = os.clock() -- processor time of all threads
local box = casting.session {sandbox = true, memory = 2e7, cpu = 0.3}
local task = box:spawn(source, TASKS, true)
assert(task:join(60) == false)
assert(box:close(60))
local used = os.clock() - before
assert(used < 4, "the tasks used " .. used .. " s")

-- Closing: what computes is asked to end at once.
box = casting.session {sandbox = true, memory = 2e7, cpu = 1000}
box:spawn(source, TASKS, false)
while box:stats().tasks < TASKS do casting.yield() end
before = os.clock()
assert(box:close(60))
used = os.clock() - before
assert(used < 4, "closing took " .. used .. " s")
