-- 156: A wait was ended by an event that was not enough, and its deadline
-- passed before its task had its turn: then the wait went on without one.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local a, b = casting.net.pair()
local reads = casting.channel()
local task = casting.session():spawn(function(a, reads)
  local c = require "casting"
  local reader = c.spawn(function() return a:read(2, 0.02) end)
  c.sleep(0.005)
  reads:send(true)
  -- The event and the deadline come meanwhile.
  local till = c.now() + 0.05
  while c.now() < till do c = c end
  return reader:join(10)
end, a, reads)
reads:receive()
b:write "x" -- one byte of two
local ok, got, why = task:await()
assert(ok == true and got == nil and why == "timeout",
  ("%s, %s, %s"):format(tostring(ok), tostring(got), tostring(why)))
