-- plain.lua - HTTP in plain Lua, for servers on libraries that have none.
-- SPDX-License-Identifier: MIT
--
-- What a small program of its own would do: it reads the first line and the
-- fields of a request, and answers with the fields that others send, too. A
-- body is no part of it.

local plain = {}

-- A request of its head: a table; or nil, it is malformed.
function plain.parse(head)
  local method, target, minor, start =
    head:match "^(%u+) (%S+) HTTP/1%.(%d)\r\n()"
  if not method then return nil end
  local headers = {}
  for name, value in head:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)\r\n", start) do
    headers[name:lower()] = value
  end
  local said = (headers.connection or ""):lower()
  return {method = method, target = target, headers = headers,
    path = target:match "^[^?]*",
    keeps = said ~= "close" and (minor ~= "0" or said == "keep-alive")}
end

local date, at

-- A response. The date is that of the second.
function plain.response(status, body)
  local now = os.time()
  if now ~= at then
    at, date = now, os.date("!%a, %d %b %Y %H:%M:%S GMT", now)
  end
  return "HTTP/1.1 " .. status .. "\r\nDate: " .. date ..
    "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " ..
    #body .. "\r\n\r\n" .. body
end

-- What a request is answered with, and whether the connection goes on.
function plain.answer(head)
  local request = plain.parse(head)
  if not request or not request.headers.host then
    return plain.response("400 Bad Request", "malformed\n"), false
  end
  return plain.response("200 OK", "Hello, World!"), request.keeps
end

return plain
