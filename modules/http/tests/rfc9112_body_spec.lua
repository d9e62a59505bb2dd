-- rfc9112_body_spec.lua - each "MUST" of RFC 9112 for servers and clients about
-- bodies; the others, and what is left out, are in rfc9112_spec.lua.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;./modules/tls/tests/?.lua;" ..
  package.path
local peers = require "peers"
local kit = require "rfckit"
local has_tls = pcall(require, "casting.tls")
local answer, client = peers.answer, peers.client
local answers, answers_to, asks = kit.answers, kit.answers_to, kit.asks
local makes, pieces, field = kit.makes, kit.pieces, kit.field
local of_post, statuses = kit.of_post, kit.statuses
local HOST, LONG = kit.HOST, helper.LONG

after_each(function()
  peers.close()
  casting.on_error(nil)
end)

local rules, must = kit.list()
local refuses = kit.refusal(must)

must("6.1, 7.1", "both sides read chunks", function()
  local text = answers(of_post("Transfer-Encoding: CHUNKED\r\n" ..
    "Connection: close\r\n", "3\r\nabc\r\n0A\r\n0123456789\r\n00\r\n\r\n"))
  assert.equal("POST / abc0123456789", text:match "\r\n\r\n(.*)")
  assert.equal("abcd", makes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked" ..
    "\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n").body)
end)

must("6.1", "both sides send chunks once", function()
  local function count(head)
    return select(2, (head .. "\r\n"):gsub(
      "\r\nTransfer%-Encoding: chunked\r", ""))
  end
  assert.equal(1, count((asks {body = pieces("a", "b")})))
  local text = answers_to("", function(_, res)
    res:write "a"
    res:flush()
  end)
  assert.equal(1, count(text))
  assert.matches("\r\n\r\n1\r\na\r\n0\r\n\r\n$", text)
end)

must("6.1", "no chunks are sent with 1xx and 204", function()
  local text = answers_to("", function(_, res)
    res.status = 204
    res:flush()
    res:write "a"
  end)
  assert.is_nil(field(text, "Transfer-Encoding"))
  assert.matches("^HTTP/1.1 204 [^\r]*\r\n.*\r\n\r\n$", text)
  text = answers(of_post("Content-Length: 1\r\nExpect: 100-continue\r\n" ..
    "Connection: close\r\n", "a"))
  assert.matches("^HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ", text)
end)

must("6.2", "no length is sent with 204", function()
  for _, flushes in ipairs {true, false} do
    local text = answers_to("", function(_, res)
      res.status = 204
      res.headers["content-length"] = 0
      res.headers.X = "y"
      if flushes then res:flush() end
    end)
    assert.matches("^HTTP/1.1 204 .*\r\nX: y\r\n", text)
    assert.is_nil(text:lower():find("content-length", 1, true))
  end
end)

refuses("6.1", "CONNECT, which may have no body of an answer,",
  "CONNECT x:80 HTTP/1.1\r\n" .. HOST .. "\r\n", "501")

must("6.1", "no chunks are sent to HTTP/1.0", function()
  local text = answers("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    function(_, res)
      res:write "a"
      res:flush()
    end)
  assert.is_nil(field(text, "Transfer-Encoding"))
  assert.matches("\r\n\r\na$", text)
end)

refuses("6.1", "a length beside chunks", of_post("Content-Length: 5\r\n" ..
  "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400")
refuses("6.1", "chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: " ..
  "chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n", "400")
must("6.1", "a client takes no chunks in HTTP/1.0", function()
  for _, lines in ipairs {"", "Content-Length: 5\r\n"} do
    local _, why, c = makes("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" ..
      lines .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert.matches("^malformed response", why)
    assert.equal(0, c:stats().idle)
  end
end)

must("6.2", "a length is not sent beside chunks", function()
  for _, o in ipairs {{body = pieces("a", "b")}, {body = "ab"},
    {body = pieces("a", "b"), headers = {["content-length"] = 2}}} do
    local head = asks(o):lower()
    assert.is_true((field(head, "transfer-encoding") ~= nil) ~=
      (field(head, "content-length") ~= nil))
  end
  for _, set in ipairs {true, false} do
    local text = answers_to("", function(_, res)
      if set then res.headers["content-length"] = 1 end
      res:flush()
      res:write "a"
    end):lower()
    assert.is_true((field(text, "transfer-encoding") ~= nil) ~=
      (field(text, "content-length") ~= nil))
  end
end)

must("6.3", "answers to HEAD, and 204 and 304, have no body", function()
  local base = peers.script {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n", answer "last"}
  local c = client()
  for i = 1, 4 do
    local o = {method = i <= 2 and "HEAD" or "GET"}
    assert.equal("", assert(c:request(base, o)).body)
  end
  assert.equal("last", c:request(base).body)
  assert.equal(1, c:stats().made)
end)

must("6.3", "a server sends no body to HEAD, whatever is wrong", function()
  kit.hide_failures()
  for line, status in pairs {["HEAD / HTTP/1.1"] = "500",
    ["HEAD /%zz HTTP/1.1"] = "400", ["HEAD / HTTP/2.0"] = "505"} do
    local text = answers(line .. "\r\n" .. HOST .. "\r\n", function()
      error "no"
    end)
    assert.equal(status, statuses(text))
    assert.matches("\r\n\r\n$", text)
    assert.is_string(field(text, "Content-Length"))
  end
end)

must("6.3", "a client heeds no length in an answer to CONNECT", function()
  if not has_tls then return end
  local said = casting.channel(1)
  local base = peers.listen(function(stream)
    stream:read_until("\r\n\r\n", nil, LONG)
    stream:write("HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: " ..
      "x\r\nTransfer-Encoding: gzip\r\n\r\n")
    said:send(stream:read(1, LONG) or "")
  end)
  client {proxy = base}:request "https://one.example/"
  assert.equal("\22", (said:receive(LONG))) -- a handshake of TLS has begun
end)

for _, coding in ipairs {"gzip", "chunked, gzip", "gzip\r\n" ..
  "Transfer-Encoding: identity", "chunked, chunked", "chunked;q=1", "x y"} do
  refuses("6.3", "the coding " .. coding:gsub("%s+", " "),
    of_post("Transfer-Encoding: " .. coding .. "\r\n", "0\r\n\r\n"), "400")
end
for _, coding in ipairs {"gzip, chunked", "x\r\nTransfer-Encoding: chunked"} do
  refuses("6.1", "the coding " .. coding:gsub("%s+", " "),
    of_post("Transfer-Encoding: " .. coding .. "\r\n", "0\r\n\r\n"), "501")
end

for _, length in ipairs {"x", "-1", "+1", "1.0", "0x1", "", "1 1", "1, 2",
  "1\r\nContent-Length: 2", "99999999999999999999", "\"1\""} do
  refuses("6.3", "the length " .. length:gsub("%s+", " "),
    of_post("Content-Length: " .. length .. "\r\n", "a"), "400")
  must("6.3", "a client takes no length " .. length:gsub("%s+", " "),
    function()
      local _, why, c = makes("HTTP/1.1 200 OK\r\nContent-Length: " ..
        length .. "\r\n\r\na")
      assert.matches("^malformed response", why)
      assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
    end)
end

must("6.3, 8", "what ends too soon is incomplete", function()
  for _, text in ipairs {of_post("Content-Length: 3\r\n", "ab"),
    of_post("Transfer-Encoding: chunked\r\n", "3\r\nab"),
    of_post("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n"),
    of_post("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n")} do
    local got = casting.channel(1)
    local base = peers.serve(function(req)
      got:send(select(2, req:read "a"))
    end)
    local stream = kit.connect(base)
    stream:write(text)
    stream:shutdown()
    assert.equal("truncated", (got:receive(LONG)))
    assert.equal("200", statuses(stream:read("a", LONG)))
  end
  for _, text in ipairs {"Content-Length: 3\r\n\r\nab",
    "Transfer-Encoding: chunked\r\n\r\n3\r\nab",
    "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"} do
    local _, why, c = makes("HTTP/1.1 200 OK\r\n" .. text)
    assert.equal("truncated", why)
    assert.equal(0, c:stats().idle)
  end
end)

must("6.3", "a body that is too late is incomplete", function()
  local text = answers(of_post("Content-Length: 3\r\n", "ab"),
    function(req, res) res:write(select(2, req:read "a")) end,
    {timeout = 0.05})
  assert.matches("timeout$", text)
end)

must("6.3", "a client says how long its body is", function()
  assert.equal("3", field((asks {body = "abc"}), "Content-Length"))
  assert.equal("0", field((asks {body = ""}), "Content-Length"))
  assert.equal("chunked",
    field((asks {body = pieces "abc"}), "Transfer-Encoding"))
end)

must("6.3, 9.2", "nothing that was not asked for is an answer", function()
  local base = peers.script({answer "one" .. answer "wrong"}, {answer "two"})
  local c = client()
  assert.equal("one", c:request(base).body)
  assert.equal("two", c:request(base).body)
  assert.equal(2, c:stats().made)
end)

must("7.1", "sizes of chunks do not overflow", function()
  for _, size in ipairs {"10000000000000003", "100000000000000000000000003",
    ("f"):rep(16), "8000000000000000", ("0"):rep(5000) .. "3"} do
    local text = answers(of_post("Transfer-Encoding: chunked\r\n", size ..
      "\r\nabc\r\n0\r\n\r\n"))
    assert.matches("POST / nil$", text)
    local _, why = makes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked" ..
      "\r\n\r\n" .. size .. "\r\nabc\r\n0\r\n\r\n")
    assert.is_string(why)
  end
end)

must("7.1.1", "extensions of chunks are left out", function()
  local chunks = "3;a=b\r\nabc\r\n3 ;c;d=\"e\"\r\ndef\r\n0;f\r\n\r\n"
  local text = answers(of_post("Transfer-Encoding: chunked\r\n" ..
    "Connection: close\r\n", chunks))
  assert.matches("POST / abcdef$", text)
  assert.equal("abcdef", makes("HTTP/1.1 200 OK\r\nTransfer-Encoding: " ..
    "chunked\r\n\r\n" .. chunks).body)
end)

must("7.1.1", "of extensions not more is read than is reasonable", function()
  local text = answers(of_post("Transfer-Encoding: chunked\r\n",
    ("1;" .. ("x"):rep(500) .. "\r\na\r\n"):rep(1000) .. "0\r\n\r\n"),
    function(req, res) res:write(select(2, req:read "a")) end)
  assert.equal("200", statuses(text))
  assert.matches("too long$", text)
end)

must("7.1.2", "fields behind the body are none of the header", function()
  local chunks = "1\r\na\r\n0\r\nX: b\r\nContent-Length: 7\r\n\r\n"
  local text = answers(of_post("X: c\r\nTransfer-Encoding: chunked\r\n" ..
    "Connection: close\r\n", chunks), function(req, res)
      req:read "a"
      res:write(req.headers.x .. tostring(req.headers["content-length"]))
    end)
  assert.matches("cnil$", text)
  assert.equal("c", makes("HTTP/1.1 200 OK\r\nX: c\r\nTransfer-Encoding: " ..
    "chunked\r\n\r\n" .. chunks).headers.x)
end)

describe("RFC 9112,", function()
  for _, rule in ipairs(rules) do
    it(("%s: %s"):format(rule[1], rule[2]), rule[3])
  end
end)
