-- net_udp_spec.lua - sockets for datagrams: UDP, multicast, Unix sockets.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG
local net = casting.net

-- Sockets that a test makes, closed after it.
local sockets = {}
local function udp(...)
  local s = assert(net.udp(...))
  sockets[#sockets + 1] = s
  return s
end
local function bound(host)
  local s = udp(host or "127.0.0.1", 0)
  return s, s:name()
end
local function close_all()
  for _, s in ipairs(sockets) do pcall(s.close, s) end
  sockets = {}
end

-- A free path, removed after the test.
local paths = {}
local function new_path()
  local path = os.tmpname()
  os.remove(path)
  paths[#paths + 1] = path
  return path
end
local function remove_paths()
  for _, path in ipairs(paths) do os.remove(path) end
  paths = {}
end
-- Is there a file, of any kind?
local function exists(path)
  local done = os.rename(path, path)
  return done == true
end

-- Does the system have IPv6 on loopback?
local function has_six()
  local s = net.udp("::1", 0)
  if s then s:close() end
  return s ~= nil
end

local function after()
  close_all()
  remove_paths()
end

describe("a socket for datagrams", function()
  after_each(after)

  for _, place in ipairs(helper.places) do
    it("sends and receives in " .. place[1], function()
      assert.same(pack("ping", true, "pong", true),
        pack(place[2](function(long)
          local c = require "casting"
          local a = assert(c.net.udp("127.0.0.1", 0))
          local b = assert(c.net.udp("127.0.0.1", 0))
          local ahost, aport = a:name()
          assert(b:send("ping", ahost, aport))
          local first, host, port = a:receive(long)
          local bhost, bport = b:name()
          local same = host == bhost and port == bport
          assert(a:send("pong", host, port))
          local second, back, backport = b:receive(long)
          a:close()
          b:close()
          return first, same, second, back == ahost and backport == aport
        end, LONG)))
    end)

    it("waits until something comes in " .. place[1], function()
      local a, host, port = bound()
      a:close()
      local words = pack(place[2](function(long, host, port) -- luacheck: ignore
        local c = require "casting"
        local s = assert(c.net.udp(host, port))
        local t = c.spawn(function(...)
          local b = assert(c.net.udp())
          c.yield()
          b:send(...)
          b:close()
        end, "late", host, port)
        local word = s:receive(long)
        t:await(long)
        s:close()
        return word
      end, LONG, host, port))
      assert.same(pack("late"), words)
    end)
  end

  it("takes datagrams whole, of all sizes, in order", function()
    local a, host, port = bound()
    local b = udp()
    assert.is_true(a:option("recvbuffer", 1000000))
    for _, size in ipairs {0, 1, 100, 1472, 4096, 4097, 9000, 40000, 65507} do
      local text = ("d"):rep(size)
      assert.is_true(b:send(text, host, port))
      assert.is_true(b:send("next", host, port))
      local got = a:receive(LONG)
      assert.equal(size, #got)
      assert.is_true(got == text)
      assert.equal("next", (a:receive(LONG)))
    end
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    bytes = table.concat(bytes)
    assert.is_true(b:send(bytes, host, port))
    assert.equal(bytes, (a:receive(LONG)))
    for i = 1, 50 do assert(b:send(tostring(i), host, port)) end
    for i = 1, 50 do assert.equal(tostring(i), (a:receive(LONG))) end
    assert.is_true(b:send(12, host, port))
    assert.equal("12", (a:receive(LONG)))
  end)

  it("refuses to send what is too large", function()
    local _, host, port = bound()
    local ok, why = udp():send(("d"):rep(65508), host, port)
    assert.is_nil(ok)
    assert.matches("message too long", why:lower())
  end)

  it("has an address, also if it was not bound", function()
    local a, host, port = bound()
    assert.equal("127.0.0.1", host)
    assert.is_true(port > 0)
    assert.equal(2, select("#", a:name()))
    local b = udp()
    local _, none = b:name()
    assert.equal(0, none)
    b:send("x", host, port)
    local _, _, from = a:receive(LONG)
    local _, mine = b:name()
    assert.equal(from, mine)
    assert.matches("^udp: ", tostring(b))
    assert.is_true(a:fd() > 2)
  end)

  it("counts", function()
    local a, host, port = bound()
    a:send("12345", host, port)
    a:send("", host, port)
    a:receive(LONG)
    a:receive(LONG)
    assert.same({received = 2, sent = 2, bytes_received = 5, bytes_sent = 5},
      a:stats())
    if not helper.integers then return end
    local listener = assert(net.listen("127.0.0.1", 0))
    local stream = assert(net.connect(listener:name()))
    for _, s in ipairs {a, listener, stream} do
      for name, n in pairs(s:stats()) do
        assert.equal("integer", math.type(n), name)
      end
      assert.equal("integer", math.type(s:fd()))
    end
    listener:close()
    stream:close()
  end)

  it("speaks IPv6", function()
    if not has_six() then pending "no IPv6 here" return end
    local a, host, port = bound "::1"
    assert.equal("::1", host)
    local b = udp(nil, nil, {family = "inet6"})
    assert.is_true(b:send("six", host, port))
    assert.same(pack("six", "::1", select(2, b:name())),
      pack(a:receive(LONG)))
    local both = udp("::", 0, {v6only = false})
    assert.is_false(both:option "v6only")
    udp():send("mapped", "127.0.0.1", (select(2, both:name())))
    local word, from, fromport = both:receive(LONG)
    assert.same({"mapped", "::ffff:127.0.0.1"}, {word, from})
    assert.is_true(both:send("back", from, fromport))
  end)

  it("is not bound where another one is", function()
    local _, host, port = bound()
    local other, why = net.udp(host, port)
    assert.is_nil(other)
    assert.matches("address already in use", why:lower())
    other, why = net.udp("192.0.2.1", 0)
    assert.is_nil(other)
    assert.equal("string", type(why))
    local one = udp("127.0.0.1", 0, {reuseport = true})
    local _, shared = one:name()
    assert.is_true(udp("127.0.0.1", shared, {reuseport = true}) ~= nil)
  end)
end)

describe("receive", function()
  after_each(after)

  it("ends with its timeout, and takes nothing", function()
    local a, host, port = bound()
    assert.same(pack(nil, "timeout"), pack(a:receive(0)))
    helper.misuse(function() a:receive(-1) end, "receive", "#1", "seconds")
    assert.same(pack(nil, "timeout"), pack(a:receive(0.001)))
    local b = udp()
    for _ = 1, 10 do
      assert.same(pack(nil, "timeout"), pack(a:receive(0.0001)))
    end
    for i = 1, 20 do b:send("x" .. i, host, port) end
    for i = 1, 20 do
      assert.equal("x" .. i, (a:receive(i % 2 == 0 and 0 or 0.0001)))
    end
    assert.same(pack(nil, "timeout"), pack(a:receive(0)))
    assert.same(pack(nil, "timeout"),
      pack(casting.with_timeout(0.001, a.receive, a)))
    b:send("still", host, port)
    assert.equal("still", (a:receive(LONG)))
  end)

  it("serves those who wait in the order in which they came", function()
    local a, host, port = bound()
    local b, tasks = udp(), {}
    for i = 1, 10 do
      tasks[i] = casting.spawn(function() return (a:receive()) end)
      helper.until_waiting(tasks[i])
    end
    for round = 1, 2 do
      for i = round * 5 - 4, round * 5 do b:send("no. " .. i, host, port) end
      for i = round * 5 - 4, round * 5 do
        assert.equal("no. " .. i, tasks[i]:await(LONG))
      end
    end
  end)

  it("lets nobody in before those who wait", function()
    local a, host, port = bound()
    local first = casting.spawn(function() return (a:receive()) end)
    local second = casting.spawn(function() return (a:receive()) end)
    helper.until_waiting(first)
    helper.until_waiting(second)
    local b = udp()
    for i = 1, 3 do b:send(tostring(i), host, port) end
    assert.same(pack(nil, "timeout"), pack(a:receive(0)))
    assert.equal("3", (a:receive(LONG)))
    assert.equal("1", first:await(LONG))
    assert.equal("2", second:await(LONG))
  end)

  it("goes to the next one when one is cancelled or gives up", function()
    local a, host, port = bound()
    local tasks = {}
    for i = 1, 6 do
      tasks[i] = casting.spawn(function()
        return (a:receive(i == 2 and 0.001 or nil))
      end)
      helper.until_true(function() -- the second may have given up
        return tasks[i]:status() == "waiting" or tasks[i]:status() == "done"
      end)
    end
    tasks[1]:cancel()
    tasks[3]:cancel()
    tasks[5]:cancel()
    assert.is_false((tasks[1]:join(LONG)))
    assert.is_nil(tasks[2]:await(LONG))
    local b = udp()
    b:send("four", host, port)
    assert.equal("four", tasks[4]:await(LONG))
    b:send("six", host, port)
    assert.equal("six", tasks[6]:await(LONG))
    assert.is_false((tasks[3]:join(LONG)))
    assert.is_false((tasks[5]:join(LONG)))
    b:send("left", host, port)
    assert.equal("left", (a:receive(LONG)))
  end)

  it("loses nothing when tasks are cancelled just as something comes",
    function()
      local a, host, port = bound()
      local b, got = udp(), 0
      for i = 1, 50 do
        local one = casting.spawn(function() return (a:receive()) end)
        local two = casting.spawn(function() return (a:receive()) end)
        helper.until_waiting(two)
        b:send(tostring(i), host, port)
        one:cancel()
        local ok, value = one:join(LONG)
        if ok then
          assert.equal(tostring(i), value)
          two:cancel()
          assert.is_false((two:join(LONG)))
        else
          assert.equal(tostring(i), two:await(LONG))
        end
        got = got + 1
      end
      assert.equal(50, got)
      assert.same(pack(nil, "timeout"), pack(a:receive(0)))
    end)

  it("obeys deadlines and shields", function()
    local a, host, port = bound()
    local task = casting.spawn(function()
      return casting.shield(function() return (a:receive()) end)
    end)
    helper.until_waiting(task)
    task:cancel()
    udp():send("shielded", host, port)
    local ok, e = task:join(LONG)
    if ok then
      assert.equal("shielded", e)
    else
      assert.is_true(casting.is_cancelled(e))
    end
    assert.same(pack(nil, "timeout"), pack(a:receive(0)))
    local bad, why = casting.with_timeout(0.001, function()
      return a:receive(LONG)
    end)
    assert.same({nil, "timeout"}, {bad, why})
  end)

  it("works where the VM cannot yield", function()
    local a, host, port = bound()
    local task = casting.spawn(function()
      local seen = {}
      table.sort({1, 2}, function() seen[#seen + 1] = (a:receive()) end)
      coroutine.wrap(function() seen[#seen + 1] = (a:receive()) end)()
      return #seen
    end)
    local b = udp()
    local feeder = casting.spawn(function()
      while task:status() ~= "done" and task:status() ~= "failed" do
        b:send("x", host, port)
        casting.yield()
      end
    end)
    assert.is_true(task:await(LONG) >= 2)
    feeder:await(LONG)
  end)

  it("ends when the socket is closed, for all who wait", function()
    local a, host, port = bound()
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = casting.spawn(a.receive, a)
      helper.until_waiting(tasks[i])
    end
    assert.is_true(a:close())
    assert.is_false(a:close())
    for i = 1, 4 do
      assert.same(pack(true, nil, "closed"), pack(tasks[i]:join(LONG)))
    end
    for _, f in ipairs {a.receive, a.name, a.peer, a.fd, a.connect} do
      assert.same(pack(nil, "closed"), pack(f(a)))
    end
    assert.same(pack(nil, "closed"), pack(a:send("x", host, port)))
    assert.same(pack(nil, "closed"), pack(a:join "224.0.0.251"))
    assert.same(pack(nil, "closed"), pack(a:option "ttl"))
    assert.equal(0, a:stats().received)
  end)

  it("has a finalizer that receives, and one that closes", function()
    local a, host, port = bound()
    local b, seen = udp(), {}
    local function finalized(f)
      if helper.version == "5.1" then
        local proxy = rawget(_G, "newproxy")(true)
        getmetatable(proxy).__gc = f
      else
        setmetatable({}, {__gc = f})
      end
    end
    for i = 1, 40 do
      b:send(("x"):rep(50000) .. i, host, port)
      b:send(("x"):rep(50000) .. i, host, port)
      finalized(function() seen[#seen + 1] = (a:receive(0)) end)
      local got = a:receive(0)
      if got then seen[#seen + 1] = got end
      got = a:receive(0)
      if got then seen[#seen + 1] = got end
      if i % 10 == 0 then collectgarbage() end
    end
    collectgarbage()
    local got = a:receive(0)
    while got do seen[#seen + 1], got = got, a:receive(0) end
    assert.equal(80, #seen)
    for i = 1, 80 do
      assert.matches("^x+%d+$", seen[i])
      assert.is_true(#seen[i] > 50000)
    end
    finalized(function() a:close() end)
    collectgarbage()
    collectgarbage()
    assert.same(pack(nil, "closed"), pack(a:receive(LONG)))
  end)
end)

describe("a connected socket", function()
  after_each(after)

  it("has a peer, and hears nobody else", function()
    local a, ahost, aport = bound()
    local b, bhost, bport = bound()
    local c = udp()
    assert.is_nil(b:peer())
    assert.is_true(b:connect(ahost, aport))
    assert.same(pack(ahost, aport), pack(b:peer()))
    assert.is_true(b:send "to the peer")
    assert.equal("to the peer", (a:receive(LONG)))
    c:send("stranger", bhost, bport)
    a:send("friend", bhost, bport)
    assert.same(pack("friend", ahost, aport), pack(b:receive(LONG)))
    assert.is_true(b:connect())
    assert.is_nil(b:peer())
    assert.same(pack(bhost, bport), pack(b:name()))
    c:send("again", bhost, bport)
    assert.equal("again", (b:receive(LONG)))
    local ok, why = b:send "nowhere"
    assert.is_nil(ok)
    assert.equal("string", type(why))
    assert.is_true(b:connect(ahost, aport))
    assert.is_true(b:connect(c:name()))
  end)

  it("is told that nobody is there, and goes on", function()
    local a, host, port = bound()
    a:close()
    local b = udp()
    assert.is_true(b:connect(host, port))
    for _ = 1, 3 do
      local task = casting.spawn(function() return b:receive() end)
      helper.until_waiting(task)
      assert.is_true(b:send "anybody?")
      local got, why = task:await(LONG)
      assert.is_nil(got)
      assert.matches("connection refused", why:lower())
    end
    local again = udp(host, port)
    assert.is_true(b:send "now?")
    assert.equal("now?", (again:receive(LONG)))
  end)
end)

describe("a group", function()
  after_each(after)

  local function loopback(group, host, port)
    local from = udp(host, 0)
    local ok, why = from:option("multicast_device", "lo")
    if not ok then return nil, why end
    assert.is_true(from:option("multicast_loop", true))
    ok, why = from:send("to all", group, port)
    return ok and from, why
  end

  it("hears what is sent to it, until it leaves (IPv4)", function()
    local a = udp("0.0.0.0", 0)
    local _, port = a:name()
    local ok, why = a:join("239.255.77.77", "lo")
    local from
    if ok then from, why = loopback("239.255.77.77", "127.0.0.1", port) end
    if not from then pending("no multicast here: " .. why) return end
    assert.equal("to all", (a:receive(LONG)))
    assert.is_true(a:leave("239.255.77.77", "lo"))
    from:send("to none", "239.255.77.77", port)
    from:send("to one", "127.0.0.1", port)
    assert.equal("to one", (a:receive(LONG)))
    ok, why = a:leave("239.255.77.77", "lo")
    assert.is_nil(ok)
    assert.equal("string", type(why))
  end)

  it("hears what is sent to it, until it leaves (IPv6)", function()
    if not has_six() then pending "no IPv6 here" return end
    local a = udp("::", 0)
    local _, port = a:name()
    local ok, why = a:join("ff01::7777", "lo")
    local from
    if ok then from, why = loopback("ff01::7777", "::1", port) end
    if from then assert.equal("to all", (a:receive(LONG))) end
    if ok then assert.is_true(a:leave("ff01::7777", "lo")) end
    if not from then pending("no multicast here: " .. why) end
  end)

  it("must be one, at an interface that is there", function()
    local a = udp("127.0.0.1", 0)
    local ok, why = a:join("127.0.0.1")
    assert.is_nil(ok)
    assert.equal("string", type(why))
    ok, why = a:join("239.255.77.77", "no such device")
    assert.is_nil(ok)
    assert.equal("string", type(why))
    helper.misuse(function() a:join "all" end, "join", "#1", "numeric address")
    helper.misuse(function() a:join() end, "join", "#1", "string")
    helper.misuse(function() a:leave("239.255.77.77", {}) end, "leave", "#2",
      "string")
  end)
end)

describe("a Unix socket for datagrams", function()
  after_each(after)

  it("is a file until it is closed", function()
    local path = new_path()
    local name = "unix:" .. path
    local a = udp(name)
    assert.is_true(exists(path))
    assert.same(pack(name), pack(a:name()))
    local b = udp(nil, nil, {family = "unix"})
    assert.is_true(b:send("nameless", name))
    assert.same(pack("nameless", "unix:"), pack(a:receive(LONG)))
    local back = "unix:" .. new_path()
    local c = udp(back)
    assert.is_true(c:send("", name))
    assert.same(pack("", back), pack(a:receive(LONG)))
    assert.is_true(a:send("answer", back))
    assert.same(pack("answer", name), pack(c:receive(LONG)))
    a:close()
    assert.is_false(exists(path))
    local ok, why = c:send("gone", name)
    assert.is_nil(ok)
    assert.equal("string", type(why))
  end)

  it("may have an abstract name", function()
    local name = "unix:@casting " .. new_path()
    local a, why = net.udp(name)
    if not a then pending("no such names here: " .. why) return end
    sockets[#sockets + 1] = a
    assert.same(pack(name), pack(a:name()))
    local b = udp(name .. " b")
    assert.is_true(b:connect(name))
    assert.is_true(b:send "hello")
    assert.same(pack("hello", name .. " b"), pack(a:receive(LONG)))
  end)

  it("takes the place of one that has gone, and of nothing else", function()
    local path = new_path()
    local name = "unix:" .. path
    local a = udp(name)
    local other, why = net.udp(name)
    assert.is_nil(other)
    assert.matches("address already in use", why:lower())
    -- What is left by a program that ends without closing it.
    local left = new_path()
    assert(os.rename(path, left))
    a:close()
    assert.is_true(exists(left), "it is another file by its name")
    local b = udp("unix:" .. left)
    b:close()
    assert.is_false(exists(left))
    helper.spit(path, "not a socket")
    other, why = net.udp(name)
    assert.is_nil(other)
    assert.matches("address already in use", why:lower())
    assert.equal("not a socket", helper.slurp(path))
    -- Another one has taken the path: it stays.
    os.remove(path)
    a = udp(name)
    os.remove(path)
    b = udp(name)
    a:close()
    assert.is_true(exists(path))
    b:close()
    assert.is_false(exists(path))
  end)

  it("is removed with a handle that nobody has any more", function()
    local path = new_path()
    do assert(net.udp("unix:" .. path)) end
    collectgarbage()
    collectgarbage()
    assert.is_false(exists(path))
  end)

  -- The system's queue of such a socket is short.
  local function fill(send)
    local n = 0
    while true do
      local ok, why = send("no. " .. n + 1, 0)
      if not ok then
        assert.equal("timeout", why)
        return n
      end
      n = n + 1
    end
  end

  it("waits while the other one's queue is full", function()
    local name = "unix:" .. new_path()
    local a, b = udp(name), udp(nil, nil, {family = "unix"})
    for _, connected in ipairs {true, false} do
      local function send(text, t)
        if connected then return b:send(text, nil, nil, t) end
        return b:send(text, name, nil, t)
      end
      if connected then b:connect(name) else b:connect() end
      local n = fill(send)
      if connected then
        assert.same(pack(nil, "timeout"), pack(send("late", 0.001)))
      end
      local task = casting.spawn(send, "waited")
      -- Now and then it is not waiting, but tries.
      helper.until_true(function()
        return casting.report():find("sending to " .. name, 1, true)
      end, "that the task waits to send")
      local cancelled = casting.spawn(send, "cancelled")
      helper.until_waiting(cancelled)
      cancelled:cancel()
      assert.is_false((cancelled:join(LONG)))
      for i = 1, n do assert.equal("no. " .. i, (a:receive(LONG))) end
      assert.same(pack(true, true), pack(task:join(LONG)))
      assert.equal("waited", (a:receive(LONG)))
      assert.same(pack(nil, "timeout"), pack(a:receive(0)))
    end
  end)

  it("wakes those who wait to send when it is closed", function()
    local name = "unix:" .. new_path()
    udp(name)
    local b = udp(nil, nil, {family = "unix"})
    fill(function(text, t) return b:send(text, name, nil, t) end)
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = casting.spawn(b.send, b, "x", name)
      helper.until_waiting(tasks[i])
    end
    helper.misuse(function() casting.channel(1):send(b) end)
    b:close()
    for i = 1, 3 do
      assert.same(pack(true, nil, "closed"), pack(tasks[i]:join(LONG)))
    end
  end)
end)

describe("options", function()
  after_each(after)

  it("are set and read", function()
    local a = udp("127.0.0.1", 0)
    for name, values in pairs {
      broadcast = {true, false}, reuseaddr = {true, false},
      reuseport = {true, false}, ttl = {1, 33, 255},
      multicast_ttl = {0, 7, 255}, multicast_loop = {false, true}} do
      for _, v in ipairs(values) do
        assert.same({name, true}, {name, a:option(name, v)})
        assert.same({name, v}, {name, a:option(name)})
      end
    end
    for _, name in ipairs {"sendbuffer", "recvbuffer"} do
      assert.is_true(a:option(name, 50000))
      assert.is_true(a:option(name) >= 50000)
    end
    assert.same(pack(nil, "this option cannot be read"),
      pack(a:option "multicast_device"))
  end)

  it("may be given when the socket is made", function()
    local a = udp("127.0.0.1", 0, {broadcast = true, ttl = 9, reuseaddr = true})
    assert.same({true, 9, true},
      {a:option "broadcast", a:option "ttl", a:option "reuseaddr"})
    local b, why = net.udp("127.0.0.1", 0, {nodelay = true})
    assert.same({nil, "this socket has no such option"}, {b, why})
    helper.misuse(function() net.udp("127.0.0.1", 0, {ttl = "x"}) end,
      "#3", "ttl must be an integer from 1 to 255")
    helper.misuse(function() net.udp(nil, nil, {family = "four"}) end,
      "#3", "inet6")
  end)

  -- A stream over TCP.
  local function stream(listener)
    if net.socket then return assert(net.socket("127.0.0.1", 1, {})) end
    return assert(net.connect(listener:name()))
  end

  it("of streams and listeners, too", function()
    local l = assert(net.listen("127.0.0.1", 0, {}))
    assert.is_true(l:option "reuseaddr")
    assert.is_true(l:option("ttl", 5))
    assert.equal(5, l:option "ttl")
    assert.same(pack(nil, "this socket has no such option"),
      pack(l:option("broadcast", true)))
    assert.same(pack(nil, "this socket has no such option"),
      pack(l:option "v6only"))
    local s = stream(l)
    l:close()
    assert.same(pack(nil, "closed"), pack(l:option "ttl"))
    assert.is_true(s:option "nodelay")
    assert.is_true(s:option("nodelay", false))
    assert.is_false(s:option "nodelay")
    assert.equal(15, s:option "keepalive")
    assert.is_true(s:option("keepalive", 60))
    assert.equal(60, s:option "keepalive")
    assert.is_true(s:option("keepalive", false))
    assert.is_false(s:option "keepalive")
    assert.is_false(s:option "linger")
    assert.is_true(s:option("linger", 0))
    assert.equal(0, s:option "linger")
    assert.is_true(s:option("linger", false))
    assert.is_false(s:option "linger")
    s:close()
    local one, two = net.pair()
    assert.same(pack(nil, "this socket has no such option"),
      pack(one:option("nodelay", true)))
    assert.is_true(one:option("sendbuffer", 10000))
    one:close()
    two:close()
  end)

  it("say what they take", function()
    local a = udp("127.0.0.1", 0)
    helper.misuse(function() a:option "colour" end, "option", "#1",
      "no option 'colour'", "broadcast", "v6only")
    helper.misuse(function() a:option() end, "option", "#1", "string")
    helper.misuse(function() a:option("broadcast", 1) end, "#2",
      "broadcast must be true or false, got 1")
    helper.misuse(function() a:option("ttl", true) end, "#2",
      "ttl must be an integer from 1 to 255, got")
    for _, bad in ipairs {0, 256, 1.5, -1, 0 / 0, 1 / 0, "1"} do
      helper.misuse(function() a:option("ttl", bad) end, "#2",
        "from 1 to 255")
    end
    helper.misuse(function() a:option("linger", 5) end, "#2",
      "linger must be 0 or false, got 5")
    helper.misuse(function() a:option("keepalive", 0) end, "#2",
      "from 1 to 32767, or false")
    helper.misuse(function() a:option("multicast_device", 1) end, "#2",
      "name of an interface, got 1")
    local ok, why = a:option("multicast_device", "no such device")
    assert.is_nil(ok)
    assert.equal("string", type(why))
  end)
end)

describe("a socket that moves", function()
  after_each(after)

  it("works in the other session, with what has come", function()
    local a, host, port = bound()
    local b = udp()
    b:send("before", host, port)
    assert.equal("before", (a:receive(LONG)))
    assert.same(pack(nil, "timeout"), pack(a:receive(0.001)))
    b:send("between", host, port)
    local session = casting.session()
    local task = session:spawn(function(s, long)
      local one = s:receive(long)
      local two, from, fromport = s:receive(long)
      s:send("from there", from, fromport)
      return one, two, s
    end, a, LONG)
    helper.misuse(function() a:receive(0) end, "has moved")
    helper.misuse(function() a:close() end, "has moved")
    b:send("after", host, port)
    assert.equal("from there", (b:receive(LONG)))
    local one, two, back = task:await(LONG)
    assert.same({"between", "after"}, {one, two})
    sockets[#sockets + 1] = back
    assert.same(pack(host, port), pack(back:name()))
    b:send("home", host, port)
    assert.equal("home", (back:receive(LONG)))
    session:close()
  end)

  it("stays while a task waits for it", function()
    local a, host, port = bound()
    local task = casting.spawn(a.receive, a)
    helper.until_waiting(task)
    local ch = casting.channel(1)
    helper.misuse(function() ch:send(a) end)
    udp():send("x", host, port)
    assert.equal("x", (task:await(LONG)))
    ch:send(a)
    helper.misuse(function() a:name() end, "has moved")
    local again = ch:receive()
    assert.same(pack(host, port), pack(again:name()))
    again:close()
  end)

  it("is closed when nobody takes it", function()
    local path = new_path()
    local ch = casting.channel(1)
    ch:send(udp("unix:" .. path))
    assert.is_true(exists(path))
    sockets = {}
    ch = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    helper.until_true(function() return not exists(path) end,
      "that the socket is gone")
  end)

  it("is closed with its session", function()
    local path = new_path()
    local session = casting.session()
    session:spawn(function(name)
      rawset(_G, "kept", assert(require "casting".net.udp(name)))
    end, "unix:" .. path):await(LONG)
    assert.is_true(exists(path))
    session:close()
    assert.is_false(exists(path))
  end)
end)

describe("misuse of sockets for datagrams", function()
  after_each(after)

  it("is told by name, number and expectation", function()
    local a, host, port = bound()
    for _, bad in ipairs {-1, 65536, 1.5, 0 / 0} do
      helper.misuse(function() a:send("x", host, bad) end, "send", "#3", "port")
      helper.misuse(function() a:connect(host, bad) end, "connect", "#2",
        "port")
    end
    helper.misuse(function() a:send() end, "send", "#1", "string")
    helper.misuse(function() a:send({}, host, port) end, "send", "#1", "string")
    helper.misuse(function() a:send("x", "localhost", port) end, "send", "#2",
      "numeric address")
    helper.misuse(function() a:send("x", host) end, "send", "#3",
      "a port is missing")
    helper.misuse(function() a:send("x", 0.01) end, "a port is missing")
    helper.misuse(function() a:join "224.0.0.9\0x" end, "join", "#1", "zero")
    helper.misuse(function() a:join("224.0.0.9", "lo\0x") end, "join", "#2",
      "zero")
    helper.misuse(function() a:leave("224.0.0.9", "lo\0x") end, "leave", "#2",
      "zero")
    helper.misuse(function() a:option "ttl\0x" end, "option", "#1", "zero")
    helper.misuse(function() a:option("multicast_device", "lo\0x") end,
      "option", "#2", "zero")
    helper.misuse(function() net.udp {family = "inet\0"} end, "udp", "family")
    helper.misuse(function() a:send("x", nil, port) end, "send", "#3",
      "needs an address")
    helper.misuse(function() a:send("x", "127.0.0.1\0", port) end, "send", "#2")
    helper.misuse(function() a:send("x", host, port, "long") end, "send", "#4")
    helper.misuse(function() a:connect("localhost", port) end, "connect", "#1",
      "numeric address")
    helper.misuse(function() a:connect(nil, port) end, "connect", "#2")
    helper.misuse(function() a:receive "soon" end, "receive", "#1", "number")
    helper.misuse(function() a:receive(0 / 0) end, "receive", "#1")
    helper.misuse(function() a.receive() end, "receive", "udp")
    helper.misuse(function() a.send({}, "x") end, "send", "udp")
    helper.misuse(function() a.close(io.stdout) end, "close", "udp")
    local why = select(2, pcall(a.send, a, {}))
    assert.matches("'send'", why)
  end)

  it("is told of in reports where a task waits", function()
    local a, host, port = bound()
    local task = casting.spawn(a.receive, a)
    helper.until_waiting(task)
    assert.is_truthy(casting.report():find(
      "receiving on " .. host .. ":" .. port, 1, true))
    a:close()
    task:await(LONG)
  end)

  it("leaves descriptors neither open nor closed twice", function()
    -- The lowest number that is free.
    local function free()
      local s = assert(net.udp("127.0.0.1", 0))
      local fd = s:fd()
      s:close()
      return fd
    end
    local before = free()
    for _ = 1, 3 do
      for i = 1, 50 do
        local s = assert(net.udp("127.0.0.1", 0))
        s:receive(0)
        if i % 2 == 0 then s:close() end
      end
      collectgarbage()
      collectgarbage()
      assert.equal(before, free())
    end
  end)
end)
