-- rfckit.lua - a server asked byte for byte, a client told byte for byte, and a
-- list of what must be so.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local net = require "casting.net"
local peers = require "peers"
local answer, client, keep = peers.answer, peers.client, peers.keep
local LONG = helper.LONG

local kit = {}

local HOST = "Host: x\r\n"
kit.HOST = HOST
-- A request that stands behind another one.
kit.BEHIND = "GET /behind HTTP/1.1\r\n" .. HOST .. "\r\n"

function kit.port_of(base) return tonumber(base:match ":(%d+)$") end

function kit.of_get(lines) return "GET / HTTP/1.1\r\n" .. lines .. "\r\n" end

function kit.of_post(lines, body)
  return "POST / HTTP/1.1\r\n" .. HOST .. lines .. "\r\n" .. body
end

-- A connection to the server at `base`.
function kit.connect(base)
  return keep(assert(net.connect("127.0.0.1", kit.port_of(base))))
end

-- Answers with what it was asked.
function kit.tell(req, res)
  res:write(("%s %s %s"):format(req.method, req.path,
    tostring(req:read "a")))
end

-- All that a server of ours answers to these bytes until it ends the
-- connection, which is its turn.
function kit.answers(text, handler, options)
  local stream = kit.connect(peers.serve(handler or kit.tell, options))
  stream:write(text)
  local all, why, rest = stream:read("a", LONG)
  return all or "(" .. why .. ") " .. (rest or "")
end

-- The same with Connection: close in a GET, behind these lines.
function kit.answers_to(lines, handler)
  return kit.answers(kit.of_get(HOST .. lines .. "Connection: close\r\n"),
    handler)
end

-- The failures of handlers are of no concern from now on.
function kit.hide_failures() casting.on_error(casting.channel(math.huge)) end

function kit.statuses(text)
  local list = {}
  for status in text:gmatch "HTTP/1%.1 (%d+)" do list[#list + 1] = status end
  return table.concat(list, " ")
end

function kit.field(head, name)
  return (head .. "\r\n"):match("\r\n" .. name:gsub("%-", "%%-") ..
    ": ?([^\r]*)")
end

-- What a client of ours makes of a server that says this, and then ends: the
-- response, or nil and why; and the client.
function kit.makes(text, options)
  local c = client()
  local response, why = c:request((peers.script {text}), options)
  return response, why, c
end

-- The head and the body of the request that a client of ours makes, and where.
function kit.asks(options, path)
  local base, seen = peers.script {answer ""}
  assert(client():request(base .. (path or "/"), options))
  return seen[1].head, seen[1].body, base
end

-- A body for a client that comes in pieces.
function kit.pieces(...)
  local list, i = {...}, 0
  return function()
    i = i + 1
    return list[i]
  end
end

-- -- the list -----------------------------------------------------------------

-- A list: must(section, what, f) adds to it.
function kit.list()
  local rules = {}
  return rules, function(section, what, f)
    rules[#rules + 1] = {section, what, f}
  end
end

-- A server answers with that status, closes, and does not take what stands
-- behind for a request.
function kit.refusal(must)
  return function(section, what, request, status)
    must(section, ("a server answers %s with %s, and closes"):format(what,
      status), function()
      assert(kit.statuses(kit.answers(request .. kit.BEHIND)) == status,
        "another status")
    end)
  end
end

return kit
