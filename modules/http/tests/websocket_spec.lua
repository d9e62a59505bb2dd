-- websocket_spec.lua - what programs do with websockets.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local kit = require "wskit"
local net = require "casting.net"
local Websocket = require "casting.http.websocket"
local LONG = helper.LONG
local frame, MASK = kit.frame, "\1\2\3\4"

after_each(kit.close_all)

local pair, said = kit.pair, kit.said

-- Two ends between which there is little room, and a message that is more.
local BIG = ("x"):rep(2000000)
local function narrow_pair()
  local ws, other = pair({max_message = 3000000}, {max_message = 3000000})
  for _, end_of in ipairs {ws, other} do
    end_of.stream:option("sendbuffer", 200000)
    end_of.stream:option("recvbuffer", 200000)
  end
  return ws, other
end

-- -- messages -----------------------------------------------------------------

describe("a websocket", function()
  it("sends texts and what is none, both ways", function()
    local ws, other = pair()
    assert.is_true(ws:send "h\195\164llo")
    assert.is_true(ws:send("\255\0", "binary"))
    assert.is_true(ws:send("", "text"))
    assert.is_true(ws:send(12))
    assert.equal("h\195\164llo text", said(other, LONG))
    assert.equal("\255\0 binary", said(other, LONG))
    assert.equal(" text", said(other, LONG))
    assert.equal("12 text", said(other, LONG))
    assert.is_true(other:send "back")
    assert.equal("back text", said(ws, LONG))
  end)

  it("can stand in a for loop", function()
    local ws, other = pair()
    for i = 1, 3 do ws:send(i) end
    casting.spawn(ws.close, ws)
    local all = {}
    for message, kind in other do all[#all + 1] = message .. " " .. kind end
    assert.same({"1 text", "2 text", "3 text"}, all)
  end)

  it("is a text for people", function()
    local ws = pair {closing = 0.01}
    assert.equal("websocket: open", tostring(ws))
    assert.is_false(ws:closed())
    ws:close()
    assert.equal("websocket: closed", tostring(ws))
    assert.is_true(ws:closed())
  end)

  it("waits for a message as long as it is told to", function()
    local ws, other = pair()
    assert.same({nil, "timeout"}, {ws:receive(0)})
    assert.same({nil, "timeout"}, {ws:receive(0.01)})
    other:send "a"
    assert.equal("a text", said(ws, math.huge))
  end)

  it("loses nothing when the time is over within a message", function()
    local got = casting.channel()
    local stream = kit.client_of(function(ws)
      while true do
        local message, why = ws:receive(0.005)
        if message then return got:send(message) end
        got:send(why)
      end
    end)
    local all = frame(1, "hello", {mask = MASK})
    stream:write(all:sub(1, 8))
    assert.equal("timeout", (got:receive(LONG)))
    assert.equal("timeout", (got:receive(LONG)))
    stream:write(all:sub(9))
    local word
    repeat word = got:receive(LONG) until word ~= "timeout"
    assert.equal("hello", word)
  end)

  it("loses nothing when who receives is cancelled", function()
    local ws, other = pair()
    local task = casting.spawn(ws.receive, ws)
    casting.yield()
    task:cancel()
    assert.is_false((task:join()))
    other:send "a"
    assert.equal("a text", said(ws, LONG))
  end)

  it("has one task that receives", function()
    local ws = pair()
    local task = casting.spawn(ws.receive, ws)
    casting.yield()
    local ok, e = pcall(ws.receive, ws)
    assert.is_false(ok)
    assert.matches("another task is reading", e)
    ok, e = pcall(ws.messages, ws)
    assert.is_false(ok)
    assert.matches("another task is receiving from this websocket", e)
    task:cancel()
  end)

  it("may have many tasks that send", function()
    local ws, other = pair()
    local size = 20000
    for i = 1, 10 do
      casting.spawn(function() ws:send(tostring(i % 10):rep(size)) end)
    end
    local seen = {}
    for _ = 1, 10 do
      local message = other:receive(LONG)
      assert.equal(message:sub(1, 1):rep(size), message)
      seen[message:sub(1, 1)] = true
    end
    for i = 0, 9 do assert.is_true(seen[tostring(i)]) end
  end)

  it("holds back who sends while nobody receives", function()
    local ws, other = narrow_pair()
    local task = casting.spawn(ws.send, ws, BIG, "binary")
    assert.same({nil, "timeout"}, {task:join(0.05)})
    assert.is_true(other:receive(LONG) == BIG)
    assert.is_true((task:await(LONG)))
  end)

  it("ends if a send is cancelled in the middle", function()
    local ws, other = narrow_pair()
    local task = casting.spawn(ws.send, ws, BIG)
    assert.same({nil, "timeout"}, {task:join(0.05)})
    task:cancel()
    task:join()
    assert.same({nil, "closed", 1006, ""}, {other:receive(LONG)})
    assert.equal("closed", (select(2, ws:send "more")))
  end)

  it("stays in its session", function()
    local ws = pair()
    local session = kit.keep(casting.session())
    local ok, e = pcall(session.spawn, session, function() end, ws)
    assert.is_false(ok)
    assert.matches("a websocket stays in its session", e)
    ok, e = pcall(casting.channel(1).send, casting.channel(1), {ws})
    assert.is_false(ok)
    assert.matches("a websocket stays in its session", e)
    ws:send "still"
  end)

  it("connects sessions", function()
    local port = kit.serve(kit.echo, nil, {sessions = 2})
    local session = kit.keep(casting.session())
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = session:spawn(function(url, word)
        local ws = assert(require("casting.http").websocket(url))
        ws:send(word)
        local back = ws:receive()
        ws:close()
        return back
      end, "ws://127.0.0.1:" .. port, "word " .. i)
    end
    for i = 1, 4 do assert.equal("word " .. i, (tasks[i]:await(LONG))) end
  end)

  it("says what is wrong with arguments", function()
    local ws = pair()
    local function fails(pattern, f, ...)
      local ok, e = pcall(f, ws, ...)
      assert.is_false(ok)
      assert.matches(pattern, e)
    end
    fails("bad argument #1 to 'send' %(string expected, got nil%)", ws.send)
    fails("bad argument #1 to 'send' %(a text must be UTF%-8", ws.send, "\255")
    fails("bad argument #2 to 'send' %(\"text\" or \"binary\" expected, got " ..
      "\"b\"%)", ws.send, "", "b")
    fails("bad argument #1 to 'receive' %(timeout must be a number from 0 on",
      ws.receive, -1)
    fails("bad argument #1 to 'close' %(a code that may be sent expected",
      ws.close, 1005)
    fails("bad argument #2 to 'close' %(a reason of at most 123 bytes",
      ws.close, 1000, ("x"):rep(124))
    fails("bad argument #2 to 'close'", ws.close, 1000, "\255")
  end)
end)

-- -- channels -----------------------------------------------------------------

describe("the channel of a websocket", function()
  it("has its messages, and closes at the end", function()
    local ws, other = pair()
    local messages = ws:messages()
    assert.equal(messages, ws:messages())
    other:send "a"
    other:send("b", "binary")
    assert.same({"a", "text"}, {messages:receive(LONG)})
    assert.equal("b binary", said(ws, LONG))
    assert.same({nil, "timeout"}, {ws:receive(0)})
    other:close(3001, "enough")
    assert.same({nil, "closed"}, {messages:receive(LONG)})
    assert.same({nil, "closed", 3001, "enough"}, {ws:receive()})
  end)

  it("can be selected", function()
    local ws, other = pair()
    local stop = casting.channel(1)
    assert.same({nil, "timeout"},
      {casting.select {ws:messages(), stop, timeout = 0.01}})
    other:send "a"
    local i, message, kind = casting.select {ws:messages(), stop}
    assert.same({1, "a", "text"}, {i, message, kind})
    stop:send "enough"
    i, message = casting.select {ws:messages(), stop}
    assert.same({2, "enough"}, {i, message})
  end)

  it("holds back who sends while nobody receives", function()
    local ws, other = narrow_pair()
    local messages = ws:messages()
    local task = casting.spawn(function()
      for _ = 1, 3 do other:send(BIG) end
      return "sent"
    end)
    assert.same({nil, "timeout"}, {task:join(0.1)})
    for _ = 1, 3 do assert.is_true(messages:receive(LONG) == BIG) end
    assert.equal("sent", (task:await(LONG)))
  end)

  it("is closed when the websocket was", function()
    local ws = pair {closing = 0.01}
    ws:close()
    assert.is_true(ws:messages():closed())
  end)

  it("may be closed: then messages are dropped", function()
    local ws, other = pair()
    ws:messages():close()
    other:send "a"
    other:close()
    assert.is_true(ws:messages():closed())
    assert.equal("closed", (select(2, ws:receive(LONG))))
  end)

  -- Each CALLS-th call in a row lets others run first.
  it("is asked for while another task begins to receive", function()
    local CALLS = 32
    for calls = 1, CALLS do
      local stream, task = kit.server_of(function(ws)
        local receiving = casting.spawn(ws.receive, ws)
        for _ = 1, calls do pcall(ws.stream.peek, ws.stream, 1, 0) end
        local ok, messages = pcall(ws.messages, ws)
        if not ok then
          assert.matches("another task is receiving", messages)
        end
        if not ok or receiving:status() ~= "ready" then
          return receiving:await(LONG)
        end
        receiving:cancel()
        receiving:join(LONG)
        return messages:receive(LONG)
      end)
      stream:write(frame(1, "a"))
      assert.equal("a", (task:await(LONG)))
    end
  end)

  it("may begin as the websocket ends", function()
    local failures = casting.channel(1)
    casting.on_error(failures)
    local ws, other = pair {closing = LONG}
    for _ = 1, 8 do ws:send "a" end -- the last of them begins it
    local reads = casting.spawn(function()
      for _ in other do casting.yield() end
    end)
    assert.is_true(ws:close())
    assert.is_true(reads:join(LONG))
    collectgarbage() -- a failure is told when nobody can ask for it any more
    collectgarbage()
    assert.same({nil, "timeout"}, {failures:receive(0)})
    casting.on_error(nil)
  end)
end)

-- -- the end ------------------------------------------------------------------

describe("the end of a websocket", function()
  it("has a code and a reason, on both sides", function()
    local ws, other = pair()
    local task = casting.spawn(function() return other:receive() end)
    assert.is_true(ws:close(4000, "gr\195\188ezi"))
    assert.same({nil, "closed", 4000, "gr\195\188ezi"}, {task:await(LONG)})
    assert.same({nil, "closed", 4000, "gr\195\188ezi"}, {ws:receive()})
    assert.same({nil, "closed", 4000, "gr\195\188ezi"}, {ws:send "a"})
    assert.is_false(ws:close())
  end)

  it("may come while another task receives", function()
    local ws = pair()
    local task = casting.spawn(function() return ws:receive() end)
    casting.yield()
    local closing = casting.spawn(ws.close, ws)
    -- The other side does not read yet.
    assert.same({nil, "timeout"}, {closing:join(0.01)})
    assert.same({nil, "timeout"}, {task:join(0)})
    closing:cancel()
    closing:join()
    assert.is_true(ws:closed())
    assert.same({nil, "closed", 1000, ""}, {task:await(LONG)})
  end)

  it("may come while a task receives with a timeout", function()
    local stream, task = kit.server_of(function(ws)
      casting.spawn(function() ws:receive(0.01) end)
      casting.yield()
      return ws:close()
    end)
    assert.equal("close 1000", kit.tell(kit.read(stream)))
    casting.sleep(0.03)
    stream:write(frame(8, kit.code(1000)))
    stream:shutdown()
    assert.is_true((task:await(LONG)))
  end)

  it("does not wait for a task that was cancelled as it received", function()
    local answers = casting.channel()
    local stream, task = kit.server_of(function(ws)
      local receiving = casting.spawn(ws.receive, ws)
      casting.yield()
      local closing = casting.spawn(ws.close, ws)
      answers:receive(LONG)
      receiving:cancel()
      return closing:await(LONG), ws:receive()
    end, {closing = LONG})
    assert.equal("close 1000", kit.tell(kit.read(stream)))
    answers:close()
    stream:write(frame(8, kit.code(1000)))
    assert.same({true, nil, "closed", 1000, ""}, {task:await(LONG / 2)})
  end)

  it("takes the time that it may take, and no more", function()
    local stream, task = kit.server_of(function(ws)
      return ws:close(1000), ws:receive()
    end, {closing = 0.02})
    assert.equal("close 1000", kit.tell(kit.read(stream)))
    assert.same({true, nil, "closed", 1000, ""}, {task:await(LONG)})
    assert.is_nil((stream:read(1, LONG)))
  end)

  it("drops what the other side has sent before", function()
    local stream, task = kit.server_of(function(ws)
      return ws:close(), ws:receive()
    end)
    assert.equal("close 1000", kit.tell(kit.read(stream)))
    stream:write(frame(1, "late") .. frame(8, kit.code(1000)))
    stream:shutdown()
    assert.same({true, nil, "closed", 1000, ""}, {task:await(LONG)})
  end)

  it("without a code is 1005", function()
    local stream, task = kit.server_of(function(ws) return ws:receive() end)
    stream:write(frame(8, ""))
    stream:shutdown()
    assert.same({nil, "closed", 1005, ""}, {task:await(LONG)})
  end)

  it("comes with that of the handler", function()
    local stream = kit.client_of(function(ws) ws:send "a" end)
    assert.same({"text a", "close 1000"}, kit.read_all(stream, true))
  end)

  it("tells that the handler has failed", function()
    local failures = casting.channel(1)
    casting.on_error(failures)
    local stream = kit.client_of(function() error "boom" end)
    assert.same({"close 1011"}, kit.read_all(stream, true))
    assert.is_truthy(failures:receive(LONG))
    casting.on_error(nil)
  end)

  it("comes when the listener is closed", function()
    local got = casting.channel(1)
    local stream, task, listener = kit.client_of(function(ws)
      got:send "here"
      got:send(select(3, ws:receive()))
    end)
    assert.equal("here", (got:receive(LONG)))
    listener:close()
    assert.equal("close 1001", kit.tell(kit.read(stream)))
    stream:write(frame(8, kit.code(1001), {mask = MASK}))
    stream:shutdown()
    assert.equal(1001, (got:receive(LONG)))
    assert.is_true((task:await(LONG)))
  end)

  it("comes when the time of the server is over", function()
    casting.on_error(casting.channel(1))
    local here = casting.channel(1)
    local stream, task, listener = kit.client_of(function()
      here:send(true)
      casting.channel():receive()
    end, nil, nil, {grace = 0.05})
    here:receive(LONG)
    listener:close()
    assert.same({"close 1001"}, kit.read_all(stream))
    assert.is_true((task:await(LONG)))
    casting.on_error(nil)
  end)
end)

-- -- pings, and silence -------------------------------------------------------

-- Has time pass for websockets; none of real time does.
local function pass(seconds) Websocket.look(seconds, seconds) end

-- Waits until a task reads from the websocket; or until n bytes were read, too.
local function until_read(ws, n)
  while pcall(ws.stream.read, ws.stream, 0, 0) or
    ws.stream:stats().read < (n or 0) do
    casting.sleep(0.001)
  end
end

-- A raw client of a server whose handler is f(ws). Returns the stream, and the
-- websocket when a task reads from it.
local function client_that_waits(f)
  local here, ws = casting.channel(1), nil
  local stream = kit.client_of(function(its)
    ws = its
    here:send(true)
    f(its)
  end, {ping = 1000})
  here:receive(LONG)
  until_read(ws)
  pass(1)
  return stream, ws
end

-- The answer to a ping, which is read.
local function answer(stream, ws)
  local read = ws.stream:stats().read
  local pong = frame(10, "", {mask = MASK})
  stream:write(pong)
  until_read(ws, read + #pong)
  pass(1)
end

describe("silence", function()
  it("is broken by pings", function()
    local stream, ws = client_that_waits(kit.echo)
    for _ = 1, 3 do
      pass(600)
      pass(600)
      assert.equal("ping ", kit.tell(kit.read(stream)))
      pass(600)
      answer(stream, ws)
    end
    stream:write(frame(1, "a", {mask = MASK}))
    assert.equal("text a", kit.tell(kit.read(stream)))
  end)

  it("is not that of this process, which has stood still", function()
    local stream, ws = client_that_waits(kit.echo)
    pass(600)
    pass(600)
    assert.equal("ping ", kit.tell(kit.read(stream)))
    Websocket.look(1000000, 5)
    pass(600)
    Websocket.look(1000000, 5)
    assert.is_false(ws:closed())
    answer(stream, ws)
    pass(900)
    assert.is_false(ws:closed())
    -- It is, if this process is always late.
    for _ = 1, 10 do Websocket.look(1000000, 500) end
    assert.is_true(ws:closed())
  end)

  it("ends a websocket if no answer comes", function()
    local got = casting.channel(1)
    local stream = kit.client_of(function(ws)
      local _, _, code, reason = ws:receive()
      got:send(code, reason)
    end, {ping = 0.02})
    assert.same({1006, "no answer to a ping"}, {got:receive(LONG)})
    assert.equal("ping ", kit.tell(kit.read(stream)))
    assert.is_nil((kit.read(stream)))
  end)

  it("is no matter without pings", function()
    -- Each of these times may be over before the handshake is.
    local there, stream
    repeat
      there, stream = pcall(kit.client_of, kit.echo, {ping = false}, nil,
        {timeout = 0.05, idle = 0.05, header = 0.05})
    until there
    assert.same({nil, "timeout"}, {stream:read(1, 0.2)})
    pass(1000000)
    stream:write(frame(1, "a", {mask = MASK}))
    assert.equal("text a", kit.tell(kit.read(stream)))
  end)

  it("is not the other side's while its messages wait", function()
    local go, word = casting.channel(), frame(1, "a", {mask = MASK})
    local stream, ws = client_that_waits(function(ws)
      local messages = ws:messages()
      go:receive()
      ws:send(messages:receive())
    end)
    local read = ws.stream:stats().read
    stream:write(word)
    while ws.stream:stats().read < read + #word do casting.sleep(0.001) end
    for _ = 1, 5 do pass(600) end
    go:send(true)
    assert.equal("text a", kit.tell(kit.read(stream)))
  end)
end)

describe("a ping", function()
  it("is answered although nobody receives", function()
    local done = kit.keep(casting.channel())
    local stream = kit.client_of(function(ws)
      ws:messages()
      done:receive()
    end)
    stream:write(frame(9, "p", {mask = MASK}))
    assert.equal("pong p", kit.tell(kit.read(stream)))
  end)

  it("is answered after a while although nobody has asked for that", function()
    local done = kit.keep(casting.channel())
    local stream = kit.client_of(function() done:receive() end)
    stream:write(frame(9, "p", {mask = MASK}))
    for _ = 1, 2 do pass(1) end
    assert.equal("pong p", kit.tell(kit.read(stream)))
  end)

  it("is answered by who sends much and receives nothing", function()
    local stream = kit.client_of(function(ws)
      while ws:send "x" do casting.sleep(0.001) end
    end)
    stream:write(frame(9, "p", {mask = MASK}))
    local word
    repeat word = kit.tell(kit.read(stream)) until word ~= "text x"
    assert.equal("pong p", word)
    stream:write(frame(8, kit.code(1000), {mask = MASK}))
    repeat word = kit.read(stream) until word ~= 1
    assert.equal(8, word)
  end)

  it("is answered after one for which there was no task", function()
    local session = casting.session {tasks = 3}
    local listener = kit.keep(assert(net.listen("127.0.0.1", 0)))
    local client = session:spawn(function(port)
      local ws = require "casting.http".websocket("ws://127.0.0.1:" .. port,
        {ping = false})
      local casting = require "casting"
      local other = casting.channel()
      local filler = casting.spawn(other.receive, other)
      local first = ws:receive()
      other:close()
      filler:join()
      local second = ws:receive()
      return first, second
    end, (select(2, listener:name())))
    local stream = kit.keep(assert(listener:accept(LONG)))
    stream:write(kit.answer(stream:read_until("\r\n\r\n", 65536, LONG)))
    stream:write(frame(9, "lost") .. frame(1, "a"))
    stream:write(frame(9, "p"))
    assert.equal("pong p", kit.tell(kit.read(stream)))
    stream:write(frame(1, "b"))
    assert.same({"a", "b"}, {client:await(LONG)})
    session:close()
  end)

  it("can come in thousands", function()
    local stream = kit.client_of(kit.echo)
    local n = 5000
    local writer = casting.spawn(function()
      stream:write(frame(9, ("p"):rep(100), {mask = MASK}):rep(n) ..
        frame(8, kit.code(1000), {mask = MASK}))
    end)
    local count, opcode = 0
    repeat
      opcode = kit.read(stream)
      count = count + 1
    until opcode ~= 10
    assert.equal(8, opcode)
    assert.is_true(count > 1 and count <= n + 1)
    writer:join()
  end)
end)
