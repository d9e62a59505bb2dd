-- examples_web_spec.lua - the chat, the proxy and the crawler of examples/,
-- with casting's own client and server.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local kit = require "examplekit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

local missing = kit.why_not()
if missing then
  describe("examples on the web", function() pending(missing) end)
  return
end
local casting = require "casting"
local http, net = require "casting.http", require "casting.net"

local open = {}
local function keep(v)
  open[#open + 1] = v
  return v
end
after_each(function()
  for i = #open, 1, -1 do
    open[i]:close()
    open[i] = nil
  end
  kit.stop()
end)

-- ---------------------------------------------------------------- webchat --

describe("examples/webchat.lua", function()
  local url, program
  local function serve(...)
    program, url = kit.start("webchat", "--port", "0", ...)
  end
  local function connect()
    return keep(assert(http.websocket(url:gsub("^http", "ws") .. "/chat")))
  end
  -- Comes into a room: the websocket, and who is there.
  local function enter(room, name, key)
    local ws = connect()
    ws:send(table.concat({room, name, key or name .. "key"}, "\n"))
    local kind, names = assert(ws:receive(LONG)):match "^(%l+)\n%d+\n\n(.*)$"
    assert.equal("here", kind)
    return ws, names
  end
  -- The next message: kind, name, text.
  local function hear(ws)
    local text, why, code, reason = ws:receive(LONG)
    if not text then return why, code, reason end
    return text:match "^(%l+)\n%d+\n([^\n]*)\n(.*)$"
  end
  local function heard(ws, ...) assert.same({...}, {hear(ws)}) end

  it("serves its page, and nothing else", function()
    serve()
    local answer = http.request(url .. "/")
    assert.same({200, "text/html; charset=utf-8"},
      {answer.status, answer.headers["content-type"]})
    assert.matches("default%-src 'none'",
      answer.headers["content-security-policy"])
    assert.matches("</html>%s*$", answer.body)
    -- What others have written must not become HTML.
    for _, word in ipairs {"innerHTML", "insertAdjacent", "document.write",
      "outerHTML", "eval("} do
      assert.is_nil(answer.body:find(word, 1, true))
    end
    assert.equal(404, http.request(url .. "/x").status)
    assert.equal(404, http.request(url .. "/webchat.lua").status)
    assert.equal(405, http.request(url .. "/", {body = "x"}).status)
    assert.equal(426, http.request(url .. "/chat").status)
  end)

  it("lets members of a room talk", function()
    serve("--sessions", "2", "--rooms", "3")
    local ann = enter("lobby", "Ann")
    heard(ann, "enter", "Ann", "")
    local bob, names = enter("lobby", "Bob")
    assert.equal("Ann\nBob", names)
    heard(ann, "enter", "Bob", "")
    heard(bob, "enter", "Bob", "")
    ann:send "hello <b>Bob</b>\n\195\188"
    heard(ann, "say", "Ann", "hello <b>Bob</b>\n\195\188")
    heard(bob, "say", "Ann", "hello <b>Bob</b>\n\195\188")
    bob:close()
    heard(ann, "leave", "Bob", "")
  end)

  it("keeps many rooms apart, and what was said in each", function()
    serve("--sessions", "2", "--rooms", "3")
    local first = {}
    for i = 1, 12 do
      local room = "room " .. i
      first[i] = enter(room, "Ann")
      heard(first[i], "enter", "Ann", "")
      first[i]:send("in " .. room)
      heard(first[i], "say", "Ann", "in " .. room)
    end
    for i = 1, 12 do
      local ws, names = enter("room " .. i, "Bob")
      assert.equal("Ann\nBob", names)
      heard(ws, "say", "Ann", "in room " .. i)
      heard(ws, "enter", "Bob", "")
      heard(first[i], "enter", "Bob", "")
      ws:close()
      heard(first[i], "leave", "Bob", "")
    end
    -- Of a room without members nothing is left.
    local stays = enter("room 1", "Cid")
    heard(first[1], "enter", "Cid", "")
    first[2]:close()
    local again
    helper.until_true(function()
      again = connect()
      again:send "room 2\nBob\nk"
      local text = again:receive(LONG)
      if not text:find "Ann" then return true end
      again:close()
    end, "the room is empty")
    heard(again, "enter", "Bob", "")
    stays:close()
  end)

  it("gives a name to one, who may come back", function()
    serve()
    local ann = enter("lobby", "Ann", "a1")
    heard(ann, "enter", "Ann", "")
    local other = connect()
    other:send "lobby\nAnn\na2"
    heard(other, "closed", 4001, "this name is taken")
    local again, names = enter("lobby", "Ann", "a1")
    assert.equal("Ann", names)
    heard(ann, "closed", 4004, "you are here in another window")
    again:send "here I am"
    heard(again, "say", "Ann", "here I am")
  end)

  it("refuses what is no name", function()
    serve()
    for _, text in ipairs {"", "lobby", "lobby\nAnn", "lobby\n\nkey",
      "\nAnn\nkey", "lobby\n \nkey", "lobby\nA\tnn\nkey", "lobby\nAnn\nk k",
      "lobby\n" .. ("x"):rep(33) .. "\nkey",
      ("\195\188"):rep(33) .. "\nAnn\nkey"} do
      local ws = connect()
      ws:send(text)
      heard(ws, "closed", 4000, "this is no name")
    end
    local ws = enter(("\195\188"):rep(32), "Ann")
    heard(ws, "enter", "Ann", "")
  end)

  it("tells of its limits", function()
    serve()
    local ann = enter("lobby", "Ann")
    heard(ann, "enter", "Ann", "")
    ann:send(("x"):rep(1001))
    heard(ann, "note", "", "That is too long: it was not sent.")
    ann:send(("\195\188"):rep(1000))
    heard(ann, "say", "Ann", ("\195\188"):rep(1000))
    for _ = 1, 30 do ann:send "again" end
    local kinds = {}
    for _ = 1, 30 do
      local kind = hear(ann)
      kinds[kind] = (kinds[kind] or 0) + 1
    end
    assert.is_true(kinds.say >= 9 and kinds.note >= 1)
    ann:send(("x"):rep(8001))
    heard(ann, "closed", 1009, "the message is too long")
  end)

  it("throws out who does not read, and nobody waits for it", function()
    serve("--rate", "1000000")
    local slow = enter("lobby", "Slow")
    local ann = enter("lobby", "Ann")
    -- More than the inbox and the buffers of the system have room for.
    local text = ("\240\159\144\140"):rep(1000)
    local kind, name
    repeat
      ann:send(text)
      repeat
        kind, name = hear(ann)
        assert.not_equal("closed", kind)
      until kind == "say" or kind == "leave"
    until kind == "leave"
    assert.equal("Slow", name)
    heard(ann, "say", "Ann", text)
    local why, code
    repeat why, code = hear(slow) until why == "closed"
    assert.truthy(code == 1013 or code == 1006)
  end)

  it("says good-bye when a signal ends it", function()
    for _, signal in ipairs {"TERM", "INT"} do
      serve()
      local ann = enter("lobby", "Ann")
      heard(ann, "enter", "Ann", "")
      program:kill(signal)
      assert.equal(1001, (select(2, hear(ann))))
      assert.same({"exit", 0}, {program:wait(LONG)})
      assert.equal("", program.stderr:read("a", LONG))
    end
  end)

  it("explains itself, and refuses what it does not know", function()
    local status, out = kit.run("webchat", "--help")
    assert.equal(0, status)
    assert.matches("^usage: webchat.lua", out)
    for _, args in ipairs {{"a"}, {"--what", "1"}, {"--port"}, {"--port", "x"},
      {"--port", "65536"}, {"--rooms", "0"}, {"--sessions", "65"},
      {"--rate", "0"}} do
      assert.same({2, ""}, {kit.refuse("webchat", helper.unpack(args))})
    end
  end)
end)

-- ----------------------------------------------------------- reverseproxy --

describe("examples/reverseproxy.lua", function()
  -- A backend: its address. It serves until the test has ended.
  local function backend(handler, port)
    local listener = keep(assert(net.listen("127.0.0.1", port or 0)))
    casting.spawn(http.serve, listener, handler, {body = math.huge})
    return ("http://127.0.0.1:%d"):format(select(2, listener:name())), listener
  end
  local function refused() -- an address where nobody is
    local url, listener = backend(function() end)
    listener:close()
    return url
  end
  local program, url
  local function proxy(...)
    local words = {...}
    if type(words[#words]) ~= "string" then words[#words] = nil end
    program, url = kit.start("reverseproxy", "--port", "0",
      helper.unpack(words))
  end
  local function get(path, o) return http.request(url .. path, o) end

  it("passes requests and responses on, with their fields", function()
    local seen
    proxy(backend(function(request, response)
      seen = {target = request.target, method = request.method}
      for name, value in pairs(request.headers) do seen[name] = value end
      response.status = 201
      response.headers = {["Set-Cookie"] = {"a=1", "b=2"}, ["X-Back"] = "yes",
        Connection = "X-Hop", ["X-Hop"] = "x", ["Keep-Alive"] = "timeout=5"}
      response:write(request:read "a" .. "!")
    end))
    local answer = assert(get("/a%20b/../c?x=%22", {body = "tea",
      method = "PUT", headers = {Host = "shop.example", Connection = "X-One",
        ["X-One"] = "1", ["X-Two"] = "2", ["Keep-Alive"] = "300",
        ["Proxy-Authorization"] = "secret",
        ["X-Forwarded-For"] = "10.0.0.1", Via = "1.0 first"}}))
    assert.same({201, "tea!", "yes"},
      {answer.status, answer.body, answer.headers["x-back"]})
    assert.same({"a=1", "b=2"}, answer.headers["set-cookie"])
    for _, name in ipairs {"x-hop", "keep-alive"} do
      assert.is_nil(answer.headers[name])
    end
    for _, name in ipairs {"x-one", "keep-alive", "connection",
      "proxy-authorization"} do
      assert.is_nil(seen[name])
    end
    assert.same({"PUT", "/a%20b/../c?x=%22", "shop.example", "2",
      "10.0.0.1, 127.0.0.1", "shop.example", "http", "1.0 first, 1.1 " ..
        "reverseproxy", 'for=127.0.0.1;host="shop.example";proto=http'},
      {seen.method, seen.target, seen.host, seen["x-two"],
        seen["x-forwarded-for"], seen["x-forwarded-host"],
        seen["x-forwarded-proto"], seen.via, seen.forwarded})
    assert.same({201, ""}, {get("/", {method = "HEAD"}).status,
      get("/", {method = "HEAD"}).body})
    assert.equal(501, get("/", {method = "TRACE"}).status)
  end)

  it("lets long bodies through, both ways", function()
    proxy(backend(function(request, response)
      repeat
        local piece = request:read()
        if piece then response:write(piece) end
      until not piece
    end))
    local piece, n, length = ("0123456789abcdef"):rep(4096), 256, 0
    local response = assert(get("/", {stream = true, body = function()
      n = n - 1
      if n >= 0 then return piece end
    end}))
    local at, good = 0, true
    repeat
      local part = response:read()
      if part then
        length = length + #part
        local first = piece:byte(at % #piece + 1)
        good = good and part:byte(1) == first
        at = at + #part
      end
    until not part
    assert.same({true, 256 * 65536}, {good, length})
  end)

  it("passes each piece on when it comes", function()
    local go = casting.channel()
    proxy(backend(function(_, response)
      for i = 1, 3 do
        response:write("piece " .. i)
        response:flush()
        go:receive()
      end
    end))
    local response = assert(get("/", {stream = true}))
    for i = 1, 3 do
      assert.equal("piece " .. i, response:read())
      go:send(true)
    end
    assert.same({nil, "closed"}, {response:read()})
  end)

  it("shares the work, and leaves out who is not there", function()
    local counts = {}
    local function counting(name)
      return function(_, response)
        counts[name] = (counts[name] or 0) + 1
        response:write(name)
      end
    end
    local dead = refused()
    proxy("--sessions", "1", backend(counting "a"), dead, backend(counting "b"))
    for i = 1, 20 do
      assert.equal(200, get("/", {body = i % 2 == 0 and "x" or nil}).status)
    end
    assert.is_true(counts.a >= 5 and counts.b >= 5)
    -- It comes back.
    backend(counting "c", tonumber(dead:match "%d+$"))
    helper.until_true(function() return get("/").body == "c" end, "it is up")
  end)

  it("answers for backends that fail", function()
    proxy(refused())
    assert.same({502, "bad gateway\n"}, {get("/").status, get("/").body})
    local hold = casting.channel()
    proxy("--timeout", "0.2", backend(function() hold:receive(LONG) end))
    assert.equal(504, get("/").status)
    assert.equal(504, get("/", {body = "x"}).status)
    hold:close()
    -- What is no HTTP at all.
    local listener = keep(assert(net.listen("127.0.0.1", 0)))
    casting.spawn(listener.serve, listener, function(stream)
      stream:read_until "\r\n\r\n"
      stream:write "nonsense\r\n\r\n"
    end)
    proxy("http://127.0.0.1:" .. select(2, listener:name()))
    assert.equal(502, get("/").status)
  end)

  it("resets a response whose backend dies in the middle", function()
    local listener = keep(assert(net.listen("127.0.0.1", 0)))
    local heads = {"Content-Length: 100", "Transfer-Encoding: chunked"}
    local i = 0
    casting.spawn(listener.serve, listener, function(stream)
      stream:read_until "\r\n\r\n"
      i = i + 1
      stream:write("HTTP/1.1 200 OK\r\n" .. heads[i] ..
        "\r\n\r\n5\r\nhello\r\n")
      stream:close()
    end)
    proxy("http://127.0.0.1:" .. select(2, listener:name()))
    for _ = 1, #heads do
      local answer, why = get("/")
      assert.is_nil(answer)
      assert.is_true(why == "truncated" or why == "connection reset" or
        why == "connection reset by peer" or why == "closed", why)
      assert.matches("^reverseproxy: http://127.0.0.1:%d+: truncated$",
        (program.stderr:read("l", LONG)))
    end
  end)

  it("passes websockets through", function()
    local seen
    proxy(backend(function(request, response)
      if request.path ~= "/chat" then response.status = 403 return end
      seen = request.headers
      local ws = request:websocket {protocols = {"tea"}, origins = "*"}
      for message, kind in ws do
        if message == "end" then return ws:close(4321, "over") end
        ws:send(message:upper(), kind)
      end
    end))
    local base = url:gsub("^http", "ws")
    local ws = keep(assert(http.websocket(base .. "/chat?x=1", {
      protocols = {"milk", "tea"}, headers = {Cookie = "a=b",
        Origin = "http://elsewhere"}})))
    assert.equal("tea", ws.protocol)
    assert.same({"a=b", "http://elsewhere", "127.0.0.1"},
      {seen.cookie, seen.origin, seen["x-forwarded-for"]})
    ws:send "hello"
    assert.same({"HELLO", "text"}, {ws:receive(LONG)})
    local long = ("x"):rep(1000000)
    ws:send(long, "binary")
    local message, kind = ws:receive(LONG)
    assert.same({true, "binary"}, {message == long:upper(), kind})
    ws:send "end"
    assert.same({"closed", 4321, "over"}, {select(2, ws:receive(LONG))})
    assert.equal(403, (select(3, http.websocket(base .. "/no"))))
  end)

  it("answers what is under way when a signal ends it", function()
    local begun, go = casting.channel(1), casting.channel(1)
    proxy(backend(function(_, response)
      begun:send(true)
      go:receive()
      response:write "late"
    end))
    local task = casting.spawn(get, "/")
    begun:receive(LONG)
    program:kill "TERM"
    -- Nobody else is let in from then on.
    helper.until_true(function()
      local stream = net.connect("127.0.0.1", tonumber(url:match "%d+$"))
      if stream then stream:close() end
      return not stream
    end, "the proxy has closed its door")
    go:send(true)
    assert.equal("late", task:await(LONG).body)
    assert.same({"exit", 0}, {program:wait(LONG)})
    assert.equal("", program.stderr:read("a", LONG))
  end)

  it("explains itself, and refuses what it does not know", function()
    local status, out = kit.run("reverseproxy", "--help")
    assert.equal(0, status)
    assert.matches("^usage: reverseproxy.lua", out)
    for _, args in ipairs {{}, {"--port", "80"}, {"ftp://x"}, {"http://x/y"},
      {"http://x:0"}, {"--what", "1", "http://x"}, {"--timeout", "x",
        "http://x"}, {"--sessions", "1.5", "http://x"},
      {"http://x", "--port"}} do
      assert.same({2, ""}, {kit.refuse("reverseproxy", helper.unpack(args))})
    end
  end)
end)

-- --------------------------------------------------------------- crawler --

describe("examples/crawler.lua", function()
  local function serve(pages)
    local listener = keep(assert(net.listen("127.0.0.1", 0)))
    local asked = {}
    casting.spawn(http.serve, listener, function(request, response)
      asked[request.target] = (asked[request.target] or 0) + 1
      local page = pages[request.target]
      if type(page) == "function" then return page(request, response) end
      response.status = page and 200 or 404
      response.headers["Content-Type"] = "text/html"
      response:write(page or "not found\n")
    end)
    return ("http://127.0.0.1:%d"):format(select(2, listener:name())), asked
  end

  it("visits all pages of a site that it makes up", function()
    local status, out, complaint = kit.run("crawler", "--serve", "1000")
    assert.same({1, ""}, {status, complaint})
    assert.matches("^0 of 1 visited, 0 broken\n", out)
    assert.matches("\n20 broken links:\n", out)
    assert.matches("\n  http://[%d.:]+/gone/7: 404 Not Found, on " ..
      "http://[%d.:]+/page/7\n", out)
    assert.matches("\n1000 pages, 50 redirects, 20 broken\n" ..
      "100 not allowed by robots.txt, 10 elsewhere, 0 beyond the limit\n" ..
      ".* with %d+ connections\n$", out)
    assert.is_nil(out:find("\27", 1, true))
    status, out = kit.run("crawler", "--serve", "1000", "--limit", "10",
      "--connections", "3")
    assert.equal(0, status)
    assert.is_true(tonumber(out:match "with (%d+) connections") <= 3)
    -- Which ones come first depends on the order of the answers.
    local pages, redirects = out:match "\n(%d+) pages, (%d+) redirects, 0 "
    assert.equal(10, pages + redirects)
  end)

  it("finds links as browsers do, and obeys robots.txt", function()
    local url, asked = serve {
      ["/robots.txt"] = "# rules\nUser-agent: other\nDisallow: /\n" ..
        "User-Agent: *\nUser-agent: more # both\nDisallow: /no*.x$\n" ..
        "Disallow: /no/\nAllow: /no/but\nDisallow:\n",
      ["/"] = [[<A class=x HREF='a/b'>1</A> <a href=a/../c?x=1&amp;y=2#z>2</a>
        <!-- <a href="/comment"> --> <a href="/a/b">again</a>
        <a href="mailto:a@b"> <a href="javascript:x()"> <a href="#top">
        <a href="//example.org/x"> <a href="/no/x"> <a href="/no/but">
        <a href="/now.x"> <a href="/now.xy"> <a href="/a b<"> <abbr href="q">
        <a href="https://example.org"> <a href="../../up"> <a href="?q">]],
      ["/a/b"] = '<a href="c"> <a href="./d/../e/."> <a href="/r/0">',
      ["/c?x=1&y=2"] = "", ["/a/c"] = "", ["/a/e/"] = "", ["/no/but"] = "",
      ["/now.xy"] = "", ["/a%20b%3C"] = "", ["/up"] = "", ["/?q"] = "",
      ["/r/0"] = function(_, response)
        response.status, response.headers.Location = 302, "1?x#y"
      end,
      ["/r/1?x"] = "",
    }
    local status, out = kit.run("crawler", url)
    assert.equal(0, status, out)
    assert.matches("\n11 pages, 1 redirects, 0 broken\n2 not allowed by " ..
      "robots.txt, 2 elsewhere, ", out)
    for target, n in pairs(asked) do assert.same({target, 1}, {target, n}) end
  end)

  it("tells what is broken, and ends", function()
    local url = serve {
      ["/"] = '<a href="/loop"><a href="/chain/0"><a href="/cut"><a href="/x">',
      ["/loop"] = function(_, response)
        response.status, response.headers.Location = 301, "/loop"
      end,
      ["/cut"] = function(request) request.stream:abort() end,
    }
    local status, out = kit.run("crawler", url)
    assert.equal(1, status)
    local base = url:gsub("%p", "%%%0")
    assert.matches("  " .. base .. "/cut: [%a ]+, on " .. base .. "/\n", out)
    assert.matches("/loop: a loop of redirects, on " .. base .. "/\n", out)
    assert.matches("\n1 pages, 1 redirects, 4 broken\n", out)
    -- A page with the codes of a terminal in its name.
    url = serve {["/"] = '<a href="/\27[31m">'}
    status, out = kit.run("crawler", url)
    assert.same({1, nil}, {status, out:find("\27", 1, true)})
  end)

  it("goes on, whatever a page has in it", function()
    local url, asked = serve {
      ["/robots.txt"] = "User-agent: *\nDisallow: /" .. ("*a"):rep(40) ..
        "b\nDisallow: /x*y*z$\n",
      ["/"] = "<a href='/" .. ("a"):rep(4000) .. "'><a href=/comments>" ..
        "<a href=/tags><a href=/quotes><a href=/base><a href=/long>" ..
        "<a href=/xyzyz><a href=/xzy><a href='/%'><a href='/%'>" ..
        "<script>'<a href=/no>'</SCRIPT><a href=/2><p title='<a href=/no>'>",
      ["/comments"] = ("<!--"):rep(100000), ["/tags"] = ("<a "):rep(100000),
      ["/quotes"] = ("<a b='\""):rep(50000), ["/xzy"] = "",
      ["/base"] = "<BASE HREF='/c/d'><a href=e>", ["/c/e"] = "",
      ["/long"] = function(_, response)
        response.headers["Content-Type"] = "application/pdf"
        response:write(("x"):rep(5000000))
      end,
      ["/2"] = function(_, response)
        response.status, response.headers.Location = 302, "/1"
      end,
      ["/1"] = function(_, response)
        response.status, response.headers.Location = 302, "/2"
      end,
    }
    local status, out = kit.run("crawler", url)
    assert.equal(1, status)
    local base = url:gsub("%p", "%%%0")
    assert.matches("3 broken links:\n  /%%: a percent sign [^\n]*, on " ..
      base .. "/\n.*/1: a loop of redirects, on " .. base .. "/2\n" ..
      "  .*/a+: 404 Not Found, on ", out)
    assert.matches("\n8 pages, 2 redirects, 3 broken\n1 not allowed ", out)
    assert.same({1, nil}, {asked["/c/e"], asked["/no"]})
  end)

  it("does not visit who cannot be asked for rules", function()
    local url, asked = serve {["/"] = "", ["/robots.txt"] =
      function(_, response) response.status = 503 end}
    local status, _, complaint = kit.run("crawler", url)
    assert.same({1, "crawler: " .. url .. "/robots.txt: 503\n", nil},
      {status, complaint, asked["/"]})
    status, _, complaint = kit.run("crawler", "http://127.0.0.1:1/")
    assert.same({1, "crawler: http://127.0.0.1:1: connection refused\n"},
      {status, complaint})
  end)

  it("explains itself, and refuses what it does not know", function()
    local status, out = kit.run("crawler", "--help")
    assert.equal(0, status)
    assert.matches("^usage: crawler.lua", out)
    for _, args in ipairs {{}, {"x"}, {"ftp://x/"}, {"http://x", "http://y"},
      {"--serve", "0"}, {"--serve"}, {"--serve", "1", "http://x"},
      {"--what", "1"}, {"--connections", "1001", "http://x"}} do
      assert.same({2, ""}, {kit.refuse("crawler", helper.unpack(args))})
    end
  end)
end)
