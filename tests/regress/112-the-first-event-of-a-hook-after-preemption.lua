-- On 5.2 to 5.5 a debug hook that a function set after it had been preempted
-- missed its first event: Lua took that for the one in which it had yielded.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

casting.threads(1, 1)
local other = casting.session()
local stop = casting.channel()
other:spawn(function(stop)
  local casting = require "casting"
  while not stop:closed() do casting.yield() end
end, stop)

local session = casting.session {jit = false}
local lines, events, turns = session:spawn(function()
  local casting, debug = require "casting", require "debug"
  local lines, events, turns, sum = 0, 0, 0, 0
  local coroutines = coroutine.wrap(function()
    while true do
      local started, x = casting.now(), 0
      -- More than one slice, in this very function.
      while casting.now() - started < 0.03 do
        for i = 1, 1000 do x = x + i end
      end
      local seen = 0
      debug.sethook(function() seen = seen + 1 end, "l")
      x = x + 1
      x = x + 1
      debug.sethook()
      coroutine.yield(seen, x)
    end
  end)
  for _ = 1, 5 do
    events = events + coroutines()
    turns = turns + 1
  end
  -- The same in the task's own coroutine.
  for _ = 1, 5 do
    local started, x = casting.now(), 0
    while casting.now() - started < 0.03 do
      for i = 1, 1000 do x = x + i end
    end
    debug.sethook(function() lines = lines + 1 end, "l")
    x = x + 1
    x = x + 1
    debug.sethook()
    sum = sum + x
  end
  return lines, events, turns, sum
end):await(60)
stop:close()
assert(turns == 5)
assert(lines == 15, lines .. " lines in the task")
assert(events == 15, events .. " lines in a coroutine")
