-- server_spec.lua - http.serve: what it answers, byte for byte.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local http = require "casting.http"
local net = require "casting.net"
local LONG = helper.LONG

-- -- tools --------------------------------------------------------------------

local open = {}

after_each(function()
  for i = #open, 1, -1 do
    pcall(open[i].close, open[i])
    open[i] = nil
  end
end)

-- Serves in a task: the port, the task, the listener.
local function serve(handler, options)
  local listener = assert(net.listen("127.0.0.1", 0))
  open[#open + 1] = listener
  local task = casting.spawn(http.serve, listener, handler, options)
  return select(2, listener:name()), task, listener
end

-- All that comes back for these bytes, until the server ends the connection, or
-- all has come and the client has ended its side.
local function ask(port, text)
  local stream = assert(net.connect("127.0.0.1", port))
  open[#open + 1] = stream
  stream:write(text)
  stream:shutdown()
  local all, why, rest = stream:read("a", LONG)
  stream:close()
  return all or rest or why
end

-- Without what differs from one second to the next.
local function plain(answer)
  return (answer:gsub("Date: [^\r]*\r\n", ""):gsub("\r\n", "\n"))
end

local function statuses(answer)
  local list = {}
  for status in answer:gmatch "HTTP/1%.1 (%d+)" do list[#list + 1] = status end
  return table.concat(list, " ")
end

-- What was asked, in a few words.
local function tell(req, res)
  local body = req:read "a"
  res:write(("%s %s %s"):format(req.method, req.path, tostring(body)))
end

-- -- requests -----------------------------------------------------------------

describe("an answer", function()
  it("is short and has its length", function()
    local port = serve(function(_, res) res:write "hello\n" end)
    assert.equal([[
HTTP/1.1 200 OK
Content-Type: text/plain; charset=utf-8
Content-Length: 6

hello
]], plain(ask(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")))
  end)

  it("comes in chunks if it is long", function()
    local port = serve(function(_, res)
      res:write(("x"):rep(5000))
      res:write "yy"
    end)
    local text = plain(ask(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert.equal("HTTP/1.1 200 OK\nContent-Type: text/plain; " ..
      "charset=utf-8\nTransfer-Encoding: chunked\n\n1388\n" ..
      ("x"):rep(5000) .. "\n2\nyy\n0\n\n", text)
  end)

  it("to HTTP/1.0 ends with the connection", function()
    local port = serve(function(_, res)
      res:write "a"
      res:flush()
      res:write "b"
    end)
    assert.equal([[
HTTP/1.1 200 OK
Content-Type: text/plain; charset=utf-8
Connection: close

ab]], plain(ask(port, "GET / HTTP/1.0\r\n\r\n")))
  end)

  it("keeps a connection with HTTP/1.0 if that asks for it", function()
    local port = serve(function(_, res) res:write "a" end)
    local one = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    local text = plain(ask(port, one .. one))
    assert.equal("200 200", statuses(text))
    assert.equal(2, select(2, text:gsub("Connection: keep%-alive\n", "")))
  end)

  it("to HEAD has the length and no body", function()
    local port = serve(function(_, res) res:write "hello" end)
    assert.equal([[
HTTP/1.1 200 OK
Content-Type: text/plain; charset=utf-8
Content-Length: 5
Connection: close

]], plain(ask(port, "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")))
  end)

  for _, status in ipairs {204, 304} do
    it("of " .. status .. " has no body, and no length", function()
      local port = serve(function(_, res) res.status = status end)
      local text = plain(ask(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
      assert.matches("^HTTP/1%.1 " .. status .. " [%a ]+\n\n$", text)
    end)
  end

  it("has the fields of the handler", function()
    local port = serve(function(_, res)
      res.status = 201
      res.headers["Content-Type"] = "text/html"
      res.headers["X-Number"] = 7
      res.headers["Set-Cookie"] = {"a=1", "b=2"}
      res:finish "x"
    end)
    local text = plain(ask(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    for _, line in ipairs {"HTTP/1.1 201 Created", "Content-Type: text/html",
      "X-Number: 7", "Set-Cookie: a=1", "Set-Cookie: b=2",
      "Content-Length: 1"} do
      assert.is_truthy(text:find(line .. "\n", 1, true), line)
    end
    assert.is_nil(text:find("text/plain", 1, true))
  end)

  it("has a length that was said before", function()
    local port = serve(function(_, res)
      res.headers["content-length"] = 6
      res:write "abc"
      res:flush()
      res:write "def"
    end)
    assert.matches("content%-length: 6\n.*\nabcdef$",
      plain(ask(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")))
  end)
end)

describe("a request", function()
  it("has method, path, query and fields", function()
    local got = casting.channel(1)
    local port = serve(function(req)
      got:send(req.method, req.target, req.path, req.text, req.query.a,
        req.query["b c"], req.headers["x-a"], req.headers["X-A"],
        req.headers.cookie)
    end)
    ask(port, "PUT /%41/b?a=1%202&b+c=d+e&a=3 HTTP/1.1\r\nHost: x\r\n" ..
      "X-A: 1\r\nx-a:  2\t\r\nCookie: p=1\r\nCookie: q=2\r\n\r\n")
    assert.same({"PUT", "/%41/b?a=1%202&b+c=d+e&a=3", "/A/b",
      "a=1%202&b+c=d+e&a=3", "1 2", "d e", "1, 2", "1, 2", "p=1; q=2"},
      {got:receive(LONG)})
  end)

  it("may be one of many on a connection", function()
    local port = serve(tell)
    local one = "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d"
    local all = {}
    for i = 1, 9 do all[i] = one:format(i, i) end
    local text = plain(ask(port, table.concat(all)))
    for i = 1, 9 do
      assert.is_truthy(text:find(("POST /%d %d"):format(i, i), 1, true))
    end
  end)

  it("may have a body in chunks, and fields behind it", function()
    local port = serve(tell)
    local text = plain(ask(port, "POST / HTTP/1.1\r\nHost: x\r\n" ..
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A ;a=b\r\n0123456789" ..
      "\r\n0\r\nX: y\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert.is_truthy(text:find("POST / abc0123456789", 1, true))
    assert.is_truthy(text:find("GET /2 ", 1, true))
  end)

  it("whose body was not read does not harm the next one", function()
    local port = serve(function(req, res) res:write(req.path) end)
    assert.equal("200 200", statuses(ask(port, "POST /1 HTTP/1.1\r\nHost: x" ..
      "\r\nContent-Length: 20000\r\n\r\n" .. ("G"):rep(20000) ..
      "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")))
  end)

  it("that waits is told to go on when its body is read", function()
    local port = serve(tell)
    local text = plain(ask(port, "POST / HTTP/1.1\r\nHost: x\r\n" ..
      "Content-Length: 2\r\nExpect: 100-continue\r\n\r\nab"))
    assert.equal("100 200", statuses(text))
    port = serve(function(_, res) res.status = 403 end)
    text = plain(ask(port, "POST / HTTP/1.1\r\nHost: x\r\n" ..
      "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"))
    assert.equal("403", statuses(text))
  end)

  it("may name the whole address", function()
    local port = serve(tell)
    assert.matches("GET /p $", plain(ask(port,
      "GET http://host:80/p HTTP/1.1\r\nHost: x\r\n\r\n")))
  end)
end)

-- -- what is refused ----------------------------------------------------------

local HOST = "Host: x\r\n"

-- {what it is, request, statuses}
local rows = {
  {"RFC 9112, 2.2: an empty line before", "\r\nGET / HTTP/1.1\r\n" .. HOST ..
    "\r\n", "200"},
  {"RFC 9112, 2.2: a bare CR", "GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
    "400"},
  {"RFC 9112, 2.2: a bare LF", "GET / HTTP/1.1\nHost: x\n\r\n\r\n", "400"},
  {"RFC 9112, 2.2: blanks before the first field",
    "GET / HTTP/1.1\r\n " .. HOST .. "\r\n", "400"},
  {"RFC 9112, 3: two blanks", "GET  / HTTP/1.1\r\n" .. HOST .. "\r\n", "400"},
  {"RFC 9112, 3: a blank in the target", "GET /a b HTTP/1.1\r\n" .. HOST ..
    "\r\n", "400"},
  {"RFC 9112, 3: no version", "GET /\r\n" .. HOST .. "\r\n", "400"},
  {"RFC 9112, 3.1: a method that is no token", "G(T / HTTP/1.1\r\n" .. HOST ..
    "\r\n", "400"},
  {"RFC 9112, 3.2: no host", "GET / HTTP/1.1\r\n\r\n", "400"},
  {"RFC 9112, 3.2: two hosts", "GET / HTTP/1.1\r\n" .. HOST .. HOST .. "\r\n",
    "400"},
  {"RFC 9112, 3.2: a malformed host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "400"},
  {"RFC 9112, 3.2: an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "200"},
  {"RFC 9112, 3.2: no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "200"},
  {"RFC 9112, 3.2: a target without a slash", "GET a HTTP/1.1\r\n" .. HOST ..
    "\r\n", "400"},
  {"RFC 9112, 3.2: a fragment", "GET /#a HTTP/1.1\r\n" .. HOST .. "\r\n",
    "400"},
  {"RFC 9112, 3.2.4: an asterisk", "OPTIONS * HTTP/1.1\r\n" .. HOST .. "\r\n",
    "200"},
  {"RFC 9112, 2.3: HTTP/2.0", "GET / HTTP/2.0\r\n" .. HOST .. "\r\n", "505"},
  {"RFC 9112, 2.3: HTTP/1.2", "GET / HTTP/1.2\r\n" .. HOST .. "\r\n", "200"},
  {"RFC 9112, 2.3: in lower case", "GET / http/1.1\r\n" .. HOST .. "\r\n",
    "400"},
  {"RFC 9112, 5.1: a blank before the colon",
    "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400"},
  {"RFC 9112, 5.1: an empty name", "GET / HTTP/1.1\r\n" .. HOST ..
    ": x\r\n\r\n", "400"},
  {"RFC 9112, 5: no colon", "GET / HTTP/1.1\r\n" .. HOST .. "X\r\n\r\n",
    "400"},
  {"RFC 9112, 5.2: a folded field", "GET / HTTP/1.1\r\n" .. HOST ..
    "X: a\r\n b\r\n\r\n", "400"},
  {"RFC 9110, 5.5: a zero byte", "GET / HTTP/1.1\r\n" .. HOST ..
    "X: a\0b\r\n\r\n", "400"},
  {"RFC 9112, 6.1: both lengths", "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "400"},
  {"RFC 9112, 6.1: chunked in HTTP/1.0",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
  {"RFC 9112, 6.1: chunked twice", "POST / HTTP/1.1\r\n" .. HOST ..
    "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400"},
  {"RFC 9112, 6.1: another coding", "POST / HTTP/1.1\r\n" .. HOST ..
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
  {"RFC 9112, 6.1: chunked with a tail", "POST / HTTP/1.1\r\n" .. HOST ..
    "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "400"},
  {"RFC 9112, 6.1: in upper case", "POST / HTTP/1.1\r\n" .. HOST ..
    "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", "200"},
  {"RFC 9112, 6.1: with a tab, which others do not know",
    "POST / HTTP/1.1\r\n" .. HOST ..
    "Transfer-Encoding: chunked \t \r\n\r\n0\r\n\r\n", "400"},
  {"RFC 9112, 6.2: a length with a tab", "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length:  \t 3\r\n\r\nabc", "400"},
  {"RFC 9112, 6.2: a length with blanks", "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length:   3  \r\n\r\nabc", "200"},
  {"RFC 9112, 6.3: two lengths", "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "400"},
  {"RFC 9112, 6.3: a list of lengths", "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length: 1, 1\r\n\r\nx", "400"},
  {"RFC 9112, 6.3: a length with a sign", "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length: +1\r\n\r\nx", "400"},
  {"RFC 9112, 6.3: a hexadecimal length", "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length: 0x1\r\n\r\nx", "400"},
  {"RFC 9112, 6.3: an empty length", "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length:\r\n\r\n", "400"},
  {"RFC 9112, 6.3: a length beyond 2^64", "POST / HTTP/1.1\r\n" .. HOST ..
    "Content-Length: 18446744073709551617\r\n\r\nx", "400"},
  {"RFC 9110, 10.1.1: another expectation", "GET / HTTP/1.1\r\n" .. HOST ..
    "Expect: more\r\n\r\n", "417"},
  {"RFC 9110, 15.5.14: a body that is too long", "POST / HTTP/1.1\r\n" ..
    HOST .. "Content-Length: 1048577\r\n\r\n", "413"},
  {"a percent sign at the end", "GET /a% HTTP/1.1\r\n" .. HOST .. "\r\n",
    "400"},
  {"a percent sign before no number", "GET /%zz HTTP/1.1\r\n" .. HOST ..
    "\r\n", "400"},
  {"a zero byte in the path", "GET /%00 HTTP/1.1\r\n" .. HOST .. "\r\n",
    "400"},
  {"RFC 6585, 5: a header that is too long", "GET / HTTP/1.1\r\n" .. HOST ..
    "X: " .. ("x"):rep(70000) .. "\r\n\r\n", "431"},
  {"RFC 6585, 5: too many fields", "GET / HTTP/1.1\r\n" .. HOST ..
    ("X: x\r\n"):rep(300) .. "\r\n", "431"},
  {"RFC 9112, 9.6: what stands behind an error", "GET /\r\n" .. HOST ..
    "\r\nGET / HTTP/1.1\r\n" .. HOST .. "\r\n", "400"},
  {"RFC 9112, 9.6: what stands behind a close", "GET / HTTP/1.1\r\n" .. HOST ..
    "Connection: close\r\n\r\nGET / HTTP/1.1\r\n" .. HOST .. "\r\n", "200"},
}

describe("the server", function()
  for _, row in ipairs(rows) do
    it(row[1] .. ": " .. row[3], function()
      local port = serve(function(_, res) res:write "x" end)
      assert.equal(row[3], statuses(ask(port, row[2])))
    end)
  end
end)

-- {what it is, bytes of the body}: what the handler learns is not a body
local bodies = {
  {"RFC 9112, 7.1: a size that is no number", "x\r\n"},
  {"RFC 9112, 7.1: a negative size", "-1\r\n"},
  {"RFC 9112, 7.1: a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"},
  {"RFC 9112, 7.1: an empty size", "\r\nabc\r\n0\r\n\r\n"},
  {"RFC 9112, 7.1: a blank before a size", " 3\r\nabc\r\n0\r\n\r\n"},
  {"RFC 9112, 7.1: a size beyond all", ("f"):rep(17) .. "\r\nabc"},
  {"RFC 9112, 7.1: a chunk longer than said", "3\r\nabcd\r\n0\r\n\r\n"},
  {"RFC 9112, 7.1: a chunk shorter than said", "3\r\nab\r\n0\r\n\r\n"},
  {"RFC 9112, 7.1: a bare LF", "3\nabc\n0\n\n"},
  {"RFC 9112, 7.1: no end", "3\r\nabc\r\n"},
  {"RFC 9112, 7.1.1: an extension with a bare CR",
    "3;a\rb\r\nabc\r\n0\r\n\r\n"},
  {"RFC 9112, 7.1.1: an extension that is too long",
    "3;" .. ("a"):rep(5000) .. "\r\nabc\r\n0\r\n\r\n"},
  {"RFC 9112, 7.1.2: a trailer that is no field",
    "0\r\nno field\r\n\r\n"},
  {"RFC 9112, 7.1.2: a trailer that is too long",
    "0\r\n" .. ("X: y\r\n"):rep(5000) .. "\r\n"},
}

describe("a body in chunks", function()
  for _, row in ipairs(bodies) do
    it(row[1] .. " is not taken for one", function()
      local got = casting.channel(1)
      local port = serve(function(req, res)
        local body, why = req:read "a"
        got:send(body or false, why)
        res:write "x"
      end)
      local text = ask(port, "POST / HTTP/1.1\r\n" .. HOST ..
        "Transfer-Encoding: chunked\r\n\r\n" .. row[2] ..
        "GET /smuggled HTTP/1.1\r\n" .. HOST .. "\r\n")
      local body, why = got:receive(LONG)
      assert.is_false(body)
      assert.is_string(why)
      assert.equal("200", statuses(text))
    end)
  end
end)

-- -- handlers -----------------------------------------------------------------

describe("a handler", function()
  before_each(function()
    casting.on_error(casting.channel(math.huge)) -- failures are of no concern
  end)
  after_each(function() casting.on_error(nil) end)

  it("that raises is answered for with 500", function()
    local port = serve(function(req, res)
      if req.path == "/1" then
        res:write "kept"
        error "boom"
      end
      res:write "fine"
    end)
    local text = ask(port, "GET /1 HTTP/1.1\r\n" .. HOST .. "\r\n")
    assert.equal("500", statuses(text))
    assert.is_nil(text:find("boom", 1, true))
    assert.is_nil(text:find("kept", 1, true))
    assert.equal("200", statuses(ask(port, "GET / HTTP/1.1\r\n" .. HOST ..
      "\r\n")))
  end)

  it("that raises in the middle resets the connection", function()
    local port = serve(function(_, res)
      res:write(("x"):rep(10000))
      error "boom"
    end)
    local stream = assert(net.connect("127.0.0.1", port))
    open[#open + 1] = stream
    stream:write("GET / HTTP/1.1\r\n" .. HOST .. "\r\n")
    local all, why, rest = stream:read("a", LONG)
    assert.is_nil(all)
    assert.equal("closed", why)
    assert.is_nil((rest or ""):find("0\r\n\r\n$"))
  end)

  -- {what it does, how}
  local bad = {
    {"a field with a line end", function(res)
      res.headers["X"] = "a\r\nSet-Cookie: b"
    end},
    {"a name with a line end", function(res) res.headers["X\r\nY"] = "a" end},
    {"a name with a blank", function(res) res.headers["X Y"] = "a" end},
    {"an empty name", function(res) res.headers[""] = "a" end},
    {"a field with a zero byte", function(res) res.headers.x = "a\0" end},
    {"a field that is a function", function(res) res.headers.x = print end},
    {"a transfer coding", function(res)
      res.headers["Transfer-Encoding"] = "gzip"
    end},
    {"a status that is none", function(res) res.status = "200 OK\r\n" end},
    {"a status of 1000", function(res) res.status = 1000 end},
    {"a length that is none", function(res)
      res.headers["Content-Length"] = "1\r\nX: y"
    end},
    {"a length that is wrong", function(res)
      res.headers["Content-Length"] = 7
    end},
  }
  for _, row in ipairs(bad) do
    it("that sets " .. row[1] .. " has failed", function()
      local port = serve(function(_, res)
        row[2](res)
        res:finish "x"
      end)
      assert.equal("500", statuses(ask(port, "GET / HTTP/1.1\r\n" .. HOST ..
        "\r\n")))
    end)
  end

  it("learns that the client has gone", function()
    local got = casting.channel(1)
    local port = serve(function(req)
      local closed = req:closed()
      got:send "waits"
      closed:receive()
      got:send "gone"
    end)
    local stream = assert(net.connect("127.0.0.1", port))
    stream:write("GET / HTTP/1.1\r\n" .. HOST .. "\r\n")
    assert.equal("waits", (got:receive(LONG)))
    stream:close()
    assert.equal("gone", (got:receive(LONG)))
  end)

  it("can be cancelled when its client has gone", function()
    local got, told = casting.channel(10), nil
    local port = serve(function(req)
      req:closed()
      req:closed {cancel = true}
      got:send "waits"
      local _, e = pcall(casting.channel().receive, casting.channel())
      told = casting.is_cancelled(e) and tostring(e)
      error(e, 0)
    end)
    local stream = assert(net.connect("127.0.0.1", port))
    stream:write("GET / HTTP/1.1\r\n" .. HOST .. "\r\n")
    assert.equal("waits", (got:receive(LONG)))
    stream:close()
    helper.until_true(function() return told end, "it is cancelled")
    assert.equal("cancelled: the client has gone", told)
  end)

  it("may ask for nothing else when its client goes", function()
    local got = casting.channel(10)
    local port = serve(function(req)
      for _, options in ipairs {1, {x = 1}, {cancel = 1}} do
        got:send(select(2, pcall(req.closed, req, options)))
      end
    end)
    ask(port, "GET / HTTP/1.0\r\n\r\n")
    assert.matches("table expected, got number", (got:receive(LONG)))
    assert.matches("unknown option 'x'", (got:receive(LONG)))
    assert.matches("cancel must be a boolean", (got:receive(LONG)))
  end)
end)

describe("a server", function()
  it("ends at once if nothing is asked for", function()
    local port, task, listener = serve(function(_, res) res:write "x" end)
    local stream = assert(net.connect("127.0.0.1", port))
    open[#open + 1] = stream
    stream:write("GET / HTTP/1.1\r\n" .. HOST .. "\r\n")
    assert.is_truthy(stream:read_until("\r\n\r\nx", 1000, LONG))
    listener:close()
    assert.is_true((task:await(LONG)))
    local _, why = stream:read(nil, LONG)
    assert.equal("closed", why)
  end)

  it("ends when the last request is answered", function()
    local go, began = casting.channel(), casting.channel(1)
    local port, task, listener = serve(function(req, res)
      if req.path == "/fast" then return res:write "fast" end
      began:send(true)
      go:receive(LONG)
      res:write "late"
    end)
    local stream = assert(net.connect("127.0.0.1", port))
    open[#open + 1] = stream
    stream:write("GET / HTTP/1.1\r\n" .. HOST .. "\r\n")
    assert.is_true((began:receive(LONG)))
    local idle = assert(net.connect("127.0.0.1", port))
    open[#open + 1] = idle
    idle:write("GET /fast HTTP/1.1\r\n" .. HOST .. "\r\n")
    assert.is_truthy(idle:read_until("fast", 1000, LONG))
    listener:close()
    assert.is_nil((idle:read(1, LONG))) -- the server knows of it now
    go:send(true)
    local text = stream:read("a", LONG)
    assert.matches("Connection: close\r\n.*late$", text)
    assert.is_true((task:await(LONG)))
  end)

  it("may have several sessions", function()
    local port = serve(function(_, res)
      served = (rawget(_G, "served") or 0) + 1 -- luacheck: ignore
      res:write(served) -- luacheck: ignore
    end, {sessions = 2})
    for _ = 1, 4 do
      assert.matches("\n[1-4]$", ask(port, "GET / HTTP/1.1\r\n" .. HOST ..
        "\r\n"))
    end
  end)

  it("tells a hook of each request", function()
    local got = casting.channel(10)
    local port = serve(function(_, res) res:write "four" end,
      {log = function(req, status, bytes, seconds)
        got:send(req.target, status, bytes, seconds >= 0)
      end})
    ask(port, "GET /a?b HTTP/1.1\r\n" .. HOST .. "\r\n")
    assert.same({"/a?b", 200, 4, true}, {got:receive(LONG)})
  end)

  it("does not wait for a header for ever", function()
    local port = serve(tell, {header = 0.05})
    local stream = assert(net.connect("127.0.0.1", port))
    open[#open + 1] = stream
    stream:write "GET / HT"
    assert.equal("408", statuses(stream:read("a", LONG)))
  end)

  it("does not wait for a second one for ever either", function()
    local port = serve(function(_, res) res:write "x" end, {header = 0.05})
    local stream = assert(net.connect("127.0.0.1", port))
    open[#open + 1] = stream
    stream:write("GET / HTTP/1.1\r\n" .. HOST .. "\r\nGET / HT")
    assert.equal("200", statuses(stream:read("a", LONG)))
  end)

  it("says what is wrong with its arguments", function()
    local function fails(pattern, ...)
      local ok, e = pcall(http.serve, ...)
      assert.is_false(ok)
      assert.matches(pattern, e)
    end
    local function f() end
    fails("bad argument #2 to 'serve' %(function expected, got nil%)",
      {"127.0.0.1", 0})
    fails("bad argument #3 to 'serve' %(unknown option 'x'%)",
      {"127.0.0.1", 0}, f, {x = 1})
    fails("bad argument #3 to 'serve' %(header must be a number of seconds",
      {"127.0.0.1", 0}, f, {header = -1})
    for _, none in ipairs {-1, 0, 0.5, 1000.5, 0 / 0, "1"} do
      fails("body must be an integer above zero, or math.huge",
        {"127.0.0.1", 0}, f, {body = none})
      fails("max_header must be an integer from 1 to 2^31", {"127.0.0.1", 0}, f,
        {max_header = none})
    end
    for _, none in ipairs {math.huge, 2 ^ 31 + 1} do
      fails("max_header must be an integer from 1 to 2^31", {"127.0.0.1", 0}, f,
        {max_header = none})
    end
    fails("bad argument #1 to 'serve' %(listener or {host, port} expected, " ..
      "got 7", 7, f)
  end)
end)
