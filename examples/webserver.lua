-- webserver.lua - a web server of ten lines, which README.md shows.
-- SPDX-License-Identifier: MIT
--
-- What it shows: a handler is a function that is called for each request, in a
-- task of its connection. It runs in four sessions, so on as many processors.
--
-- How to run it, on port 8080 or another one; Ctrl-C ends it:
--   ./dev run examples/webserver.lua [PORT]
--   curl 'http://127.0.0.1:8080/?name=Ann'

local http = require "casting.http"
local net = require "casting.net"

local listener = assert(net.listen("127.0.0.1", tonumber(arg[1]) or 8080))
print(("http://%s:%d/?name=you"):format(listener:name()))

http.serve(listener, function(request, response)
  local name = request.query.name or "world"
  response:write("Hello, " .. name .. "!\n")
end, {sessions = 4})
