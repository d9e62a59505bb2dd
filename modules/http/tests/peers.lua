-- peers.lua - servers that say what a test wants, byte for byte.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local http = require "casting.http"
local net = casting.net
local LONG = helper.LONG

local peers = {}

local open = {}

-- What is closed at the end of a test.
function peers.keep(v)
  open[#open + 1] = v
  return v
end

function peers.close()
  for i = #open, 1, -1 do
    pcall(open[i].close, open[i])
    open[i] = nil
  end
end

-- A listener that serves f(stream, n) for each connection: where it listens,
-- its port, and itself.
function peers.listen(f, tls)
  local listener = peers.keep(assert(net.listen("127.0.0.1", 0, {tls = tls})))
  local n = 0
  casting.spawn(function()
    listener:serve(function(stream)
      n = n + 1
      f(stream, n)
    end)
  end)
  local _, port = listener:name()
  return ("http://127.0.0.1:%d"):format(port), port, listener
end

-- The next request on a connection, and its body; nil: there is none.
function peers.hear(stream)
  local head = stream:read_until("\r\n\r\n", nil, LONG)
  if not head then return nil end
  local body = ""
  local length = head:match "\r\nContent%-Length: (%d+)"
  if length then body = stream:read(tonumber(length), LONG) end
  if head:find("\r\nTransfer-Encoding: chunked", 1, true) then
    body = stream:read_until("0\r\n\r\n", nil, LONG)
  end
  return head, body
end

-- A server that answers the requests of the nth connection with the texts of
-- the nth list, one after the other, and then closes it; "hold" at the end of a
-- list has it wait for the client. Further connections are as the last one.
-- Returns where it is, and a list of the requests.
function peers.script(...)
  local connections, seen = {...}, {}
  local base, port, listener = peers.listen(function(stream, n)
    local texts = connections[math.min(n, #connections)]
    for i = 1, #texts do
      local head, body = peers.hear(stream)
      if not head then return end
      if texts[i] == "hold" then return end
      seen[#seen + 1] = {head = head, body = body, connection = n}
      stream:write(texts[i])
    end
  end)
  return base, seen, port, listener
end

-- A response with that body and lines of a header.
function peers.answer(body, lines, status)
  return "HTTP/1.1 " .. (status or "200 OK") .. "\r\n" .. (lines or "") ..
    "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

-- A server of casting's: where it is.
function peers.serve(handler, options)
  local listener = peers.keep(assert(net.listen("127.0.0.1", 0)))
  casting.spawn(http.serve, listener, handler, options)
  local _, port = listener:name()
  return ("http://127.0.0.1:%d"):format(port), listener
end

function peers.client(options)
  return peers.keep(http.client(options))
end

return peers
