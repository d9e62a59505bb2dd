-- examples_web_spec.lua - the chat and the proxy of examples/, with the client
-- and server of casting.http.
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
  local function backend(handler, host, port)
    local listener = keep(assert(net.listen(host or "127.0.0.1", port or 0)))
    casting.spawn(http.serve, listener, handler, {body = math.huge})
    return ("http://%s:%d"):format(listener:name()), listener
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
    -- Not 127.0.0.1, where its port could be another process's by now.
    local dead, gone = backend(function() end, "127.0.0.9")
    gone:close()
    proxy("--sessions", "1", backend(counting "a"), dead, backend(counting "b"))
    for i = 1, 20 do
      assert.equal(200, get("/", {body = i % 2 == 0 and "x" or nil}).status)
    end
    assert.is_true(counts.a >= 5 and counts.b >= 5)
    -- It comes back.
    backend(counting "c", "127.0.0.9", tonumber(dead:match "%d+$"))
    helper.until_true(function() return get("/").body == "c" end, "it is up")
  end)

  it("answers for backends that fail", function()
    proxy("http://127.0.0.1:" .. helper.NOBODY)
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

  it("resets a response whose backend falls silent in the middle", function()
    local hold = keep(casting.channel())
    proxy("--timeout", "0.2", (backend(function(request, response)
      request:read "a"
      response:write "so far"
      response:flush()
      hold:receive(LONG)
    end)))
    for _, body in ipairs {false, "x"} do
      local answer = assert(get("/", {body = body or nil, stream = true}))
      assert.equal("so far", answer:read(6))
      local more, why = answer:read()
      assert.is_nil(more)
      assert.is_true(why ~= "closed" and why ~= "timeout", why)
      assert.matches(": timeout$", (program.stderr:read("l", LONG)))
    end
  end)

  it("leaves out a backend that does not answer to connections", function()
    local full = keep(assert(net.listen("127.0.0.1", 0, {backlog = 1})))
    local waiting = {}
    repeat
      local stream = net.connect("127.0.0.1", select(2, full:name()),
        {timeout = 0.1})
      waiting[#waiting + 1] = stream and keep(stream)
    until not stream or #waiting == 50
    if #waiting == 50 then return pending "the system lets all wait" end
    proxy("--connect", "0.1", "--sessions", "1",
      "http://127.0.0.1:" .. select(2, full:name()),
      (backend(function(_, response) response:write "here" end)))
    for _ = 1, 4 do assert.equal("here", get("/").body) end
    assert.matches(": timeout$", (program.stderr:read("l", LONG)))
    assert.equal("here", get("/", {body = "x"}).body)
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
