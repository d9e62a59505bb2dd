-- 213: a session looks at its timers after 128 resumptions of its tasks, and
-- where each of these took 2 ms, a task that slept for 5 ms slept for 256. The
-- same with tasks that read a file whose pieces lie in memory.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function check()
  local casting = require "casting"
  local woken, turns = false, 0
  local function compute()
    while not woken and turns < 200 do
      local until_then = casting.now() + 0.002
      while casting.now() < until_then do end
      turns = turns + 1
      casting.yield()
    end
  end
  local tasks = {casting.spawn(compute), casting.spawn(compute)}
  casting.sleep(0.005)
  woken = true
  for i = 1, 2 do tasks[i]:await() end
  return turns
end

-- A quiet machine needs four of them; a busy one may need some more.
local turns = casting.session():spawn(check):await()
assert(turns < 60, ("woken after %d turns of 2 ms"):format(turns))
