-- 186: getstats of a socket of casting.socket that was closed counted bytes
-- that had come, and that nobody had received.
-- SPDX-License-Identifier: MIT

require("casting.socket").install()
local socket = require "socket.core"

local server = assert(socket.tcp4())
assert(server:bind("127.0.0.1", 0))
assert(server:listen())
local _, port = server:getsockname()
local a = assert(socket.connect("127.0.0.1", port))
local b = assert(server:accept())
assert(a:send("0123456789"))
assert(b:receive(4) == "0123")
assert(b:getstats() == 4)
b:close()
assert(b:getstats() == 4)
b:setfd(-1)
assert(b:getstats() == 4)
a:close()
server:close()
