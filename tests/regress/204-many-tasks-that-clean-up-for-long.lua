-- 204: Each task of a sandbox that had used up its processor time, or was to
-- be closed, had a time for clean-up of its own. So many tasks had many times
-- that: nine hundred used seven seconds more, and closing gave up. They share
-- a second now.
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

local function used(box) return box:stats().cpu or 0 end

-- Processor time, beyond a limit of 0.3 s. On LuaJIT, too: nothing is compiled
-- in a sandbox with a limit.
local box = casting.session {sandbox = true, memory = 2e7, cpu = 0.3}
local task = box:spawn(source, TASKS, true)
assert(task:join(60) == false)
assert(box:close(60))
assert(used(box) < 4, "the tasks used " .. used(box) .. " s")

-- Closing: what computes is asked to end at once.
box = casting.session {sandbox = true, memory = 2e7, cpu = 1000}
task = box:spawn(source, TASKS, false)
while box:stats().tasks < TASKS do casting.yield() end
local before = used(box)
assert(box:close(60))
assert(used(box) - before < 4, "closing took " .. used(box) .. " s")
