-- 183: the system may choose the very port to connect from that is connected
-- to, if nobody listens there (TCP on one machine, ports that it gives away).
-- Such a connection was taken for one, read its own words, and kept the server
-- from listening.
-- SPDX-License-Identifier: MIT
local found, processes = pcall(require, "processes") -- tests/modules
if not found then return end
local helper = require "helper"
local net, sockets = require "casting.net", helper.internal().sockets

for _, host in ipairs {"127.0.0.1", "::1"} do
  local listener = net.listen(host, 0)
  if listener then -- this machine has the family
    local _, port = listener:name()
    listener:close()
    local stream = assert(sockets.socket(host, port))
    assert(processes.bind(stream:fd(), port)) -- as the system might choose
    local ok, why = sockets.connect(stream, host, port, 20, 1)
    assert(not ok and why == "connection refused", tostring(why))
    assert(select(2, stream:read "l") == "closed")
    listener = assert(net.listen(host, port))
    local client = assert(net.connect(host, port, {timeout = 20}))
    client:close()
    listener:close()
  end
end
