-- rfc6455_spec.lua - each "MUST" of RFC 6455 for servers and clients, by the
-- section where it stands.
-- SPDX-License-Identifier: MIT
--
-- Left out is what binds browsers (the field Origin), intermediaries, authors
-- of extensions and registries; and one rule for clients of 4.1: to wait with a
-- connection while another one to the same address is being made. It protects
-- others from scripts of strangers; a program of ours that makes connections to
-- measure or to mirror something has chosen that.

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local kit = require "wskit"
local http = require "casting.http"
local LONG = helper.LONG
local frame, MASK = kit.frame, "\1\2\3\4"

after_each(kit.close_all)

-- -- tools --------------------------------------------------------------------

-- What a server of ours says to these frames, to the end; `handler` echoes.
local function server_says(all, handler)
  local stream = kit.client_of(handler or kit.echo)
  stream:write(all)
  return kit.read_all(stream)
end

-- The same of a client of ours.
local function client_says(all, f)
  local stream = kit.server_of(f or kit.echo)
  stream:write(all)
  return kit.read_all(stream, true)
end

-- All that a server of ours answers to a question.
local function answer_to(fields, line, options)
  local port = kit.serve(kit.echo, options)
  local stream, head = kit.ask(port, fields, line)
  stream:shutdown()
  return head
end

local function status_of(...)
  return tonumber((answer_to(...) or ""):match "^HTTP/1%.1 (%d+)")
end

-- Why a client of ours does not take an answer for a websocket; nil: it does.
local function refusal(fields, line, options)
  local _, task = kit.server_of(function() return "taken" end, options,
    function(question) return kit.answer(question, fields, line) end)
  local ok, why = task:await(LONG)
  if ok == "taken" then return nil end
  return why
end

local function field(head, name)
  return head:match("\r\n" .. name:gsub("%-", "%%-") .. ": ([^\r]*)")
end

-- -- the list -----------------------------------------------------------------

local rules = {} -- {section, what, f}
local function must(section, what, f)
  rules[#rules + 1] = {section, what, f}
end

must("3", "URLs have no fragment", function()
  assert.same({nil, "not a URL of a websocket"},
    {http.websocket "ws://127.0.0.1:1/#a"})
end)

must("4.1", "a client takes no URL whose parts are invalid", function()
  for _, url in ipairs {"", "ws:", "ws://", "http://x/", "ws://x:0/",
    "ws://x:65536/", "ws://x:1x/", "ws://a b/", "ws://x/ y", "ws://u:p@x/",
    "ws://[::1/", "ws://[::1]1/", "ws://x/\r\nY: z", "ws://x\0/"} do
    assert.same({nil, "not a URL of a websocket"}, {http.websocket(url)}, url)
  end
end)

must("4.1", "a client gives up if it gets no connection", function()
  assert.same({nil, "connection refused"},
    {http.websocket("ws://127.0.0.1:" .. helper.NOBODY)})
end)

must("4.1", "a client asks as HTTP has it", function()
  local stream, _, head = kit.server_of(kit.echo)
  local _, port = stream:name()
  assert.equal("GET /chat?a=b HTTP/1.1", head:match "^[^\r]*")
  assert.equal("127.0.0.1:" .. port, field(head, "Host"))
  assert.equal("websocket", field(head, "Upgrade"))
  assert.equal("Upgrade", field(head, "Connection"))
  assert.equal("13", field(head, "Sec-WebSocket-Version"))
  assert.is_nil(field(head, "Sec-WebSocket-Protocol"))
  assert.is_nil(field(head, "Sec-WebSocket-Extensions"))
end)

must("4.1", "the key is sixteen bytes in base64, chosen at random", function()
  local seen = {}
  for _ = 1, 3 do
    local _, _, head = kit.server_of(kit.echo)
    local key = field(head, "Sec-WebSocket-Key")
    assert.matches("^[%w+/]+==$", key)
    assert.equal(24, #key)
    assert.is_nil(seen[key])
    seen[key] = true
  end
end)

must("4.1", "subprotocols are tokens, and none comes twice", function()
  for _, list in ipairs {{""}, {"a b"}, {"a,b"}, {"a", "a"}, {"\195\164"}} do
    assert.is_false((pcall(http.websocket, "ws://127.0.0.1:1/",
      {protocols = list})))
  end
  local _, _, head = kit.server_of(kit.echo, {protocols = {"a", "b"}})
  assert.equal("a, b", field(head, "Sec-WebSocket-Protocol"))
end)

must("4.1", "a client waits for the answer before it sends", function()
  local listener = kit.keep(assert(casting.net.listen("127.0.0.1", 0)))
  local _, port = listener:name()
  casting.spawn(function()
    local ws = http.websocket("ws://127.0.0.1:" .. port)
    ws:send "now"
  end)
  local stream = kit.keep(assert(listener:accept(LONG)))
  local head = assert(stream:read_until("\r\n\r\n", 65536, LONG))
  assert.equal(0, stream:stats().buffered)
  assert.same({nil, "timeout"}, {stream:read(1, 0.02)})
  stream:write(kit.answer(head))
  assert.equal("now", (select(2, kit.read(stream))))
end)

must("4.1", "a client looks at the status", function()
  for _, line in ipairs {"HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found",
    "HTTP/1.1 301 Moved", "HTTP/1.1 102 Processing"} do
    assert.equal("the server has answered " .. line:sub(10),
      refusal({}, line))
  end
  assert.is_string(refusal({}, "HTTP/2.0 101 Switching Protocols"))
  assert.is_string(refusal({}, "ICY 101 Switching Protocols"))
end)

-- {fields of an answer, taken?}
for _, row in ipairs {
  {{Upgrade = "websocket"}, true},
  {{Upgrade = "WebSocket"}, true},
  {{Upgrade = false}},
  {{Upgrade = "websockets"}},
  {{Connection = "upgrade"}, true},
  {{Connection = "keep-alive, Upgrade"}, true},
  {{Connection = false}},
  {{Connection = "close"}},
  {{["Sec-WebSocket-Accept"] = false}},
  {{["Sec-WebSocket-Accept"] = kit.ACCEPT}},
  {{["Sec-WebSocket-Extensions"] = "permessage-deflate"}},
  {{["Sec-WebSocket-Extensions"] = "x-other"}},
  {{["Sec-WebSocket-Extensions"] = ""}, true},
  {{["Sec-WebSocket-Protocol"] = "a"}},
} do
  local name, value = next(row[1])
  must("4.1", ("a client %s an answer with %s: %s"):format(
    row[2] and "takes" or "refuses", name, tostring(value)), function()
    assert.equal(row[2] or false, refusal(row[1]) == nil)
  end)
end

must("4.1", "a client takes one of its subprotocols, and no other", function()
  local options = {protocols = {"a", "b"}}
  local function with(value)
    return refusal({["Sec-WebSocket-Protocol"] = value}, nil, options)
  end
  assert.is_nil(with "a")
  assert.is_nil(with "b")
  assert.is_string(with "c")
  assert.is_string(with "A")
  assert.is_string(with "a, b")
end)

-- {fields of a question, line, status}
for _, row in ipairs {
  {{}, nil, 101},
  {{}, "POST / HTTP/1.1", 405},
  {{}, "GET / HTTP/1.0", 426},
  {{Host = false}, nil, 400},
  {{Upgrade = false}, nil, 426},
  {{Upgrade = "h2c"}, nil, 426},
  {{Upgrade = "h2c, WebSocket"}, nil, 101},
  {{Connection = false}, nil, 426},
  {{Connection = "close"}, nil, 426},
  {{Connection = "keep-alive, upgrade"}, nil, 101},
  {{["Sec-WebSocket-Key"] = false}, nil, 400},
  {{["Sec-WebSocket-Key"] = ""}, nil, 400},
  {{["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ="}, nil, 400},
  {{["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQAA"}, nil, 400},
  {{["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25j*Q=="}, nil, 400},
  {{["Sec-WebSocket-Version"] = false}, nil, 426},
  {{["Sec-WebSocket-Version"] = "8"}, nil, 426},
  {{["Sec-WebSocket-Version"] = "13, 8"}, nil, 426},
  {{["Content-Length"] = "1"}, nil, 400},
  {{["Sec-WebSocket-Protocol"] = "a b"}, nil, 400},
  {{["Sec-WebSocket-Extensions"] = "a;"}, nil, 400},
} do
  local name, value = next(row[1])
  must("4.2.1", ("a server answers %d to %s"):format(row[3], row[2] or
    name and name .. ": " .. tostring(value) or "a question"), function()
    assert.equal(row[3], status_of(row[1], row[2]))
  end)
end

must("4.2.2", "a server refuses pages of other origins", function()
  assert.equal(403, status_of({Origin = "http://y"}))
  assert.equal(101, status_of({Origin = "http://x"}))
end)

must("4.2.2, 4.4", "a server tells which version it has", function()
  local head = answer_to({["Sec-WebSocket-Version"] = "14"})
  assert.matches("^HTTP/1%.1 426 ", head)
  assert.equal("13", field(head, "Sec-WebSocket-Version"))
end)

must("4.2.2", "a server answers as HTTP has it", function()
  local head = answer_to({})
  assert.matches("^HTTP/1%.1 101 Switching Protocols\r\n", head)
  assert.equal("websocket", field(head, "Upgrade"))
  assert.equal("Upgrade", field(head, "Connection"))
  assert.equal(kit.ACCEPT, field(head, "Sec-WebSocket-Accept"))
  assert.is_nil(field(head, "Sec-WebSocket-Protocol"))
  assert.is_nil(field(head, "Sec-WebSocket-Extensions"))
end)

must("4.2.2", "a server chooses a subprotocol of the client", function()
  local options = {protocols = {"b", "a"}}
  local function chosen(theirs)
    return field(answer_to({["Sec-WebSocket-Protocol"] = theirs}, nil, options),
      "Sec-WebSocket-Protocol")
  end
  assert.equal("b", chosen "a, b")
  assert.equal("a", chosen "c, a")
  assert.is_nil(chosen "c")
  assert.is_nil(chosen(false))
end)

must("5.1", "a client masks what it sends", function()
  local stream = kit.server_of(function(ws) ws:send "a" ws:close() end)
  for _ = 1, 2 do
    local _, _, how = kit.read(stream)
    assert.is_true(how.masked)
  end
end)

must("5.1", "a server masks nothing", function()
  local stream = kit.client_of(function(ws) ws:send "a" ws:close() end)
  for _ = 1, 2 do
    local _, _, how = kit.read(stream)
    assert.is_false(how.masked)
  end
end)

must("5.1", "a server ends at a frame that is not masked", function()
  assert.same({"close 1002"}, server_says(frame(1, "a")))
end)

must("5.1", "a client ends at a frame that is masked", function()
  assert.same({"close 1002"}, client_says(frame(1, "a", {mask = MASK})))
end)

must("5.2", "a reserved bit ends it", function()
  for rsv = 1, 7 do
    assert.same({"close 1002"},
      server_says(frame(1, "a", {mask = MASK, rsv = rsv})))
    assert.same({"close 1002"}, client_says(frame(1, "a", {rsv = rsv})))
  end
end)

must("5.2", "an unknown opcode ends it", function()
  for _, opcode in ipairs {3, 4, 5, 6, 7, 11, 12, 13, 14, 15} do
    assert.same({"close 1002"}, server_says(frame(opcode, "", {mask = MASK})))
    assert.same({"close 1002"}, client_says(frame(opcode, "")))
  end
end)

must("5.2", "lengths have as few bytes as they need", function()
  for _, o in ipairs {{size = 2}, {size = 8}, {size = 8, length = 2 ^ 63}} do
    assert.same({"close 1002"}, client_says(frame(2, "a", o)))
  end
  for _, row in ipairs {{125, 2}, {126, 4}, {65535, 4}, {65536, 10}} do
    local stream = kit.client_of(function(ws) ws:send(("a"):rep(row[1])) end)
    local n = row[2] + row[1]
    assert.equal(row[1], row[2] == 2 and stream:peek(2, LONG):byte(2) or
      row[1])
    local _, payload = kit.read(stream)
    assert.equal(n - row[2], #payload)
    assert.equal("close 1000", kit.tell(kit.read(stream)))
  end
end)

must("5.3, 10.3", "each frame has a mask of its own, at random", function()
  local stream = kit.server_of(function(ws)
    for _ = 1, 100 do ws:send "a" end
  end)
  local seen, n = {}, 0
  for _ = 1, 100 do
    local _, _, how = kit.read(stream)
    if not seen[how.mask] then n = n + 1 end
    seen[how.mask] = true
  end
  assert.is_true(n > 97) -- of 2^32 masks
end)

must("5.4, 5.5", "frames of control are no fragments", function()
  for opcode = 8, 10 do
    assert.same({"close 1002"},
      server_says(frame(opcode, "", {mask = MASK, fin = false})))
    assert.same({"close 1002"}, client_says(frame(opcode, "", {fin = false})))
  end
end)

must("5.4", "fragments come together in their order", function()
  local o = {mask = MASK, fin = false}
  assert.same({"text abc", "text d", "close 1000"}, server_says(
    frame(1, "a", o) .. frame(0, "b", o) .. frame(0, "c", {mask = MASK}) ..
    frame(1, "d", {mask = MASK}) .. frame(8, kit.code(1000), {mask = MASK})))
end)

must("5.4", "messages are not mixed", function()
  assert.same({"close 1002"}, server_says(
    frame(1, "a", {mask = MASK, fin = false}) .. frame(1, "b", {mask = MASK})))
  assert.same({"close 1002"}, server_says(frame(0, "a", {mask = MASK})))
end)

must("5.4", "frames of control may come between fragments", function()
  local o = {mask = MASK, fin = false}
  assert.same({"pong p", "text ab", "close 1000"}, server_says(
    frame(1, "a", o) .. frame(9, "p", {mask = MASK}) ..
    frame(0, "b", {mask = MASK}) .. frame(8, kit.code(1000), {mask = MASK})))
end)

must("5.5", "frames of control have 125 bytes at most", function()
  for opcode = 8, 10 do
    local payload = (opcode == 8 and kit.code(1000) or "  ") .. ("a"):rep(124)
    assert.same({"close 1002"},
      server_says(frame(opcode, payload, {mask = MASK})))
    assert.same({"close 1002"}, client_says(frame(opcode, payload)))
  end
  local ws = select(2, kit.server_of(function(ws)
    return pcall(ws.close, ws, 1000, ("a"):rep(124))
  end))
  assert.is_false((ws:await(LONG)))
end)

must("5.5.1", "a frame of close is empty, or begins with a code", function()
  assert.same({"close "}, server_says(frame(8, "", {mask = MASK})))
  assert.same({"close 1001"},
    server_says(frame(8, kit.code(1001) .. "bye", {mask = MASK})))
  assert.same({"close 1002"}, server_says(frame(8, "a", {mask = MASK})))
end)

must("5.5.1, 6.1", "nothing is sent behind a frame of close", function()
  local closed = casting.channel(1)
  local stream = kit.client_of(function(ws)
    casting.spawn(ws.close, ws)
    casting.yield()
    closed:send((select(2, ws:send "late")))
  end)
  assert.equal("close 1000", kit.tell(kit.read(stream)))
  assert.equal("closed", (closed:receive(LONG)))
  stream:write(frame(9, "p", {mask = MASK}) ..
    frame(8, kit.code(1000), {mask = MASK}))
  assert.same({}, kit.read_all(stream))
end)

must("5.5.1, 7.1.1", "the server ends the connection", function()
  local stream = kit.client_of(kit.echo)
  stream:write(frame(8, kit.code(1000), {mask = MASK}))
  assert.equal("close 1000", kit.tell(kit.read(stream)))
  assert.same({nil, "closed"}, {stream:read(1, LONG)})
end)

must("5.5.2", "a ping is answered with its bytes", function()
  assert.same({"pong \0\1", "close 1000"}, server_says(
    frame(9, "\0\1", {mask = MASK}) ..
    frame(8, kit.code(1000), {mask = MASK})))
  assert.same({"pong \0\1", "close 1000"},
    client_says(frame(9, "\0\1") .. frame(8, kit.code(1000))))
end)

must("5.6, 8.1", "a text is UTF-8", function()
  assert.same({"close 1007"}, server_says(frame(1, "\255", {mask = MASK})))
  assert.same({"close 1007"}, client_says(frame(1, "\255")))
  local _, task = kit.server_of(function(ws)
    return pcall(ws.send, ws, "\255")
  end)
  assert.is_false((task:await(LONG)))
end)

must("6.1", "a frame says what it is, and that it is the last one", function()
  local stream = kit.client_of(function(ws)
    ws:send "a"
    ws:send("b", "binary")
  end)
  assert.same({"text a", "binary b", "close 1000"}, {kit.tell(kit.read(stream)),
    kit.tell(kit.read(stream)), kit.tell(kit.read(stream))})
end)

must("6.2", "a server takes masks off", function()
  for _, mask in ipairs {"\0\0\0\0", "\255\255\255\255", "\1\2\4\8"} do
    assert.same({"text abcdefghijklmn", "close 1000"}, server_says(
      frame(1, "abcdefghijklmn", {mask = mask}) ..
      frame(8, kit.code(1000), {mask = mask})))
  end
end)

must("7.1.2", "the end begins with a frame of close", function()
  local stream = kit.client_of(function(ws) ws:close(3000, "enough") end)
  local _, payload = kit.read(stream)
  assert.equal(kit.code(3000) .. "enough", payload)
end)

must("7.1.7", "what comes behind an error is not looked at", function()
  local got = casting.channel(10)
  assert.same({"close 1002"}, server_says(frame(3, "", {mask = MASK}) ..
    frame(1, "a", {mask = MASK}) .. frame(9, "p", {mask = MASK}),
    function(ws)
      for message in ws do got:send(message) end
      got:close()
    end))
  assert.same({nil, "closed"}, {got:receive(LONG)})
end)

must("7.2.1, 7.2.2", "a connection that is lost is over", function()
  local stream, task = kit.server_of(function(ws) return ws:receive() end)
  stream:close()
  assert.same({nil, "closed", 1006, ""}, {task:await(LONG)})
  local got = casting.channel(1)
  stream = kit.client_of(function(ws)
    local _, _, code = ws:receive()
    got:send(code)
  end)
  stream:close()
  assert.equal(1006, (got:receive(LONG)))
end)

must("7.4.1", "1005, 1006 and 1015 are never sent, nor taken", function()
  for _, code in ipairs {1005, 1006, 1015} do
    local _, task = kit.server_of(function(ws)
      return pcall(ws.close, ws, code)
    end)
    assert.is_false((task:await(LONG)))
    assert.same({"close 1002"},
      server_says(frame(8, kit.code(code), {mask = MASK})))
  end
end)

must("9", "a server uses no extension that was not asked for", function()
  local options = {compress = true}
  local name = "Sec-WebSocket-Extensions"
  assert.is_nil(field(answer_to({}, nil, options), name))
  assert.is_nil(field(answer_to({[name] = "x-other"}, nil, options), name))
  assert.is_string(field(answer_to({[name] = "permessage-deflate"}, nil,
    options), name))
end)

must("9.1", "extensions that are malformed are an error", function()
  local name = "Sec-WebSocket-Extensions"
  for _, value in ipairs {"a b", "a; b c", "a=b", "a;;b", ";a", "a; b=",
    "a; b=\"c d\"", "a; \"b\"", "\"a\""} do
    assert.equal(400, status_of({[name] = value}), value)
    assert.is_truthy(refusal({[name] = value}):find "malformed", value)
  end
  for _, value in ipairs {"a", "a; b", "a;b=c", "a ; b = \"c\" , d", "a,,b"} do
    assert.equal(101, status_of({[name] = value}), value)
  end
end)

must("10.4", "the size of messages has a limit", function()
  local stream = kit.client_of(kit.echo, {max_message = 3})
  stream:write(frame(1, "abcd", {mask = MASK}))
  assert.same({"close 1009"}, kit.read_all(stream))
end)

must("11.3", "fields that may come once come once", function()
  assert.equal(400, status_of({["Sec-WebSocket-Key"] = kit.KEY ..
    "\r\nSec-WebSocket-Key: " .. kit.KEY}))
  assert.equal(426, status_of({["Sec-WebSocket-Version"] =
    "13\r\nSec-WebSocket-Version: 13"}))
  assert.is_string(refusal({["Sec-WebSocket-Protocol"] =
    "a\r\nSec-WebSocket-Protocol: a"}, nil, {protocols = {"a"}}))
  local deflate = "permessage-deflate; server_no_context_takeover"
  assert.is_nil(refusal({["Sec-WebSocket-Extensions"] = deflate}, nil,
    {compress = true}))
  assert.is_string(refusal({["Sec-WebSocket-Extensions"] = deflate ..
    "\r\nSec-WebSocket-Extensions: " .. deflate}, nil, {compress = true}))
end)

describe("RFC 6455,", function()
  for _, rule in ipairs(rules) do
    it(("%s: %s"):format(rule[1], rule[2]), rule[3])
  end
end)
