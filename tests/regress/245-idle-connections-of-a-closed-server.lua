-- 245: When memory failed as http.serve closed the connections that waited for
-- a request, because its listener was closed, the others stayed open until they
-- had been idle for long enough, and it waited for them.
-- SPDX-License-Identifier: MIT
local helper = require "helper"
local has_http, http = pcall(require, "casting.http")
if not has_http then return end
local casting = require "casting"
local LONG = helper.LONG
casting.on_error(casting.channel(math.huge))

local listener = assert(casting.net.listen("127.0.0.1", 0))
local server = casting.spawn(http.serve, listener, function() end,
  {idle = 10 * LONG, header = 10 * LONG})
local _, port = listener:name()
local clients = {}
for i = 1, 3 do
  local stream = assert(casting.net.connect("127.0.0.1", port))
  assert(stream:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
  assert(stream:read_until("\r\n\r\n", 9999, LONG))
  clients[i] = stream
end
casting.yield() -- they wait for the next one

-- What memory that fails does.
local methods = getmetatable(clients[1]).__index
local close, failures = methods.close, 2
function methods.close(stream)
  if failures > 0 then
    failures = failures - 1
    error("not enough memory", 0)
  end
  return close(stream)
end
listener:close()
for i = 1, 3 do
  local got, why = clients[i]:read(1, LONG)
  assert(got == nil and why == "closed", why)
end
methods.close = close
assert(failures == 0)
assert(server:join(LONG))
for i = 1, 3 do clients[i]:close() end
