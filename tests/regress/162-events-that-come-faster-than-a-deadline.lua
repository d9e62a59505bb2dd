-- 162: A deadline never ended a call of the main program's state that was woken
-- again and again, as by a peer that always sends: the thread asked for events
-- before it looked at its deadlines, and each event had the call wait anew.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local net = require "casting.net"

local listener = assert(net.listen("127.0.0.1", 0))
local a = assert(net.connect(listener:name()))
local b = assert(listener:accept(10))
listener:close()

-- What is copied from the one end to the other comes back to the first.
b:write "hello"
local task = casting.spawn(function()
  return casting.with_timeout(0.02, a.copy, a, b)
end)
local ok, in_time = task:join(10)
if ok == nil then
  io.stderr:write "the deadline did not end it\n"
  os.exit(1)
end
assert(ok and not in_time)
a:close()
b:close()
