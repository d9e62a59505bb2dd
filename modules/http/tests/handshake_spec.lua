-- handshake_spec.lua - how connections become websockets, and when not.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local kit = require "wskit"
local http = require "casting.http"
local LONG = helper.LONG
local frame, MASK, pair = kit.frame, "\1\2\3\4", kit.pair

after_each(function()
  kit.close_all()
  casting.on_error(nil)
end)

describe("a handshake", function()
  it("may have fields of the program's, on both sides", function()
    local port = kit.serve(function(ws, request)
      ws:send(request.headers["x-a"] .. request.headers.cookie)
    end, {headers = {["Set-Cookie"] = {"a=1", "b=2"}, ["X-B"] = 3}})
    local ws = assert(http.websocket("ws://127.0.0.1:" .. port,
      {headers = {["X-A"] = 1, Cookie = "c=2"}}))
    assert.equal("1c=2 text", kit.said(ws, LONG))
    local _, head = kit.ask(port, {["X-A"] = "", Cookie = ""})
    assert.matches("\r\nSet%-Cookie: a=1\r\nSet%-Cookie: b=2\r\n", head)
    assert.matches("\r\nX%-B: 3\r\n", head)
  end)

  it("may have frames behind it at once", function()
    local port = kit.serve(kit.echo)
    local stream = kit.keep(assert(casting.net.connect("127.0.0.1", port)))
    stream:write(kit.question() .. frame(1, "a", {mask = MASK}))
    assert.matches("^HTTP/1%.1 101 ", stream:read_until("\r\n\r\n", 9999, LONG))
    assert.equal("text a", kit.tell(kit.read(stream)))
    stream = kit.server_of(kit.echo, nil, function(question)
      return kit.answer(question) .. frame(1, "b")
    end)
    assert.equal("text b", kit.tell(kit.read(stream)))
  end)

  it("agrees on a subprotocol", function()
    local ws, other = pair({protocols = {"a", "b"}}, {protocols = {"c", "b"}})
    assert.equal("b", ws.protocol)
    assert.equal("b", other.protocol)
    ws, other = pair({protocols = {"a"}}, {protocols = {"c"}})
    assert.is_nil(ws.protocol)
    assert.is_nil(other.protocol)
  end)

  -- {Host, Origin, the option, taken?}
  for _, row in ipairs {
    {"example.org", "http://example.org", nil, true},
    {"example.org", "HTTP://EXAMPLE.org:80", nil, true},
    {"EXAMPLE.org:", "http://example.org", nil, true},
    {"example.org", "https://example.org", nil, false},
    {"example.org:443", "https://example.org", nil, false},
    {"example.org", "http://example.org:443", nil, false},
    {"example.org", "https://example.org", {"https://example.org"}, true},
    {"example.org", "file://example.org", nil, false},
    {"example.org", "xx://example.org", nil, false},
    {"example.org", "ws://example.org", nil, false},
    {"example.org", "chrome-extension://example.org", nil, false},
    {"example.org:80", "http://example.org", nil, true},
    {"example.org:8080", "http://example.org:8080", nil, true},
    {"[::1]:8080", "http://[::1]:8080", nil, true},
    {"[::1]", "http://[::1]", nil, true},
    {"example.org", "http://example.org:8080", nil, false},
    {"example.org:8080", "http://example.org", nil, false},
    {"example.org:443", "http://example.org", nil, false},
    {"example.org", "http://example.com", nil, false},
    {"example.org", "http://example.org.com", nil, false},
    {"example.org", "http://x@example.org", nil, false},
    {"example.org", "http://example.org/", nil, false},
    {"example.org", "http://example.org, http://example.org", nil, false},
    {"example.org", "example.org", nil, false},
    {"example.org", "null", nil, false},
    {"example.org", "", nil, false},
    {"example.org", false, nil, true},
    {"example.org", false, {}, true},
    {"example.org", "http://example.com", "*", true},
    {"example.org", "null", "*", true},
    {"example.org", "http://example.org", {}, false},
    {"example.org", "http://example.com", {"https://a", "HTTP://example.com"},
      true},
    {"example.org", "https://example.com", {"http://example.com"}, false},
  } do
    it(("for %s from %s is %s"):format(row[1], tostring(row[2]),
      row[4] and "taken" or "refused"), function()
      local port = kit.serve(kit.echo, {origins = row[3]})
      local stream, head = kit.ask(port, {Host = row[1], Origin = row[2]})
      assert.equal(row[4] and "101" or "403", head:match "^HTTP/1%.1 (%d+)")
      stream:abort()
    end)
  end

  it("that is refused tells the handler, too", function()
    local got = casting.channel(1)
    local listener = kit.keep(assert(casting.net.listen("127.0.0.1", 0)))
    casting.spawn(http.serve, listener, function(request)
      got:send({request:websocket()})
    end, {log = function(_, status) got:send(status) end})
    local stream, head = kit.ask(select(2, listener:name()), {Upgrade = false})
    assert.matches("^HTTP/1%.1 426 .*\r\nUpgrade: websocket\r\n", head)
    assert.equal("a websocket is wanted here", got:receive(LONG)[2])
    assert.equal(426, (got:receive(LONG)))
    assert.is_string(stream:read("a", LONG))
  end)

  it("is logged as what was sent, however its handler ends", function()
    casting.on_error(casting.channel(math.huge))
    for _, ending in ipairs {"return", "error", "cancel"} do
      local got = casting.channel(1)
      local listener = kit.keep(assert(casting.net.listen("127.0.0.1", 0)))
      casting.spawn(http.serve, listener, function(request)
        assert(request:websocket {closing = 0.01})
        if ending == "error" then error "no more" end
        if ending == "cancel" then
          casting.self():cancel()
          casting.yield()
        end
      end, {log = function(_, ...) got:send {...} end})
      local stream = kit.ask(select(2, listener:name()))
      assert.equal(101, got:receive(LONG)[1])
      stream:close()
    end
  end)

  it("with a million blanks in its fields is looked at once", function()
    local blanks = (" \t"):rep(500000)
    local port = kit.serve(kit.echo, {protocols = {"b"}, compress = true},
      {max_header = 8000000})
    local function status(fields)
      local stream, head = kit.ask(port, fields)
      stream:abort()
      return head:match "^HTTP/1%.1 (%d+)", head
    end
    assert.equal("426", (status {Upgrade = "a" .. blanks .. "a"}))
    assert.equal("400",
      (status {["Sec-WebSocket-Protocol"] = "a" .. blanks .. "a"}))
    local name = "Sec-WebSocket-Extensions"
    for _, text in ipairs {"a" .. blanks .. "a", "a" .. blanks .. "a=b",
      "a; a=b" .. blanks .. "b", "a; a" .. blanks .. "a=b"} do
      assert.equal("400", (status {[name] = text}))
    end
    local code, head = status {
      Upgrade = "a," .. blanks .. "websocket" .. blanks .. ",a",
      ["Sec-WebSocket-Protocol"] = "a" .. blanks .. "," .. blanks .. "b"}
    assert.equal("101", code)
    assert.matches("\r\nSec%-WebSocket%-Protocol: b\r\n", head)
    code, head = status {[name] = "permessage-deflate" .. blanks .. ";" ..
      blanks .. "server_max_window_bits" .. blanks .. "=" .. blanks .. "9"}
    assert.equal("101", code)
    assert.matches("; server_max_window_bits=9\r\n", head)
  end)

  it("is given up when its time is over", function()
    local listener = kit.keep(assert(casting.net.listen("127.0.0.1", 0)))
    local url = "ws://127.0.0.1:" .. select(2, listener:name())
    assert.same({nil, "timeout"}, {http.websocket(url, {timeout = 0.02})})
    assert(listener:accept(LONG)):close()
    local task = casting.spawn(http.websocket, url)
    local stream = assert(listener:accept(LONG))
    stream:read_until("\r\n\r\n", 9999, LONG)
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.is_nil((stream:read(1, LONG)))
  end)

  it("may name another host than that of the URL", function()
    local listener = kit.keep(assert(casting.net.listen("127.0.0.1", 0)))
    local task = casting.spawn(http.websocket, "ws://127.0.0.1:" ..
      select(2, listener:name()), {headers = {hOst = "shop.example:81"}})
    local stream = assert(listener:accept(LONG))
    local head = stream:read_until("\r\n\r\n", 9999, LONG)
    assert.equal("shop.example:81", head:match "\nHost: ([^\r]*)\r\n")
    assert.equal(1, (select(2, head:lower():gsub("\nhost:", ""))))
    task:cancel()
  end)

  it("says what is wrong with arguments", function()
    local function fails(pattern, ...)
      local ok, e = pcall(http.websocket, ...)
      assert.is_false(ok)
      assert.matches(pattern, e)
    end
    local url = "ws://127.0.0.1:1"
    fails("bad argument #1 to 'websocket' %(string expected, got nil%)")
    fails("bad argument #2 to 'websocket' %(table expected, got 7%)", url, 7)
    fails("unknown option 'origins'", url, {origins = "*"})
    fails("ping must be a number of seconds above zero, got 0", url, {ping = 0})
    for _, none in ipairs {"1", 0, -1, 0.5, 1000.5, 0 / 0} do
      fails("max_message must be an integer above zero, or math.huge", url,
        {max_message = none})
    end
    fails("compress must be a boolean", url, {compress = 1})
    fails("protocols must be a list of tokens", url, {protocols = "a"})
    fails("headers must not have the field 'upgrade'", url,
      {headers = {upgrade = "x"}})
    fails("headers must not have the field 'Sec%-WebSocket%-Key'", url,
      {headers = {["Sec-WebSocket-Key"] = "x"}})
    for _, host in ipairs {"", "a b", "a,b", "a/b", "a@b", "a\r\nb", {}, 1} do
      fails("headers must have one host in the field 'host'", url,
        {headers = {Host = host}})
    end
    fails("tls must be true, a table or a context", url, {tls = 1})
  end)

  for _, text in ipairs {"", "x", "http://127.0.0.1", "ws:/127.0.0.1", "ws://",
    "ws://127.1", "ws://0x7f000001", "ws://2130706433", "ws://0177.0.0.1",
    "ws://127.0.0.1:0", "ws://127.0.0.1:65536", "ws://127.0.0.1:x",
    "ws://a@127.0.0.1", "ws://a:b@127.0.0.1", "ws://127.0.0.1@127.0.0.1",
    "ws://127.0.0.1#", "ws://127.0.0.1/#a", "ws://127.0.0.1/a b",
    "ws://127.0.0.1/\r\nX: y", "ws://127.0.0.1\\x", "ws://%31.0.0.1",
    "ws://127.0.0.1/%", "ws://[::1", "ws://[1]", "ws://[127.0.0.1]"} do
    it(("has no URL %q"):format(text), function()
      assert.same({nil, "not a URL of a websocket"}, {http.websocket(text)})
    end)
  end

  it("has a target and a host", function()
    local listener = kit.keep(assert(casting.net.listen("127.0.0.1", 0)))
    local _, port = listener:name()
    for text, want in pairs {[""] = "/", ["/"] = "/", ["?a=b"] = "/?a=b",
      ["/x%20y?z"] = "/x%20y?z"} do
      local task = casting.spawn(http.websocket,
        "WS://127.0.0.1:" .. port .. text, {timeout = LONG})
      local stream = assert(listener:accept(LONG))
      local head = stream:read_until("\r\n\r\n", 9999, LONG)
      assert.equal("GET " .. want .. " HTTP/1.1", head:match "^[^\r]*")
      assert.is_truthy(head:find("\r\nHost: 127.0.0.1:" .. port .. "\r\n", 1,
        true))
      stream:close()
      task:cancel()
    end
  end)

  it("says who has called it wrongly", function()
    local ok, e = pcall(function() http.websocket(7) end)
    assert.is_false(ok)
    assert.matches("handshake_spec%.lua:%d+: bad argument", e)
    local got = casting.channel(1)
    local stream = kit.client_of(function(_, request)
      local function again(options) request:websocket(options) end
      local _, first = pcall(again)
      local _, second = pcall(again, {x = 1})
      got:send(first, second)
    end)
    local first, second = got:receive(LONG)
    assert.matches("handshake_spec%.lua:%d+: 'websocket' of a request that " ..
      "was answered", first)
    assert.matches("handshake_spec%.lua:%d+: bad argument #1 to 'websocket' " ..
      "%(unknown option 'x'", second)
    stream:abort()
  end)
end)

describe("TLS", function()
  it("is there for wss", function()
    if not pcall(require, "casting.tls") then
      return pending "casting.tls is not there"
    end
    package.path = "./modules/tls/tests/?.lua;" .. package.path
    local certs = require("certs").make()
    local listener = kit.keep(assert(casting.net.listen("localhost", 0,
      {tls = {cert = certs.server.cert, key = certs.server.key}})))
    local url = "wss://localhost:" .. select(2, listener:name())
    casting.spawn(http.serve, listener, function(request)
      local ws = request:websocket()
      if ws then kit.echo(ws) end
    end)
    assert.matches("^TLS: certificate verify failed",
      (select(2, http.websocket(url))))
    local ws = assert(http.websocket(url, {tls = {ca = certs.ca.cert}}))
    kit.keep(ws.stream)
    local big = ("x"):rep(100000)
    ws:send(big)
    assert.equal(big .. " text", kit.said(ws, LONG))
    ws:send "a"
    assert.same({1, "a", "text"}, {casting.select {ws:messages()}})
    assert.is_true(ws:close())
    -- Pages of this server have its scheme.
    for origin, status in pairs {["http://localhost"] = 403,
      ["http://localhost:443"] = 403, ["https://localhost"] = 101,
      ["https://localhost:443"] = 101, ["https://localhost:80"] = 403} do
      local _, _, code = http.websocket(url, {tls = {ca = certs.ca.cert},
        headers = {Host = "localhost", Origin = origin}})
      assert.same({origin, status}, {origin, code or 101})
    end
  end)
end)
