-- 080-tickers-that-nobody-takes.lua - a ticker set its timer at each period,
-- whether or not anybody had taken the last tick. Twenty thousand of one
-- nanosecond kept the monitor's thread computing for ever, and everybody's
-- sleeps came seconds late.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local slow = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1

local session = casting.session()
local made = casting.channel()
session:spawn(function(made)
  local c = require "casting"
  local keep = {}
  for i = 1, 20000 do keep[i] = c.every(1e-9) end
  made:send(true)
  c.sleep(math.huge)
  return #keep
end, made)
assert(made:receive(20 * slow))
casting.sleep(0.1)

-- Processor time, which a busy machine does not add to.
local before = os.clock()
casting.sleep(1)
local used = os.clock() - before
assert(used < 0.2 * slow, ("used %.3f s in a second of sleep"):format(used))

-- The same of many that end at once: others are not behind them.
local order = casting.channel(math.huge)
local other = casting.session()
session:spawn(function(made, order)
  local c = require "casting"
  local keep = {}
  for i = 1, 20000 do keep[i] = c.after(0) end
  keep[#keep + 1] = c.after(0)
  made:send(true)
  keep[#keep]:receive()
  order:send "flooded"
end, made, order)
other:spawn(function(order)
  local c = require "casting"
  for _ = 1, 20 do c.sleep(0.001) end
  order:send "slept"
end, order)
assert(made:receive(20 * slow))
local got = {}
for _ = 1, 2 do got[order:receive(20 * slow)] = true end
assert(got.flooded and got.slept)
session:close(20 * slow)
other:close(20 * slow)
