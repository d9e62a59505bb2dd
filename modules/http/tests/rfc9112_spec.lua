-- rfc9112_spec.lua - each "MUST" of RFC 9112 for servers and clients, by the
-- section where it stands; those about bodies (6 to 7.1) are in
-- rfc9112_body_spec.lua.
-- SPDX-License-Identifier: MIT
--
-- Left out is what binds those that pass messages on (2.3; parts of 3.2.2,
-- 3.2.4, 5.1, 5.2, 6.3 and 9.3), since nothing here does; the media type
-- message/http (10.1); registries (7.3); and codings other than chunked, which
-- neither side here applies (6.1). And of clients:
--   3.2    what to send if a URL has no authority: such a URL is not taken
--   3.2.4  an asterisk for OPTIONS: no URL can stand for one
--   6.1    not to send chunks before the server is known to take them: a
--          program that gives a function and no length has decided that
--   9.2    to keep a list of requests that are under way: it is one at most
--   9.3    to say "close" if a client keeps no connections: this one does
--   9.3.2  what to do before requests are sent again one behind the other:
--          this client waits for each answer

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;./modules/tls/tests/?.lua;" ..
  package.path
local http = require "casting.http"
local net = require "casting.net"
local peers = require "peers"
local kit = require "rfckit"
local has_tls = pcall(require, "casting.tls")
local answer, client, keep = peers.answer, peers.client, peers.keep
local answers, answers_to, asks = kit.answers, kit.answers_to, kit.asks
local makes, field = kit.makes, kit.field
local of_get, of_post, statuses = kit.of_get, kit.of_post, kit.statuses
local HOST, BEHIND, LONG = kit.HOST, kit.BEHIND, helper.LONG

after_each(function()
  peers.close()
  casting.on_error(nil)
end)

local rules, must = kit.list()
local refuses = kit.refusal(must)

must("2.2", "messages are bytes", function()
  local text = answers_to("X: \228\255\r\n", function(req, res)
    res.headers["X"] = req.headers.x .. req.target
    res:write "\0\255"
  end)
  assert.equal("\228\255/", field(text, "X"))
  assert.equal("\0\255", text:sub(-2))
  assert.equal("\228\255", makes(answer("", "X: \228\255\r\n")).headers.x)
end)

must("2.2", "a bare CR is not sent", function()
  kit.hide_failures()
  local text = answers_to("", function(_, res)
    res.headers.x = "a\rb"
    res:write ""
  end)
  assert.equal("500", statuses(text))
  for _, o in ipairs {{headers = {x = "a\rb"}}, {method = "A\rB"}} do
    assert.is_false((pcall(http.request, "http://127.0.0.1:1/", o)))
  end
  assert.is_false((pcall(http.request, "http://127.0.0.1:1/\r")))
end)

refuses("2.2", "a bare CR in the first line",
  "GET /\r HTTP/1.1\r\n" .. HOST .. "\r\n", "400")
refuses("2.2", "a bare CR in a field", of_get(HOST .. "X: a\rb\r\n"), "400")

must("2.2", "a client takes no bare CR", function()
  for _, text in ipairs {"HTTP/1.1 200 O\rK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"} do
    local _, why = makes(text)
    assert.matches("^malformed response", why)
  end
end)

must("2.2", "a client sends no line end around a request", function()
  local stopped = casting.channel()
  local base = peers.listen(function(stream)
    for _, text in ipairs {"POST / ", "GET / ", "PUT / "} do
      assert(stream:read(#text, LONG) == text)
      assert(stream:read_until("\r\n\r\n", nil, LONG))
      if text ~= "GET / " then assert(stream:read(3, LONG) == "abc") end
      if text == "PUT / " then break end
      stream:write(answer "")
    end
    stopped:send(stream:stats().buffered)
    stream:write(answer "")
  end)
  local c = client()
  local task = casting.spawn(function()
    assert(c:request(base, {body = "abc"}))
    assert(c:request(base))
    assert(c:request(base, {method = "PUT", body = "abc"}))
  end)
  assert.equal(0, (stopped:receive(LONG)))
  task:await(LONG)
  assert.equal(1, c:stats().made)
end)

must("2.2", "no blank is sent before the first field", function()
  assert.matches("^GET / HTTP/1.1\r\n%a", (asks()))
  assert.matches("^HTTP/1.1 200 OK\r\n%a", answers_to "")
end)

refuses("2.2", "a blank before the first field", of_get(" " .. HOST .. HOST),
  "400")
must("2.2", "a client takes no blank before the first field", function()
  for _, blank in ipairs {" ", "\t", "  x\r\n "} do
    local _, why = makes("HTTP/1.1 200 OK\r\n" .. blank ..
      "Content-Length: 0\r\n\r\n")
    assert.matches("^malformed response", why)
  end
end)

refuses("3", "a target that is too long",
  "GET /" .. ("a"):rep(66000) .. " HTTP/1.1\r\n" .. HOST .. "\r\n", "414")

must("3.2", "a client says Host, which is the authority", function()
  local head, _, base = asks()
  assert.equal(base:sub(8), field(head, "Host"))
  local seen, port
  base, seen, port = peers.script {answer ""}
  assert(client():request("http://u:p@127.0.0.1:" .. port .. "/"))
  assert.equal(base:sub(8), field(seen[1].head, "Host"))
end)

refuses("3.2", "HTTP/1.1 without Host", of_get "", "400")
refuses("3.2", "two fields Host", of_get(HOST .. HOST), "400")
for _, host in ipairs {"a b", "a/b", "u@a", "a:b", "a:65536", "a:1:2", ":80",
  "a,b", "a?", "a#", "a\\b", "[::1", "::1", "[::1]a", "[]", "[a]", "a%zz",
  "a%4", "a\228", "<a>", "[v1.a]"} do
  refuses("3.2", "Host: " .. host, of_get("Host: " .. host .. "\r\n"), "400")
end
must("3.2", "a server takes a right Host", function()
  for _, host in ipairs {"", "a", "A-b_c.example.", "a:80", "a:", "1.2.3.4:5",
    "[::1]", "[::ffff:1.2.3.4]:80", "a%20b", "a!$&'()*+;=~"} do
    local text = answers("GET / HTTP/1.1\r\nHost: " .. host ..
      "\r\nConnection: close\r\n\r\n", function(req, res)
        res:write(req.authority)
      end)
    assert.equal("200", statuses(text), host)
    assert.equal(host, text:match "\r\n\r\n(.*)")
  end
end)

must("3.2.1", "a client sends path and query, and no more", function()
  assert.matches("^GET /a/b%?c=d&e HTTP/1.1\r\n", (asks({}, "/a/b?c=d&e#f")))
  assert.matches("^GET / HTTP/1.1\r\n", (asks({}, "")))
  assert.matches("^GET /%?a HTTP/1.1\r\n", (asks({}, "?a")))
end)

must("3.2.2", "a client sends the whole URL to a proxy, and Host", function()
  local base, seen = peers.script {answer "yes"}
  assert.equal("yes", client {proxy = base}:request(
    "http://u:p@one.example:81/a?b").body)
  assert.matches("^GET http://one.example:81/a%?b HTTP/1.1\r\n", seen[1].head)
  assert.equal("one.example:81", field(seen[1].head, "Host"))
end)

must("3.2.2", "a server takes a whole URL, and its host", function()
  for _, row in ipairs {{"http://one.example:81/a?b", "one.example:81", "/a"},
    {"HTTP://one.example", "one.example", "/"},
    {"https://[::1]/a", "[::1]", "/a"}} do
    local text = answers("GET " .. row[1] .. " HTTP/1.1\r\nHost: two.example" ..
      "\r\nConnection: close\r\n\r\n", function(req, res)
        res:write(("%s %s %s %s"):format(req.path, req.authority,
          req.headers.host, req.headers.Host))
      end)
    assert.equal(("%s %s %s %s"):format(row[3], row[2], row[2], row[2]),
      text:match "\r\n\r\n(.*)")
  end
end)

must("3.2.2", "pages of the host in the URL may use a websocket", function()
  for origin, status in pairs {["http://one.example"] = "101",
    ["http://two.example"] = "403"} do
    local text = answers("GET http://one.example/ HTTP/1.1\r\nHost: " ..
      "two.example\r\nOrigin: " .. origin .. "\r\nUpgrade: websocket\r\n" ..
      "Connection: upgrade, close\r\nSec-WebSocket-Version: 13\r\n" ..
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", function(req)
        local ws = req:websocket {closing = 0.01}
        if ws then ws:close() end
      end)
    assert.equal(status, statuses(text))
  end
end)

for _, host in ipairs {"", ":80", "u@a", "a:b", "a b", "[::1", "a\\b"} do
  refuses("3.2.2", "the target http://" .. host,
    "GET http://" .. host .. "/ HTTP/1.1\r\n" .. HOST .. "\r\n", "400")
end

must("3.2.3", "a client names a host and a port to CONNECT", function()
  if not has_tls then return end
  local base, seen = peers.script {"HTTP/1.1 403 No\r\n\r\n"}
  local c = client {proxy = base}
  assert.same({nil, "proxy: 403 No"},
    {c:request "https://u:p@one.example/a?b"})
  assert.matches("^CONNECT one.example:443 HTTP/1.1\r\n", seen[1].head)
end)

must("3.2.4", "an asterisk is for OPTIONS", function()
  local function of(line)
    return statuses(answers(line .. " HTTP/1.1\r\n" .. HOST ..
      "Connection: close\r\n\r\n"))
  end
  assert.equal("200", of "OPTIONS *")
  assert.equal("400", of "GET *")
  assert.equal("400", of "OPTIONS *?a")
end)

must("4", "a blank stands before a reason that is not there", function()
  assert.matches("^HTTP/1.1 299 \r\n", answers_to("", function(_, res)
    res.status = 299
  end))
end)

refuses("5.1", "a blank before a colon", of_get "Host : x\r\n", "400")
refuses("5.1", "a tab before a colon", of_get(HOST .. "X\t: x\r\n"), "400")

must("5.2", "no field is folded", function()
  for _, value in ipairs {"a\r\n b", "a\n b"} do
    assert.is_false((pcall(http.request, "http://127.0.0.1:1/",
      {headers = {x = value}})))
  end
end)

refuses("5.2", "a folded field", of_get(HOST .. "X: a\r\n b\r\n"), "400")

must("5.2", "a client takes a folded field as one line", function()
  local r = makes("HTTP/1.1 200 OK\r\nX: a\r\n \t b\r\n\tc\r\nContent-" ..
    "Length:\r\n 2\r\nY:\r\n  \r\nSet-Cookie: d;\r\n e\r\n\r\nab")
  assert.equal("a b c", r.headers.x)
  assert.equal("", r.headers.y)
  assert.same({"d; e"}, r.headers["set-cookie"])
  assert.equal("ab", r.body)
  r = makes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ..
    "1\r\na\r\n0\r\nX: y\r\n\t z\r\n\r\n")
  assert.equal("a", r.body)
end)

must("7.4", "a client does not send TE", function()
  assert.is_nil(field((asks()), "TE"))
  for _, value in ipairs {"chunked", "gzip", "trailers"} do
    assert.is_false((pcall(http.request, "http://127.0.0.1:1/",
      {headers = {te = value}})))
  end
end)

must("9.3", "a body is read, or the server closes", function()
  for size, wanted in pairs {[1000] = "200 200", [2000000] = "200"} do
    local text = answers(of_post("Content-Length: " .. size .. "\r\n",
      ("G"):rep(size)) .. "GET / HTTP/1.1\r\n" .. HOST ..
      "Connection: close\r\n\r\n", function(_, res) res:write "x" end,
      {body = 4000000})
    assert.equal(wanted, statuses(text))
  end
end)

must("9.3", "a client reads a body, or gives up its connection", function()
  local base = peers.script({answer "one"}, {answer "two"})
  local c = client()
  local r = c:request(base, {stream = true})
  assert.equal("o", r:read(1))
  r:close()
  assert.equal("two", c:request(base).body)
  assert.equal(2, c:stats().made)
end)

must("9.3.2", "requests are answered in their order", function()
  local all, wanted = {}, {}
  for i = 1, 20 do
    all[i] = ("GET /%d HTTP/1.1\r\n%s%s\r\n"):format(i, HOST,
      i == 20 and "Connection: close\r\n" or "")
    wanted[i] = "/" .. i
  end
  local text = answers(table.concat(all), function(req, res)
    if #req.path < 3 then casting.sleep(0.001) end
    res.headers.x = req.path
  end)
  local seen = {}
  for path in text:gmatch "X: ([^\r]*)" do seen[#seen + 1] = path end
  for path in text:gmatch "x: ([^\r]*)" do seen[#seen + 1] = path end
  assert.same(wanted, seen)
end)

must("9.6", "a server ends behind a request that says close", function()
  for _, value in ipairs {"close", "Close", "x, close", ",close,"} do
    local text = answers(of_get(HOST .. "Connection: " .. value .. "\r\n") ..
      BEHIND)
    assert.equal("200", statuses(text))
    assert.equal("close", field(text, "Connection"))
  end
end)

must("9.6", "a server ends behind a response that says close", function()
  for _, long in ipairs {true, false} do
    local text = answers(of_get(HOST) .. BEHIND, function(_, res)
      res.headers.connection = {"x", "Close"}
      res:write "a"
      if long then res:flush() end
    end)
    assert.equal("200", statuses(text))
    assert.is_nil(field(text, "Connection"))
  end
end)

must("9.6", "what comes too late does not destroy the answer", function()
  local text = answers(of_post("Content-Length: 900000\r\n" ..
    "Connection: close\r\n", ("x"):rep(900000)),
    function(_, res) res:write(("y"):rep(100000)) end)
  assert.matches("\r\n\r\n186a0\r\ny+\r\n0\r\n\r\n$", text)
end)

must("9.6", "a client ends behind close, whoever says it", function()
  local close = {headers = {Connection = "close"}}
  for _, row in ipairs {{answer "a", close},
    {answer("a", "Connection: close\r\n")},
    {answer("a", "Connection: x,CLOSE\r\n")},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"}} do
    local ended = casting.channel(1)
    local base = peers.listen(function(stream)
      stream:read_until("\r\n\r\n", nil, LONG)
      stream:write(row[1])
      ended:send(stream:read("a", LONG))
    end)
    local c = client()
    assert.equal("a", c:request(base, row[2]).body)
    assert.same({"", n = 1}, helper.pack(ended:receive(LONG)))
    assert.equal(0, c:stats().idle)
  end
end)

must("9.7, 9.8", "both sides end TLS in order", function()
  if not has_tls then return end
  local certs = require("certs").make()
  local tls = {cert = certs.server.cert, key = certs.server.key}
  local trust = {ca = certs.ca.cert, name = "localhost"}
  local ended = casting.channel(1)
  local _, port = peers.listen(function(stream)
    stream:read_until("\r\n\r\n", nil, LONG)
    stream:write(answer("a", "Connection: close\r\n"))
    ended:send(stream:read("a", LONG))
  end, tls)
  local c = client {tls = trust}
  assert.equal("a", assert(c:request("https://127.0.0.1:" .. port)).body)
  assert.equal("", (ended:receive(LONG))) -- not nil, "truncated"
  local listener = keep(assert(net.listen("127.0.0.1", 0, {tls = tls})))
  casting.spawn(http.serve, listener, kit.tell)
  local _, ours = listener:name()
  local stream = keep(assert(net.connect("127.0.0.1", ours, {tls = trust})))
  stream:write("GET /a HTTP/1.1\r\n" .. HOST .. "Connection: close\r\n\r\n")
  assert.matches("GET /a $", assert(stream:read("a", LONG)))
  require("certs").remove()
end)

describe("RFC 9112,", function()
  for _, rule in ipairs(rules) do
    it(("%s: %s"):format(rule[1], rule[2]), rule[3])
  end
end)
