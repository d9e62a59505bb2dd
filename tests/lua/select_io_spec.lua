-- select_io_spec.lua - select over channels, streams, listeners and numbers.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG
local net, select = casting.net, casting.select

-- A stream to a listener, made in any session.
local function connect(host, port)
  local net = require "casting".net -- luacheck: ignore
  if not net.socket then return assert(net.connect(host, port)) end
  local s = assert(net.socket(host, port, {}))
  assert(net.connect(s, host, port))
  return s
end

describe("select with streams", function()
  local a, b, ch
  before_each(function()
    a, b = net.pair()
    ch = casting.channel()
  end)
  after_each(function()
    pcall(a.close, a)
    pcall(b.close, b)
  end)

  -- More than one call of the system asks about.
  it("looks at many", function()
    local ends, cases = {}, {timeout = LONG}
    for i = 1, 150 do ends[i], cases[i] = net.pair() end
    for _, k in ipairs {1, 2, 64, 65, 128, 129, 150} do
      ends[k]:write "x"
      assert.same(pack(k), pack(select(cases)))
      assert.equal("x", cases[k]:read())
      cases.timeout = 0
      assert.same(pack(nil, "timeout"), pack(select(cases)))
      cases.timeout = LONG
      casting.spawn(function() ends[k]:write "y" end)
      assert.same(pack(k), pack(select(cases)))
      assert.equal("y", cases[k]:read())
    end
    cases[99]:close()
    assert.same(pack(99), pack(select(cases)))
    for i = 1, 150 do
      ends[i]:close()
      cases[i]:close()
    end
  end)

  it("tells that there is something to read, and only that", function()
    assert.same(pack(nil, "timeout"), pack(select {ch, a, timeout = 0}))
    assert.same(pack(nil, "timeout"), pack(select {ch, a, timeout = 0.002}))
    b:write "hello"
    for _ = 1, 2 do assert.same(pack(2), pack(select {ch, a})) end
    assert.same(pack(2), pack(select {ch, a, timeout = 0}))
    assert.equal("hello", a:read())
    assert.same(pack(nil, "timeout"), pack(select {ch, a, timeout = 0}))
  end)

  -- Packs something that takes memory, and calls f meanwhile, once.
  local function packing(f)
    local done = false
    local v = setmetatable({}, {__save = function()
      if not done then
        done = true
        f()
      end
      return {}
    end})
    return {casting.channel(), ("y"):rep(10000), v}
  end

  it("looks for what it is about when all is packed", function()
    local s = casting.session()
    local there = s:spawn(function(c)
      local stream = c:receive()
      stream:write "from there" -- it is there alone
      stream = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
    end, ch)
    local ok, why = pcall(select, {b, packing(function()
      ch:send(b)
      there:await(LONG)
    end), timeout = LONG})
    assert.is_false(ok)
    assert.matches("case 1: the stream has moved: it was sent away", why)
    assert.equal("from there", a:read(10, LONG))
    local u, queue = assert(net.udp("127.0.0.1", 0)), casting.channel(1)
    ok, why = pcall(select, {u, packing(function() queue:send(u) end),
      timeout = LONG})
    assert.is_false(ok)
    assert.matches("case 1: the socket has moved: it was sent away", why)
    s:close()
  end)

  it("is told of a stream that was closed as it packed", function()
    assert.same(pack(1), pack(select {a, packing(function() a:close() end)}))
  end)

  it("is believed by a read that does not wait", function()
    b:write "one"
    assert.equal("one", a:read())
    b:write "two"
    assert.equal(1, select {a, timeout = 0})
    assert.equal("two", a:read(nil, 0))
    b:write "three"
    assert.is_true(net.wait(a:fd(), "r", 0))
    assert.equal("three", a:read(nil, 0))
  end)

  for _, place in ipairs(helper.places) do
    it("waits in " .. place[1], function()
      local back = casting.channel()
      local t = casting.spawn(function()
        local n = 0
        for word in back do
          n = n + 1
          if word == "stream" then b:write "x" else ch:send "y" end
        end
        return n
      end)
      -- The stream is made there: it belongs to one session.
      local function run(ch, back, a) -- luacheck: ignore
        local casting = require "casting" -- luacheck: ignore
        local got = {}
        for _, word in ipairs {"stream", "channel", "stream", "channel"} do
          back:send(word)
          local i, v = casting.select {a, ch}
          got[#got + 1] = i
          got[#got + 1] = i == 1 and a:read() or v
        end
        back:close()
        a:close()
        return table.concat(got, " ")
      end
      local got = place[2](run, ch, back, a)
      assert.equal("1 x 2 y 1 x 2 y", got)
      assert.same(pack(true, 4), pack(t:join(LONG)))
    end)
  end

  it("counts what is left over in the stream", function()
    b:write "one\ntwo\n"
    assert.equal("one", a:read "l")
    assert.same(pack(2), pack(select {ch, a}))
    assert.equal("two", a:read "l")
    assert.same(pack(nil, "timeout"), pack(select {ch, a, timeout = 0}))
    b:write "three"
    assert.equal("th", a:peek(2))
    assert.same(pack(2), pack(select {ch, a}))
    assert.equal("three", a:read())
  end)

  it("finds the end, and what is closed, ready", function()
    local t = casting.spawn(select, {ch, a})
    helper.until_waiting(t)
    b:close()
    assert.same(pack(true, 2), pack(t:join(LONG)))
    for _ = 1, 2 do assert.same(pack(2), pack(select {ch, a})) end
    assert.is_nil((a:read()))
    assert.same(pack(2), pack(select {ch, a}))
    local c, d = net.pair()
    t = casting.spawn(select, {ch, c})
    helper.until_waiting(t)
    c:close()
    assert.same(pack(true, 2), pack(t:join(LONG)))
    assert.same(pack(2), pack(select {ch, c, timeout = 0}))
    d:close()
  end)

  it("leaves the stream when a channel is faster", function()
    for _ = 1, 20 do
      local t = casting.spawn(select, {a, ch})
      helper.until_waiting(t)
      ch:send "now"
      assert.same(pack(true, 2, "now"), pack(t:join(LONG)))
      b:write "x"
      assert.equal("x", a:read())
    end
  end)

  it("chooses among channels and streams with the same chance", function()
    local full = casting.channel(1)
    full:send(0)
    b:write "x"
    local n = {0, 0, 0}
    for _ = 1, 300 do
      local i, v = select {full, a, {net.wait, a:fd(), "r"}}
      n[i] = n[i] + 1
      if i == 1 then full:send(v) end
    end
    for i = 1, 3 do assert.is_true(n[i] > 40, i .. ": " .. n[i]) end
  end)

  it("takes back what it has not sent", function()
    local c, d = net.pair()
    b:write "x"
    assert.same(pack(1), pack(select {a, {ch, c}}))
    assert.is_true(c:write "still mine")
    a:read()
    local t = casting.spawn(select, {a, {ch, "a table", {1}}, {ch, c}})
    helper.until_waiting(t)
    helper.misuse(function() c:write "not now" end, "moved")
    b:write "y"
    assert.same(pack(true, 1), pack(t:join(LONG)))
    assert.is_true(c:write "!")
    assert.equal("still mine!", d:read(11))
    a:read()
    t = casting.spawn(select, {a, {ch, c}})
    helper.until_waiting(t)
    c = ch:receive()
    assert.same(pack(true, 2, true), pack(t:join(LONG)))
    c:close()
    d:close()
  end)

  it("keeps a stream from moving meanwhile", function()
    local box = casting.channel(1)
    local function until_selected()
      helper.until_true(function() return not casting.transferable {a} end)
    end
    local t = casting.spawn(select, {ch, a})
    until_selected()
    helper.misuse(function() box:send(a) end, "stream")
    ch:send(1)
    assert.is_true((t:join(LONG)))
    t = casting.spawn(select, {ch, a, timeout = 0.1 * helper.slow})
    until_selected()
    helper.misuse(function() box:send(a) end, "stream")
    assert.same(pack(true, nil, "timeout"), pack(t:join(LONG)))
    t = casting.spawn(select, {ch, a})
    until_selected()
    t:cancel()
    t:join(LONG)
    assert.is_true(box:send(a))
    helper.misuse(function() select {ch, a} end,
      "case 2: the stream has moved: it was sent away")
    a = box:receive()
    b:write "x"
    assert.equal(1, select {a})
  end)

  it("waits on when another task was faster", function()
    local reads = casting.spawn(function()
      local n = 0
      repeat
        local s = a:read()
        n = n + #(s or "")
      until not s
      return n
    end)
    local t = casting.spawn(function()
      local n = 0
      while select {ch, a} == 2 do
        n = n + 1
        casting.yield()
      end
      return n
    end)
    helper.until_waiting(t)
    for _ = 1, 50 do
      b:write "x"
      casting.yield()
    end
    ch:send "enough"
    assert.is_true((t:join(LONG)))
    b:close()
    assert.same(pack(true, 50), pack(reads:join(LONG)))
  end)

  it("has nothing to do with tasks that write", function()
    local writes = casting.spawn(function()
      return a:write(("x"):rep(4000000))
    end)
    helper.until_waiting(writes)
    local t = casting.spawn(select, {ch, a, {net.wait, a:fd(), "r"}})
    helper.until_waiting(t)
    local n = 0
    while n < 4000000 do n = n + #b:read() end
    assert.is_true((writes:join(LONG)))
    assert.equal("waiting", t:status())
    ch:send(5)
    assert.same(pack(true, 1, 5), pack(t:join(LONG)))
  end)

  it("takes numbers", function()
    local fd = a:fd()
    assert.same(pack(2), pack(select {ch, {net.wait, fd, "w"}}))
    assert.same(pack(nil, "timeout"),
      pack(select {ch, {net.wait, fd, "r"}, timeout = 0.002}))
    local t = casting.spawn(select, {ch, {net.wait, fd, "r"}, false, a, a})
    helper.until_waiting(t)
    assert.matches(("in select, to receive from %s, for descriptor %d to be" ..
      " readable, nothing, to read from descriptor %d"):format(tostring(ch), fd,
      fd),
      casting.report(), 1, true)
    b:write "x"
    local ok, i = t:join(LONG)
    assert.is_true(ok and (i == 2 or i == 4 or i == 5))
    a:close()
    assert.equal(1, select {{net.wait, fd, "r"}, ch}) -- it is not open
    assert.equal(1, select {{net.wait, 1e9, "r"}, ch, timeout = 0})
  end)

  it("ends with its task", function()
    local t = casting.spawn(select, {ch, a, {net.wait, a:fd(), "r"}})
    helper.until_waiting(t)
    t:cancel()
    local ok, e = t:join(LONG)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(e))
    assert.same(pack(nil, "timeout"),
      pack(casting.with_timeout(0.002, select, {ch, a})))
    local session = casting.session()
    t = session:spawn(function(s)
      return require "casting".select {s}
    end, a)
    helper.until_waiting(t)
    assert.is_true(session:close(LONG))
    assert.equal("cancelled", t:status())
    assert.is_nil((b:read())) -- the stream has ended with its session
  end)

  it("works where the VM cannot yield", function()
    local function wait()
      local i
      table.sort({1, 2}, function() i = select {ch, a} end)
      return i
    end
    local t = casting.spawn(wait)
    casting.yield()
    b:write "x"
    assert.same(pack(true, 2), pack(t:join(LONG)))
    assert.equal(2, wait())
  end)

  it("waits for many", function()
    local cases, others = {ch}, {}
    for i = 1, 100 do
      local x, y = net.pair()
      cases[#cases + 1] = x
      others[i] = y
    end
    for i = 100, 1, -7 do
      local t = casting.spawn(select, cases)
      helper.until_waiting(t)
      others[i]:write "x"
      assert.same(pack(true, i + 1), pack(t:join(LONG)))
      cases[i + 1]:read()
    end
    for i = 1, 100 do
      cases[i + 1]:close()
      others[i]:close()
    end
  end)

  it("refuses other cases", function()
    helper.misuse(function() select {io.stdout} end, "bad argument #1",
      "case 1: channel, {channel, value, ...}, stream, listener, udp socket",
      "or {net.wait, fd, mode} expected",
      "got userdata")
    helper.misuse(function() select {ch, {a, "x"}} end, "case 2")
    helper.misuse(function() select {{net.wait}} end, "case 1",
      "a descriptor must be a non-negative integer")
    helper.misuse(function() select {{net.wait, -1, "r"}} end, "case 1")
    helper.misuse(function() select {{net.wait, a, "r"}} end, "case 1")
    helper.misuse(function() select {{net.wait, 1}} end,
      '"r" or "w" expected')
    helper.misuse(function() select {{net.wait, 1, "x"}} end,
      '"r" or "w" expected')
    helper.misuse(function() select {{net.wait, 1, "r", 5}} end,
      "{net.wait, fd, mode} expected")
    helper.misuse(function() select {{print, 1, "r"}} end, "case 1")
  end)
end)

describe("select with sockets for datagrams", function()
  it("tells of a datagram, or the close", function()
    local ch = casting.channel()
    local u, v = assert(net.udp("127.0.0.1", 0)), assert(net.udp())
    assert.same(pack(nil, "timeout"), pack(select {ch, u, timeout = 0.002}))
    local t = casting.spawn(select, {ch, u})
    helper.until_waiting(t)
    local box = casting.channel(1)
    helper.misuse(function() box:send(u) end, "a udp")
    v:send("hello", u:name())
    assert.same(pack(true, 2), pack(t:join(LONG)))
    assert.same(pack(2), pack(select {ch, u}))
    assert.equal("hello", (u:receive(0)))
    assert.same(pack(nil, "timeout"), pack(select {ch, u, timeout = 0}))
    t = casting.spawn(select, {ch, u})
    helper.until_waiting(t)
    t:cancel()
    t:join(LONG)
    assert.is_true(box:send(u))
    helper.misuse(function() select {u} end,
      "case 1: the socket has moved: it was sent away")
    u = box:receive()
    t = casting.spawn(select, {ch, u})
    helper.until_waiting(t)
    u:close()
    assert.same(pack(true, 2), pack(t:join(LONG)))
    v:close()
  end)
end)

describe("select with listeners", function()
  local listener, host, port, session
  before_each(function()
    listener = assert(net.listen("127.0.0.1", 0, {}))
    host, port = listener:name()
    session = casting.session()
  end)
  after_each(function()
    listener:close()
    session:close()
  end)

  it("tells of a connection", function()
    local ch = casting.channel()
    assert.same(pack(nil, "timeout"),
      pack(select {ch, listener, timeout = 0.002}))
    local t = casting.spawn(select, {ch, listener})
    helper.until_waiting(t)
    local client = session:spawn(connect, host, port):await(LONG)
    assert.same(pack(true, 2), pack(t:join(LONG)))
    assert.same(pack(2), pack(select {ch, listener}))
    local s = assert((listener:accept(LONG)))
    assert.same(pack(nil, "timeout"),
      pack(select {ch, listener, timeout = 0}))
    s:close()
    client:close()
    t = casting.spawn(select, {ch, listener})
    helper.until_waiting(t)
    listener:close()
    assert.same(pack(true, 2), pack(t:join(LONG)))
    assert.same(pack(1), pack(select {listener}))
  end)

  -- Fills its session, so that there is no memory for a stream (R188).
  local function accept_without_memory(l)
    local accept, pcall, rep = l.accept, pcall, string.rep
    local all, n = {}, 0 -- luacheck: ignore
    local function grow(size)
      n = n + 1
      all[n] = rep("x", size) .. n
    end
    collectgarbage "stop"
    for _, size in ipairs {10000, 1000, 100, 40, 8, 1} do
      while pcall(grow, size) do end -- luacheck: ignore
    end
    local ok = pcall(accept, l, 10)
    all = nil
    collectgarbage "restart"
    return ok
  end

  it("tells of a connection for which there was no memory", function()
    -- As in values_bad_spec.lua.
    if helper.version == "5.1" then return end
    local full = casting.session {memory = 2 * 1024 * 1024}
    local t = casting.spawn(select, {listener})
    helper.until_waiting(t)
    local client = connect(host, port)
    assert.same(pack(true, 1), pack(t:join(LONG)))
    assert.is_false((full:spawn(accept_without_memory,
      listener):await(LONG)))
    assert.same(pack(1), pack(select {listener, timeout = 0}))
    assert.is_true(net.wait(listener:fd(), "r", 0))
    listener:accept(0):close()
    assert.same(pack(nil, "timeout"), pack(select {listener, timeout = 0}))
    client:close()
    full:close()
  end)

  it("takes no connection from those who accept", function()
    local selects, accepts = {}, {}
    for i = 1, 5 do
      selects[i] = casting.spawn(function()
        while select {listener} == 1 do
          local s, why = listener:accept(0)
          if s then s:close() return "accepted" end
          if why == "closed" then return why end
        end
      end)
      helper.until_waiting(selects[i])
      accepts[i] = casting.spawn(function()
        local s, why = listener:accept()
        if s then s:close() end
        return s and "accepted" or why
      end)
      helper.until_waiting(accepts[i])
    end
    local clients = session:spawn(function(connect, host, port) -- luacheck: ignore
      local clients = {}
      for i = 1, 7 do clients[i] = connect(host, port) end
      for i = 1, 7 do clients[i]:read "a" end
      return #clients
    end, connect, host, port)
    assert.same(pack(true, 7), pack(clients:join(LONG)))
    listener:close()
    local n = {accepted = 0, closed = 0}
    for i = 1, 5 do
      for _, t in ipairs {selects[i], accepts[i]} do
        local word = t:await(LONG)
        n[word] = n[word] + 1
      end
    end
    assert.same({accepted = 7, closed = 3}, n)
  end)

  it("waits in several sessions", function()
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = casting.session():spawn(function(l, c) -- luacheck: ignore
        local casting, n = require "casting", 0 -- luacheck: ignore
        while casting.select {l, c} == 1 do
          local s = l:accept(0)
          if s then
            n = n + 1
            s:write "welcome"
            s:close()
          end
        end
        return n
      end, listener, casting.named "select_io_spec")
      helper.until_waiting(tasks[i])
    end
    session:spawn(function(connect, host, port) -- luacheck: ignore
      for _ = 1, 30 do
        local s = connect(host, port)
        assert(s:read(7) == "welcome")
        s:close()
      end
    end, connect, host, port):await(LONG)
    casting.named "select_io_spec":close()
    local n = 0
    for i = 1, 3 do n = n + tasks[i]:await(LONG) end
    assert.equal(30, n)
  end)
end)

describe("calls that never wait", function()
  local a, b, full, peer, u, v, port, listener
  before_each(function()
    a, b = net.pair()
    b:write "half a line"
    full, peer = net.pair()
    u = assert(net.udp("127.0.0.1", 0, {}))
    v = assert(net.udp("127.0.0.1", 0, {}))
    port = _G.select(2, u:name())
    listener = assert(net.listen("127.0.0.1", 0, {}))
  end)
  after_each(function()
    for _, s in ipairs {a, b, full, peer, u, v, listener} do s:close() end
  end)

  local function calls()
    local fd = a:fd()
    return {
      function() assert(select {a} == 1) end,
      function() assert(select {a, timeout = 100} == 1) end,
      function() assert(select {a, timeout = 0} == 1) end,
      function() assert(select {{net.wait, fd, "r"}} == 1) end,
      function() assert(select {listener, timeout = 0} == nil) end,
      function() assert(net.wait(fd, "w")) end,
      function() assert(net.wait(fd, "w", 0)) end,
      function() assert(net.wait(fd, "r", 0)) end,
      function() assert(not a:read("l", 0)) end,
      function() assert(a:peek(1, 0)) end,
      function() assert(not listener:accept(0)) end,
      function() assert(a:write("", 0)) end,
      function() full:write("x", 0) end, -- "timeout", once it is full
      function() assert(u:send("x", "127.0.0.1", port, 0)) end,
      function() assert(not v:receive(0)) end,
    }
  end

  it("let others run now and then", function()
    local function run(i, f)
      local ran, n = false, 0
      local other = casting.spawn(function() ran = true end)
      while not ran and n < 1000 do
        f()
        n = n + 1
      end
      assert.is_true(ran, "way " .. i)
      other:join(LONG)
    end
    for i, f in ipairs(calls()) do
      run(i, f)
      casting.spawn(run, i, f):await(LONG)
    end
    assert.equal("half a line", a:read(nil, 0))
  end)

  it("are ended by a deadline", function()
    local late
    local function loop(f)
      while not late do f() end
    end
    -- Without that this never ends.
    local watch = casting.spawn(function()
      casting.sleep(LONG)
      late = true
    end)
    for i, f in ipairs(calls()) do
      assert.same(pack(nil, "timeout"),
        pack(casting.with_timeout(0.001, loop, f)), "way " .. i)
    end
    watch:cancel()
    assert.equal("half a line", a:read(nil, 0))
  end)

  it("also in finalizers", function()
    local errors, n = {}, 0
    local function finalize()
      for _ = 1, 100 do
        local ok, e = pcall(select, {a, timeout = 0})
        if not ok then errors[#errors + 1] = e end
      end
      n = n + 1
    end
    local function make()
      if rawget(_G, "newproxy") then
        getmetatable(newproxy(true)).__gc = finalize -- luacheck: ignore
      else
        setmetatable({}, {__gc = finalize})
      end
    end
    make()
    casting.spawn(make):await(LONG)
    for _ = 1, 3 do
      collectgarbage()
      casting.spawn(collectgarbage):await(LONG)
    end
    assert.equal(2, n)
    assert.equal(nil, errors[1])
  end)
end)
