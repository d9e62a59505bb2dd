-- client_spec.lua - http.request: what goes out, and what may come back.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local http = require "casting.http"
local peers = require "peers"
local answer, client, script = peers.answer, peers.client, peers.script
local pack, LONG = helper.pack, helper.LONG

after_each(peers.close)

-- Asks a server that gives this answer once. The client closes it, too.
local function ask(text, options)
  local base, seen = script {text}
  local c = client()
  local response, why = c:request(base, options)
  return response, why, seen, c
end

-- What a request with these options looks like; to a path of that server.
local function sent(options, path)
  local base, seen, port = script {answer ""}
  assert(client():request(base .. (path or "/"), options))
  return (seen[1].head:gsub("127.0.0.1:" .. port, "HERE")), seen[1].body, port
end

-- -- what goes out ------------------------------------------------------------

describe("a request", function()
  it("is no more than has to be said", function()
    assert.equal("GET /a?b=c HTTP/1.1\r\nHost: HERE\r\nUser-Agent: casting/" ..
      casting._VERSION .. "\r\nAccept-Encoding: gzip", (sent(nil, "/a?b=c#d")))
  end)

  it("has the fields of the program", function()
    local head = sent {headers = {["X-Number"] = 7, Accept = {"a", "b"},
      ["user-agent"] = "me", Host = "elsewhere"}}
    for _, line in ipairs {"X-Number: 7", "Accept: a", "Accept: b",
      "user-agent: me", "Host: elsewhere"} do
      assert.is_truthy((head .. "\r\n"):find("\r\n" .. line .. "\r\n", 1, true))
    end
    assert.is_nil(head:find("HERE", 1, true))
    assert.is_nil(head:find("casting", 1, true))
  end)

  it("with a body is a POST, and has its length", function()
    local head, body = sent {body = {"one ", {"two ", 3}}}
    assert.matches("^POST / ", head)
    assert.matches("\r\nContent%-Length: 9$", head)
    assert.equal("one two 3", body)
  end)

  it("of some methods says that it has no body", function()
    assert.matches("\r\nContent%-Length: 0$", (sent {method = "PUT"}))
    assert.is_nil((sent {method = "DELETE"}):find("Content-Length", 1, true))
  end)

  it("has a form", function()
    local head, body = sent {form = {b = "x y&z", a = {1, true}}}
    assert.matches("Content%-Type: application/x%-www%-form%-urlencoded", head)
    assert.equal("a=1&a=true&b=x%20y%26z", body)
  end)

  it("sends what a function gives, in chunks", function()
    local pieces = {"one", "", "three", nil}
    local i = 0
    local head, body = sent {method = "PUT", body = function()
      i = i + 1
      return pieces[i]
    end}
    assert.matches("\r\nTransfer%-Encoding: chunked$", head)
    assert.equal("3\r\none\r\n5\r\nthree\r\n", body)
  end)

  it("sends what a function gives, of a length that was said", function()
    local n = 0
    local head, body = sent {headers = {["content-length"] = 4},
      body = function()
        n = n + 1
        return n <= 2 and "ab" or nil
      end}
    assert.matches("\r\nContent%-Length: 4$", head)
    assert.equal("abab", body)
  end)

  it("has user and password of the URL, or of the option", function()
    local base, seen, port = script {answer "", answer "", answer ""}
    local c = client()
    local function line()
      return seen[#seen].head:match "Authorization: ([^\r]*)"
    end
    assert(c:request("http://u:p%40%3A@127.0.0.1:" .. port))
    assert.equal("Basic dTpwQDo=", line())
    assert(c:request(base, {auth = {"Aladdin", "open sesame"}}))
    assert.equal("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", line())
    assert(c:request(base))
    assert.is_nil(line())
  end)

  it("is made in tasks, in sessions and in the main program", function()
    local base = peers.serve(function(req, res) res:write(req.path) end)
    local function get(url)
      return require("casting.http").request(url).body
    end
    assert.equal("/main", get(base .. "/main"))
    assert.equal("/task", casting.spawn(get, base .. "/task"):await(LONG))
    local s = casting.session()
    assert.equal("/session", s:spawn(get, base .. "/session"):await(LONG))
    s:close()
  end)

  it("gives the failure of a function to its caller", function()
    local base = script {answer ""}
    local mine = {}
    local ok, e = pcall(http.request, base, {body = function() error(mine) end})
    assert.is_false(ok)
    assert.equal(mine, e)
    assert.same({nil, "body: no such file", n = 2}, pack(http.request(base,
      {body = function() return nil, "no such file" end})))
    assert.error_matches(function()
      http.request(base, {body = function() return 7 end})
    end, "body: the function must return a string or nil, not a number")
    for length, words in pairs {[1] = "1 bytes more", [5] = "3 bytes less"} do
      local n = 0
      assert.error_matches(function()
        http.request(base, {headers = {["Content-Length"] = length},
          body = function()
            n = n + 1
            return n == 1 and "ab" or nil
          end})
      end, words .. " than the header field Content%-Length says")
    end
  end)

  it("gives a failure that comes behind the head, too", function()
    for _, streamed in ipairs {true, false} do
      local head = casting.channel()
      local base = peers.listen(function(stream)
        stream:read_until("\r\n\r\n", nil, LONG)
        stream:write "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        head:close()
        stream:read("a", LONG)
      end)
      local c = client()
      assert.error_matches(function()
        local r = c:request(base, {stream = streamed, body = function()
          head:receive(LONG)
          casting.yield()
          error "my own"
        end})
        r:read "a"
      end, "my own")
      assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
    end
  end)

  it("holds no connection when a read has raised that", function()
    local base = peers.listen(function(stream)
      stream:read_until("\r\n\r\n", nil, LONG)
      stream:write "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
      stream:read("a", LONG)
    end)
    local c, go = client(), casting.channel()
    local r = c:request(base, {stream = true, body = function()
      go:receive(LONG)
      error "my own"
    end})
    go:close()
    assert.error_matches(function() r:read "a" end, "my own")
    assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
  end)

  it("takes an answer that comes before its body is sent", function()
    local asked = casting.channel()
    local base = peers.listen(function(stream)
      stream:read_until("\r\n\r\n", nil, LONG)
      stream:write(answer("enough", nil, "413 Too Much"))
      asked:receive(LONG)
    end)
    local c = client()
    local r = assert(c:request(base, {body = ("x"):rep(30000000)}))
    assert.equal(413, r.status)
    assert.equal("enough", r.body)
    assert.equal(0, c:stats().idle)
    asked:close()
  end)

  it("sends and receives at once", function()
    local base = peers.listen(function(stream)
      local head = stream:read_until("\r\n\r\n", nil, LONG)
      local n = tonumber(head:match "Content%-Length: (%d+)")
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: " .. n .. "\r\n\r\n")
      stream:copy(stream, n)
      stream:read(1, LONG)
    end)
    local c = client()
    local body = ("0123456789abcdef"):rep(1000000)
    assert.equal(body, assert(c:request(base, {body = body})).body)
    assert.equal(1, c:stats().idle)
  end)
end)

describe("a bad argument", function()
  local function raises(words, ...)
    local ok, e = pcall(http.request, ...)
    assert.is_false(ok)
    assert.matches(words, e)
  end
  local U = "http://127.0.0.1:1/"

  it("is named", function()
    raises("bad argument #1 to 'request' %(a URL is expected, as a string, " ..
      "got nil%)", nil)
    raises("#1 to 'request' %(url is missing%)", {method = "GET"})
    raises("#1 to 'request' %(malformed URL: it must begin with", "/x")
    raises("#2 to 'request' %(table expected, got 7%)", U, 7)
    raises("#2 to 'request' %(unknown option 'methd'%)", U, {methd = "GET"})
    raises("#1 to 'request' %(unknown option 'methd'%)", {url = U, methd = ""})
    raises("#2 to 'request' %(options in two places%)", {url = U}, {})
    raises("timeout must be a number of seconds above zero, got 0", U,
      {timeout = 0})
    raises("redirects must be false or an integer", U, {redirects = 1.5})
    for _, none in ipairs {-1, 0, 0.5, 1000.5, 0 / 0} do
      raises("max_body must be an integer above zero, or math.huge", U,
        {max_body = none})
      raises("max_header must be an integer from 1 to 2^31", U,
        {max_header = none})
    end
    raises("max_header must be an integer from 1 to 2^31", U,
      {max_header = math.huge})
    raises("max_header must be an integer from 1 to 2^31", U,
      {max_header = 2 ^ 31 + 1})
    raises("decode must be a boolean, got string", U, {decode = "no"})
    raises("jar must be a jar of http.jar, got table", U, {jar = {}})
    raises("proxy must be false, a URL or a table, got number", U, {proxy = 7})
    raises("proxy: its scheme must be http", U, {proxy = "ftp://x"})
    raises("proxy: a proxy is spoken to by http", U, {proxy = "https://x"})
    raises("tls must be true, a table or a TLS context, got string", U,
      {tls = "x"})
    raises("tls must not be that of a server", U, {tls = {server = true}})
    raises("auth must be a list of a user, without a colon, and a password", U,
      {auth = {"a:b", "c"}})
    raises("auth and headers.Authorization at once", U,
      {auth = {"a", "c"}, headers = {authorization = "x"}})
    raises("body and form at once", U, {body = "", form = {}})
    raises("body must be a string, a number, a list of these or a function",
      U, {body = true})
    raises("form: 'x' must be a string", U, {form = {x = print}})
    raises("headers: Content%-Length is 3, and the body has 2 bytes", U,
      {body = "ab", headers = {["content-length"] = 3}})
    raises("headers: Content%-Length is 9007199254740992, and the body has 2",
      U, {body = "ab", headers = {["content-length"] = 2 ^ 53}})
    for _, none in ipairs {-1, 0.5, 1e300, math.huge, "0x2", "2e0", " 2", ""} do
      raises("headers: Content%-Length must be a number of bytes", U,
        {body = "ab", headers = {["content-length"] = none}})
    end
  end)

  it("is raised with the line of the program", function()
    local c = client()
    local _, first = pcall(function() http.request "http://a b" end)
    local _, second = pcall(function() http.client {pool = -1} end)
    local _, third = pcall(function() c:request "http://a b" end)
    local here = "client_spec.lua:%d+: bad argument #1 to "
    assert.matches(here .. "'request'", first)
    assert.matches(here .. "'client' %(pool must be an integer", second)
    assert.matches(here .. "'request'", third)
  end)

  it("cannot split a request", function()
    for _, bad in ipairs {"a\r\nb", "a\nb", "a\rb", "a\0b"} do
      raises("malformed URL: the byte %d+ must be written as %%", U .. bad)
      raises("method must be a token", U, {method = bad})
      raises("headers: the header field 'X' must be one line", U,
        {headers = {X = bad}})
      raises("headers: the header field 'X' must be one line", U,
        {headers = {X = {"fine", bad}}})
      raises("headers: the name of a header field must be a token", U,
        {headers = {[bad] = "x"}})
      for _, name in ipairs {"Cookie", "Host", "Connection"} do
        raises("headers: the header field '" .. name .. "' must be one line",
          U, {headers = {[name] = bad}})
      end
    end
    raises("method must be a token", U, {method = "GET /x HTTP/1.1"})
    raises("method must not be CONNECT", U, {method = "CONNECT"})
    raises("'Transfer%-Encoding' is not the program's to say", U,
      {headers = {["Transfer-Encoding"] = "chunked"}})
    raises("comes in two spellings", U, {headers = {["X-a"] = 1, ["x-A"] = 2}})
    raises("Host must be one host", U, {headers = {Host = {"a", "b"}}})
    raises("Host must be one host", U, {headers = {Host = "a/b"}})
  end)
end)

-- -- what comes back ----------------------------------------------------------

describe("a response", function()
  it("has status, reason, headers and body", function()
    local r = ask(answer("hello", "X-A: 1\r\nx-a: 2\r\nSet-Cookie: a\r\n" ..
      "Set-Cookie: b\r\n", "299 As it were"))
    assert.equal(299, r.status)
    assert.equal("As it were", r.reason)
    assert.equal("hello", r.body)
    assert.equal("1, 2", r.headers["X-A"])
    assert.same({"a", "b"}, r.headers["set-cookie"])
    assert.matches("^http://127.0.0.1:%d+/$", r.url)
  end)

  it("may have a status that nobody knows", function()
    assert.equal(999, ask(answer("", nil, "999 Request denied")).status)
  end)

  it("crosses to other sessions", function()
    local r = ask(answer("hello", "X-A: 1\r\n"))
    local s = casting.session()
    assert.equal("hello1", s:spawn(function(r)
      return r.body .. r.headers["X-A"]
    end, r):await(LONG))
    s:close()
  end)

  it("may have no reason, and no blank before it", function()
    assert.equal("", ask("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").reason)
    assert.equal("", ask("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n").reason)
  end)

  it("goes on to the end of the connection", function()
    assert.equal("all of it",
      ask("HTTP/1.1 200 OK\r\n\r\nall of it").body)
    assert.equal("", ask("HTTP/1.0 200 OK\r\n\r\n").body)
  end)

  it("comes in chunks, with extensions and a trailer", function()
    local r, _, _, c = ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked" ..
      "\r\n\r\n3;x=y\r\nabc\r\n00A \t; z\r\n0123456789\r\n0\r\nX: y\r\n\r\n")
    assert.equal("abc0123456789", r.body)
    assert.equal(1, c:stats().idle)
  end)

  it("has no body for HEAD, 204 and 304", function()
    local base = script {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
      answer "last"}
    local c = client()
    for i = 1, 4 do
      local r = assert(c:request(base, {method = i < 3 and "HEAD" or "GET"}))
      assert.equal("", r.body)
    end
    assert.equal("last", c:request(base).body)
    assert.equal(1, c:stats().made)
  end)

  it("comes behind others with a status of 1xx", function()
    assert.equal("hello", ask("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 " ..
      "Early Hints\r\nLink: x\r\n\r\n" .. answer "hello").body)
    local _, why = ask(("HTTP/1.1 100 Continue\r\n\r\n"):rep(100) ..
      answer "hello")
    assert.equal("malformed response: too many responses before the last one",
      why)
  end)

  it("may say its length twice, but not two lengths", function()
    assert.equal("ab", ask("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" ..
      "Content-Length: 2\r\n\r\nab").body)
    local _, why = ask("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" ..
      "Content-Length: 3\r\n\r\nabc")
    assert.equal("malformed response: Content-Length is malformed", why)
  end)
end)

describe("a response that is none", function()
  local LINE = "HTTP/1.1 200 OK\r\n"
  local cases = {
    {"nonsense\r\n\r\n", "the first line is malformed"},
    {"\r\n\r\n", "the first line is malformed"},
    {"HTTP/2.0 200 OK\r\n\r\n", "only HTTP/1.1 and HTTP/1.0"},
    {"HTTP/1.1 20 OK\r\n\r\n", "the first line is malformed"},
    {"HTTP/1.1 099 OK\r\n\r\n", "the first line is malformed"},
    {"HTTP/1.1  200 OK\r\n\r\n", "the first line is malformed"},
    {"HTTP/1.1 200 O\0K\r\n\r\n", "the first line is malformed"},
    {"HTTP/1.1 200 O\rK\r\n\r\n", "the first line is malformed"},
    {LINE .. " A: b\r\n\r\n", "a header field is malformed"},
    {LINE .. "A: b\0c\r\n\r\n", "a header field is malformed"},
    {LINE .. "A: b\rc\r\n\r\n", "a header field is malformed"},
    {LINE .. "A: b\nC: d\r\n\r\n", "a header field is malformed"},
    {LINE .. "A : b\r\n\r\n", "a header field is malformed"},
    {LINE .. "no colon\r\n\r\n", "a header field is malformed"},
    {LINE .. ": b\r\n\r\n", "a header field is malformed"},
    {LINE .. "Content-Length: -1\r\n\r\n", "Content-Length is malformed"},
    {LINE .. "Content-Length: 1, 1\r\n\r\n", "Content-Length is malformed"},
    {LINE .. "Content-Length: 0x1\r\n\r\n", "Content-Length is malformed"},
    {LINE .. "Content-Length: 99999999999999999999\r\n\r\n",
      "Content-Length is malformed"},
    {LINE .. "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
      "Content-Length and Transfer-Encoding at once"},
    {LINE .. "Transfer-Encoding: gzip, chunked\r\n\r\n",
      "only chunked is understood"},
    {LINE .. "Transfer-Encoding: chunked, chunked\r\n\r\n",
      "Transfer-Encoding is malformed"},
    {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "Transfer-Encoding in HTTP/1.0"},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n",
      "nobody has asked for another protocol"},
    {LINE .. ("A: b\r\n"):rep(201) .. "\r\n", "too many header fields"},
    {LINE .. ("A: b\r\n"):rep(100000) .. "\r\n", "the header is too long"},
    {LINE .. "A: " .. ("b"):rep(70000) .. "\r\n\r\n", "the header is too long"},
  }
  for i, case in ipairs(cases) do
    it(("is refused: %d, %s"):format(i, case[2]), function()
      local r, why, _, c = ask(case[1])
      assert.is_nil(r)
      assert.equal("malformed response: " .. case[2], why)
      assert.equal(0, c:stats().idle + c:stats().busy)
    end)
  end

  it("may end too soon", function()
    for _, text in ipairs {"H", "HTTP/1.1 200 OK\n\n", LINE .. "A: b\r\n",
      LINE .. "Content-Length: 5\r\n\r\nabcd",
      LINE .. "Transfer-Encoding: chunked\r\n\r\n",
      LINE .. "Transfer-Encoding: chunked\r\n\r\n3",
      LINE .. "Transfer-Encoding: chunked\r\n\r\n3\r\nab",
      LINE .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc",
      LINE .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      LINE .. "Transfer-Encoding: chunked\r\n\r\n0\r\n",
      LINE .. "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n"} do
      local _, why = ask(text)
      assert.equal("truncated", why, text)
    end
  end)

  it("may have malformed chunks", function()
    for _, text in ipairs {"x\r\n", "-1\r\n", "3\nabc\r\n", "3\r\nabcd\r\n",
      "3 x\r\nabc\r\n", "0\r\nno colon\r\n\r\n", "0\r\n: x\r\n\r\n",
      "1000000000000\r\n"} do
      local _, why =
        ask(LINE .. "Transfer-Encoding: chunked\r\n\r\n" .. text)
      assert.equal("malformed", why, text:sub(1, 40))
    end
  end)

  it("may have more beside its chunks than is read", function()
    local x = ("x"):rep(1000)
    for _, text in ipairs {"1;" .. ("x"):rep(5000) .. "\r\na\r\n0\r\n\r\n",
      ("1;" .. x .. "\r\na\r\n"):rep(20) .. "0\r\n\r\n",
      "0\r\n" .. ("A: b\r\n"):rep(10000) .. "\r\n"} do
      local _, why =
        ask(LINE .. "Transfer-Encoding: chunked\r\n\r\n" .. text)
      assert.equal("too long", why, text:sub(1, 40))
    end
    -- As much is fine if there is more of the body.
    local chunk = "2000;" .. x .. "\r\n" .. ("y"):rep(8192) .. "\r\n"
    assert.equal(20 * 8192, #ask(LINE .. "Transfer-Encoding: chunked\r\n\r\n" ..
      chunk:rep(20) .. "0\r\n\r\n").body)
  end)

  it("is nothing at all", function()
    local base = peers.listen(function(stream)
      stream:read_until("\r\n\r\n", nil, LONG)
    end)
    assert.same({nil, "closed", n = 2}, pack(client():request(base)))
  end)

  it("is too long", function()
    for _, text in ipairs {answer "123456",
      "HTTP/1.1 200 OK\r\n\r\n123456",
      LINE .. "Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n" ..
        "0\r\n\r\n"} do
      local _, why = ask(text, {max_body = 5})
      assert.equal("too long", why, text)
      assert.equal("123456", ask(text, {max_body = 6}).body)
    end
  end)

  it("takes too long", function()
    local base = peers.listen(function(stream, n)
      stream:read_until("\r\n\r\n", nil, LONG)
      if n > 1 then stream:write "HTTP/1.1 200 OK\r\n" end
      if n > 2 then stream:write "Content-Length: 5\r\n\r\n12" end
      stream:read(1, LONG)
    end)
    local c = client {timeout = 0.2}
    for n = 1, 3 do
      assert.same({nil, "timeout", n = 2}, pack(c:request(base)))
      assert.same({idle = 0, busy = 0, waiting = 0, made = n}, c:stats())
    end
  end)
end)
