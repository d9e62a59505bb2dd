-- wskit.lua - websockets in raw bytes, for the specs: frames that are written
-- and read by hand, with whatever is wrong in them.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local http = require "casting.http"
local net = require "casting.net"

local kit = {}
local LONG = helper.LONG

-- -- what is closed at the end of a test --------------------------------------

local open = {}

function kit.keep(v)
  open[#open + 1] = v
  return v
end

function kit.close_all()
  for i = #open, 1, -1 do
    pcall(open[i].abort or open[i].close, open[i])
    open[i] = nil
  end
end

-- -- masks --------------------------------------------------------------------

-- Lua 5.1 has no operators for bits. xor[a * 16 + b], of half bytes.
local xor = {}
for a = 0, 15 do
  for b = 0, 15 do
    local r, x, y, bit = 0, a, b, 1
    while bit < 16 do
      if x % 2 ~= y % 2 then r = r + bit end
      x, y, bit = (x - x % 2) / 2, (y - y % 2) / 2, bit * 2
    end
    xor[a * 16 + b] = r
  end
end

local function xor_bytes(a, b)
  local al, bl = a % 16, b % 16
  return xor[a - al + (b - bl) / 16] * 16 + xor[al * 16 + bl]
end

-- For each byte of a mask a table: a character -> the same, masked.
local maps = {}
local function map_of(byte)
  local map = maps[byte]
  if not map then
    map = {}
    for c = 0, 255 do
      map[string.char(c)] = string.char(xor_bytes(c, byte))
    end
    maps[byte] = map
  end
  return map
end

function kit.mask(s, mask)
  if mask == "\0\0\0\0" then return s end
  local a, b = map_of(mask:byte(1)), map_of(mask:byte(2))
  local c, d = map_of(mask:byte(3)), map_of(mask:byte(4))
  return (s:gsub("(.)(.?)(.?)(.?)", function(w, x, y, z)
    return a[w] .. (b[x] or "") .. (c[y] or "") .. (d[z] or "")
  end))
end

-- -- frames -------------------------------------------------------------------

local function big_endian(n, size)
  local bytes = {}
  for i = size, 1, -1 do
    bytes[i] = string.char(n % 256)
    n = (n - n % 256) / 256
  end
  return table.concat(bytes)
end

-- A frame. `o`: fin (false: a fragment), rsv (0 to 7), mask (four bytes; false:
-- none), size (bytes of the length: 0, 2 or 8), length (another one).
function kit.frame(opcode, payload, o)
  o = o or {}
  local n = o.length or #payload
  local size = o.size or (n < 126 and 0 or n < 65536 and 2 or 8)
  local first = (o.fin == false and 0 or 128) + (o.rsv or 0) * 16 + opcode
  local second = (size == 0 and n or size == 2 and 126 or 127) +
    (o.mask and 128 or 0)
  return string.char(first, second) .. big_endian(n, size) ..
    (o.mask and o.mask .. kit.mask(payload, o.mask) or payload)
end

function kit.code(n) return big_endian(n, 2) end

-- The next frame of a stream: opcode, payload, and a table with fin, rsv and
-- masked; or nil and why.
function kit.read(stream)
  local two, why = stream:read(2, LONG)
  if not two then return nil, why end
  local first, second = two:byte(1, 2)
  local masked = second >= 128
  local n = second % 128
  if n >= 126 then
    local bytes = assert(stream:read(n == 126 and 2 or 8, LONG))
    n = 0
    for i = 1, #bytes do n = n * 256 + bytes:byte(i) end
  end
  local mask = masked and assert(stream:read(4, LONG))
  local payload = n == 0 and "" or assert(stream:read(n, LONG))
  return first % 16, masked and kit.mask(payload, mask) or payload,
    {fin = first >= 128, rsv = (first - first % 16) / 16 % 8, masked = masked,
      mask = mask}
end

-- What a frame says, in a word.
function kit.tell(opcode, payload, how)
  if not opcode then return "no frame: " .. tostring(payload) end
  local names = {[1] = "text", [2] = "binary", [8] = "close", [9] = "ping",
    [10] = "pong"}
  local name = names[opcode] or tostring(opcode)
  if not how.fin then name = name .. " (fragment)" end
  if how.rsv > 0 then name = name .. " (rsv " .. how.rsv .. ")" end
  if opcode ~= 8 then return name .. " " .. payload end
  if #payload < 2 then return name .. " " .. payload end
  local high, low = payload:byte(1, 2)
  return ("%s %d"):format(name, high * 256 + low)
end

-- All frames to the end, as a list of words. `ends`: behind a frame of close
-- this side ends the connection, as a server does.
function kit.read_all(stream, ends)
  local list = {}
  while true do
    local opcode, payload, how = kit.read(stream)
    if not opcode then
      list[#list + 1] = payload ~= "closed" and payload or nil
      return list
    end
    list[#list + 1] = kit.tell(opcode, payload, how)
    if ends and opcode == 8 then stream:shutdown() end
  end
end

-- -- handshakes ---------------------------------------------------------------

kit.KEY = "dGhlIHNhbXBsZSBub25jZQ=="
kit.ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

-- The head of a question. `fields`: others, or others instead; false: not.
function kit.question(fields, line)
  local all = {Host = "x", Upgrade = "websocket", Connection = "Upgrade",
    ["Sec-WebSocket-Key"] = kit.KEY, ["Sec-WebSocket-Version"] = "13"}
  for k, v in pairs(fields or {}) do all[k] = v end
  local lines = {line or "GET /chat HTTP/1.1"}
  for k, v in pairs(all) do
    if v then lines[#lines + 1] = k .. ": " .. v end
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- Connects, and asks for a websocket. Returns the stream, and the head of the
-- answer.
function kit.ask(port, fields, line)
  local stream = kit.keep(assert(net.connect("127.0.0.1", port)))
  stream:write(kit.question(fields, line))
  return stream, stream:read_until("\r\n\r\n", 65536, LONG)
end

-- The head of an answer to the key of `question`.
function kit.answer(question, fields, line)
  local key = question:match "Sec%-WebSocket%-Key: (%S+)"
  local all = {Upgrade = "websocket", Connection = "Upgrade",
    ["Sec-WebSocket-Accept"] = require("casting.http.core").accept(key)}
  for k, v in pairs(fields or {}) do all[k] = v end
  local lines = {line or "HTTP/1.1 101 Switching Protocols"}
  for k, v in pairs(all) do
    if v then lines[#lines + 1] = k .. ": " .. v end
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- -- the other side is ours ---------------------------------------------------

function kit.echo(ws)
  for message, kind in ws do ws:send(message, kind) end
end

-- A server whose handler calls f(ws, request). Returns its port, the task, the
-- listener.
function kit.serve(f, options, serving)
  local listener = kit.keep(assert(net.listen("127.0.0.1", 0)))
  local task = casting.spawn(http.serve, listener, function(request)
    local ws = request:websocket(options)
    if ws then return f(ws, request) end
  end, serving)
  return select(2, listener:name()), task, listener
end

-- A raw client of a server of ours: a stream behind the handshake.
function kit.client_of(f, options, fields, serving)
  local port, task, listener = kit.serve(f, options, serving)
  local stream, head = kit.ask(port, fields)
  assert(head and head:find("^HTTP/1%.1 101 "), head)
  return stream, task, listener, head
end

-- A raw server of a client of ours, for which f(ws) is called in a task.
-- Returns the stream, the task, and the head of the question. `answer` is the
-- head that is answered, or a function that makes it of the question.
function kit.server_of(f, options, answer)
  local listener = kit.keep(assert(net.listen("127.0.0.1", 0)))
  local _, port = listener:name()
  local task = casting.spawn(function()
    local ws, why, status =
      http.websocket(("ws://127.0.0.1:%d/chat?a=b"):format(port), options)
    if not ws then return nil, why, status end
    return f(ws)
  end)
  local stream = kit.keep(assert(listener:accept(LONG)))
  local question = assert(stream:read_until("\r\n\r\n", 65536, LONG))
  if type(answer) == "function" then answer = answer(question) end
  stream:write(answer or kit.answer(question))
  return stream, task, question
end

-- A client and a server of ours, both websockets here; and the listener and its
-- task. The handler returns at the end of the test.
function kit.pair(options, theirs)
  local done, arrived = kit.keep(casting.channel()), casting.channel(1)
  local there
  local port, task, listener = kit.serve(function(other)
    there = other
    arrived:send(true)
    done:receive()
  end, theirs)
  local ws = assert(http.websocket("ws://127.0.0.1:" .. port, options))
  kit.keep(ws.stream)
  assert(arrived:receive(LONG))
  return ws, there, listener, task
end

-- What a websocket receives, in a word.
function kit.said(ws, ...)
  local message, kind = ws:receive(...)
  return tostring(message) .. " " .. tostring(kind)
end

return kit
