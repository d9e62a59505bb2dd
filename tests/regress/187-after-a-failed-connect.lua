-- 187: a client of casting.socket that had never been connected said "closed"
-- when it received, where LuaSocket says what the system says. One that had
-- been refused could not connect when it tried again: it did every other time.
-- SPDX-License-Identifier: MIT

require("casting.socket").install()
local socket = require "socket.core"

local never = "Transport endpoint is not connected"
local function receive(expected, c, ...)
  local data, why, part = c:receive(...)
  assert(data == nil and why == expected and part == "", why)
end

local server = assert(socket.tcp4())
assert(server:bind("127.0.0.1", 0))
local _, port = server:getsockname()

local c = assert(socket.tcp4())
assert(not c:connect("127.0.0.1", "no such service"))
for _ = 1, 2 do
  receive(never, c)
  receive(never, c, 5)
  receive(never, c, "*a")
  c:settimeout(0)
end
c:close()
receive("closed", c)

c = assert(socket.tcp())
for _ = 1, 3 do
  local ok, why = c:connect("127.0.0.1", port)
  assert(not ok and why == "connection refused", why)
  receive("closed", c)
end
assert(server:listen())
assert(c:connect("127.0.0.1", port))
assert(c:send("there\n"))
assert(server:accept():receive() == "there")
c:close()

-- The system gives up a connection that was under way; that is no end of it.
c = assert(socket.tcp())
c:settimeout(0)
server:close()
assert(not c:connect("127.0.0.1", port))
socket.select(nil, {c}, 10)
receive("connection refused", c)
receive("closed", c)
assert(not c:connect("127.0.0.1", port))
receive(never, c)
c:close()
