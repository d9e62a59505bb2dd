-- 194: When a session of a sandbox had closed, all its channels that might hold
-- themselves were locked while they were looked through. A timer of one of them
-- then waited, and with it all timers of the process.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local LONG = helper.LONG
local n = math.ceil(200000 / helper.slow)

-- The longest time between two ticks of another session while a sandbox closes.
local function longest_gap()
  local boxed = casting.session{sandbox = true, memory = 400e6}
  boxed:spawn(function(n) -- luacheck: ignore
    local c = require "casting"
    local first = c.channel(1)
    local last = first
    for _ = 1, n do
      local one = c.channel(1)
      one:send(last)
      last = one
    end
    first:send(last)
    for i = 1, 300 do
      local timer = c.after(0.2 + i * 0.01)
      timer:send(timer)
    end
    collectgarbage "stop"
  end, n):await(LONG)
  local other, stop = casting.session(), casting.channel()
  local task = other:spawn(function(stop) -- luacheck: ignore
    local c = require "casting"
    local tick = c.every(0.001)
    local last, worst = c.now(), 0
    while not stop:closed() do
      tick:receive()
      local now = c.now()
      worst = math.max(worst, now - last)
      last = now
    end
    return worst
  end, stop)
  casting.sleep(0.1)
  boxed:close(LONG)
  casting.sleep(0.02)
  stop:close()
  local worst = task:await(LONG)
  other:close(LONG)
  return worst
end

-- The machine may be busy with something else.
local least = math.huge
for _ = 1, 8 do
  least = math.min(least, longest_gap())
  if least < 0.04 then break end
end
assert(least < 0.04 * helper.slow, least)
