-- 155: A report said of a main program that it had begun to wait just now, for
-- its time was taken anew whenever its thread had slept.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local ch = casting.channel()
casting.session():spawn(function(c)
  local inner = require "casting"
  inner.sleep(0.4)
  c:send(inner.report(0))
end, ch)
local report = ch:receive()
local seconds = tonumber(report:match "main program: [^\n]-for ([%d.]+) s")
assert(seconds and seconds >= 0.2, report)
