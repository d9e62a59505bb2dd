-- 182: a program closed a stream's descriptor behind its back, and the number
-- became that of an event of casting's own. The stream's close then closed that
-- one, and the process was aborted when it waited next.
-- still: the main program has not waited yet.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local found, processes = pcall(require, "processes") -- tests/modules
if not found then return end
local net = require "casting.net"

-- The main program has not waited yet, so it has no event.
local a, b = assert(net.pair())
local number = a:fd()
processes.close(number)
assert(select(2, b:read("l", 0.001)) ~= nil) -- now it has
a:close() -- was it open? Its number is another file's
local session = casting.session()
local task = session:spawn(function()
  require "casting".sleep(0.01)
  return "woken"
end)
assert(task:await(20) == "woken")
local c, d = assert(net.pair())
assert(c:fd() ~= number and d:fd() ~= number)
session:close()
