-- luasocket_spec.lua - casting.socket: the core of LuaSocket, on which programs
-- that were written for it run unchanged.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

require("casting.socket").install()
local socket = require "socket.core"
local unix = require "socket.unix"

-- Sockets that a test makes, closed after it.
local made = {}
local function keep(s, why)
  assert(s, why)
  made[#made + 1] = s
  return s
end
local function close_all()
  for _, s in ipairs(made) do s:close() end
  made = {}
end

local function server()
  local s = keep(socket.tcp4())
  assert(s:setoption("reuseaddr", true))
  assert(s:bind("127.0.0.1", 0))
  assert(s:listen())
  local _, port = s:getsockname()
  return s, port
end

-- The two ends of a connection.
local function pair()
  local s, port = server()
  local client = keep(socket.connect("127.0.0.1", port))
  return client, keep(s:accept())
end

local function same(expected, ...)
  local got = pack(...)
  assert.equal(#expected > got.n and #expected or got.n, got.n)
  for i = 1, got.n do assert.equal(expected[i], got[i]) end
end

describe("casting.socket", function()
  after_each(close_all)

  it("has what LuaSocket's core has", function()
    for _, name in ipairs {"__unload", "connect", "tcp", "tcp4", "tcp6", "udp",
      "udp4", "udp6", "select", "sleep", "gettime", "skip", "protect",
      "newtry"} do
      assert.equal("function", type(socket[name]))
    end
    assert.equal("LuaSocket 3.0.0", socket._VERSION)
    assert.equal(-1, socket._SOCKETINVALID)
    assert.equal(8192, socket._DATAGRAMSIZE)
    assert.is_true(socket._SETSIZE > 1024)
    for _, name in ipairs {"toip", "tohostname", "getaddrinfo", "getnameinfo",
      "gethostname"} do
      assert.equal("function", type(socket.dns[name]))
    end
    same({3, 4}, socket.skip(2, 1, 2, 3, 4))
    assert.is_true(math.abs(socket.gettime() - os.time()) < 60)
  end)

  it("makes objects of classes", function()
    local tcp = keep(socket.tcp())
    assert.matches("^tcp{master}: ", tostring(tcp))
    local methods = getmetatable(tcp).__index
    assert.equal("table", type(methods))
    assert.equal("tcp{master}", methods.class)
    assert.equal("function", type(methods.receive))
    assert.equal(-1, tcp:getfd())
    assert.equal("inet4", tcp:getfamily())
    assert.matches("^udp{unconnected}: ", tostring(keep(socket.udp())))
    assert.equal("inet6", keep(socket.tcp6()):getfamily())
    local s, port = server()
    assert.matches("^tcp{server}: ", tostring(s))
    local c = keep(socket.tcp())
    assert.equal(1, c:connect("127.0.0.1", port))
    assert.matches("^tcp{client}: ", tostring(c))
    assert.matches("^unixstream{master}: ", tostring(keep(unix())))
    assert.matches("^unixdgram{unconnected}: ", tostring(keep(unix.dgram())))
  end)

  it("has LuaSec outlive connections that the other side resets", function()
    if not pcall(require, "ssl") then return pending "needs LuaSec" end
    assert.equal("alive\n", helper.output [[
      local casting = require "casting"
      require("casting.socket").install()
      local socket, ssl = require "socket.core", require "ssl"
      local listener = socket.tcp4()
      listener:bind("127.0.0.1", 0)
      listener:listen()
      local function wrap(c, mode)                 -- no certificates
        return assert(ssl.wrap(c, {mode = mode, protocol = "tlsv1_2",
          ciphers = "aNULL:@SECLEVEL=0", verify = "none"}))
      end
      local task = casting.spawn(function()
        local c = listener:accept()
        c:setoption("linger", {on = true, timeout = 0})
        c = wrap(c, "server")
        assert(c:dohandshake())
        c:close()
      end)
      local _, port = listener:getsockname()
      local c = wrap(socket.connect("127.0.0.1", port), "client")
      assert(c:dohandshake())
      task:await()
      for _ = 1, 10 do c:send "x" end              -- SIGPIPE
      print "alive"]])
  end)

  it("has LuaSec keep what a cancelled receive had taken", function()
    if not pcall(require, "ssl") then return pending "needs LuaSec" end
    assert.equal("xabcd abcd ||a bz|rest\n", helper.output [[
      local casting = require "casting"
      require("casting.socket").install()
      local socket, ssl = require "socket.core", require "ssl"
      local listener = socket.tcp4()
      listener:bind("127.0.0.1", 0)
      listener:listen()
      local function wrap(c, mode)                 -- no certificates
        c = assert(ssl.wrap(c, {mode = mode, protocol = "tlsv1_2",
          ciphers = "aNULL:@SECLEVEL=0", verify = "none"}))
        assert(c:dohandshake())
        return c
      end
      local task = casting.spawn(function()
        return wrap(listener:accept(), "server")
      end)
      local _, port = listener:getsockname()
      local a = wrap(socket.connect("127.0.0.1", port), "client")
      local b = task:await()
      local function begin(pattern)
        local reader = casting.spawn(function()
          return a:receive(pattern, "")
        end)
        b:send "ab"
        repeat casting.sleep(0.01) until reader:status() == "waiting"
        casting.sleep(0.05)
        reader:cancel()
        assert(not reader:join())
        assert(#socket.select({a}, nil, 0) == 1 or not a:dirty())
      end
      begin "*l"
      b:send "cd\n"
      io.write(a:receive("*l", "x"), " ")
      begin(4)
      b:send "cd\n"
      io.write(a:receive(4), " ", a:receive(), "|")
      begin "*a"
      b:send "z\nrest"
      io.write("|", a:receive(1), " ", a:receive(), "|")
      b:close()
      print((a:receive "*a"))]])
  end)

  it("refuses objects of other classes", function()
    local s = server()
    for _, v in ipairs {s, io.stdout, {}, 1} do
      local ok, why = pcall(socket.tcp().receive, v)
      assert.is_false(ok)
      assert.matches("tcp{client} expected", why)
    end
    local ok, why = pcall(s.accept, socket.udp())
    assert.is_false(ok)
    assert.matches("tcp{server} expected", why)
    assert.is_false((pcall(s.getfd)))
  end)

  it("receives lines without any carriage return", function()
    local a, b = pair()
    assert(b:send("one\r\n\rt\rwo\r\r\n\n"))
    same({"one", nil, nil}, a:receive())
    same({"two", nil, nil}, a:receive "*l")
    same({"", nil, nil}, a:receive "*line")
    assert(b:send("rest\rof it"))
    a:settimeout(0.05)
    same({nil, "timeout", "restof it"}, a:receive())
    assert(b:send(" all\n"))
    same({"restof it all", nil, nil}, a:receive("*l", "restof it"))
    b:close()
    same({nil, "closed", ""}, a:receive())
    same({nil, "closed", "x"}, a:receive("*l", "x"))
  end)

  it("receives a number of bytes, of which the prefix is a part", function()
    local a, b = pair()
    assert(b:send("abcdefgh"))
    same({"abc", nil, nil}, a:receive(3))
    same({"xyde", nil, nil}, a:receive(4, "xy"))
    same({"xyz", nil, nil}, a:receive(2, "xyz"))
    same({"f", nil, nil}, a:receive "1")
    same({"", nil, nil}, a:receive(0))
    assert.is_true(a:dirty())
    a:settimeout(0.02)
    same({nil, "timeout", "gh"}, a:receive(5))
    assert.is_false(a:dirty())
    same({nil, "timeout", ""}, a:receive(0))
    b:close()
    same({nil, "closed", "gh"}, a:receive(5, "gh"))
    assert.equal(8, (a:getstats()))
  end)

  it("receives all up to the end", function()
    local a, b = pair()
    assert(b:send("some"))
    local task = casting.spawn(function() return a:receive "*a" end)
    helper.until_waiting(task)
    assert(b:send(" more"))
    b:close()
    same({"some more", nil, nil}, task:await(LONG))
    same({nil, "closed", "pre"}, a:receive("*a", "pre"))
  end)

  it("says that a connection was reset, with what came before", function()
    local a, b = pair()
    assert(b:send("some"))
    assert.equal(1, b:setoption("linger", {on = true, timeout = 0}))
    b:close()
    local data, why, part = a:receive "*a"
    assert.is_nil(data)
    assert.equal("closed", why)
    assert.is_true(part == "some" or part == "")
  end)

  it("refuses patterns that there are not", function()
    local a = pair()
    for _, v in ipairs {"l", "*x", -1, "*"} do
      local ok, why = pcall(a.receive, a, v)
      assert.is_false(ok)
      assert.matches("invalid receive pattern", why)
    end
  end)

  it("sends a part of a string, and tells the index of its last byte",
    function()
      local a, b = pair()
      same({5, nil, nil}, a:send("abcde"))
      same({3, nil, nil}, a:send("abcde", 2, 3))
      same({5, nil, nil}, a:send("abcde", -2))
      same({4, nil, nil}, a:send("abcde", -3, -2))
      same({3, nil, nil}, a:send("abcde", 4, 3))
      same({0, nil, nil}, a:send(""))
      same({5, nil, nil}, a:send("abcde", 0, 99))
      a:close()
      assert.equal("abcdebcdecdabcde", (b:receive "*a"))
      same({nil, "closed", 2}, a:send("abcde", 3))
    end)

  it("tells how much was sent before a timeout", function()
    local a, b = pair()
    local data = ("x"):rep(16 * 1024 * 1024)
    a:settimeout(0.05)
    local last, why, sent = a:send(data, 11)
    assert.is_nil(last)
    assert.equal("timeout", why)
    assert.is_true(sent > 10 and sent < #data)
    local task = casting.spawn(function() return b:receive(#data - 10) end)
    a:settimeout(nil)
    same({#data, nil, nil}, a:send(data, sent + 1))
    assert.equal(#data - 10, #task:await(LONG))
  end)

  it("has timeouts for each wait, and for each call", function()
    local a, b = pair()
    same({-1, -1}, a:gettimeout())
    assert.equal(1, a:settimeout(5))
    assert.equal(1, a:settimeout(0.05, "t"))
    same({5, 0.05}, a:gettimeout())
    same({nil, "timeout", ""}, a:receive())
    assert.is_false((pcall(a.settimeout, a, 1, "x")))
    -- That of each wait begins anew with all that comes.
    a:settimeout(1)
    a:settimeout(LONG, "t")
    local task = casting.spawn(function() return a:receive(4) end)
    for _ = 1, 4 do
      casting.sleep(0.3)
      assert(b:send "x")
    end
    same({"xxxx", nil, nil}, task:await(LONG))
    a:settimeout(0)
    same({nil, "timeout", ""}, a:receive())
  end)

  it("lets other tasks run while one waits", function()
    local a, b = pair()
    local n = 0
    local reader = casting.spawn(function() return a:receive() end)
    local counter = casting.spawn(function()
      for _ = 1, 10 do
        casting.yield()
        n = n + 1
      end
      b:send("ready\n")
    end)
    same({"ready", nil, nil}, reader:await(LONG))
    counter:await(LONG)
    assert.equal(10, n)
  end)

  it("accepts, with a timeout", function()
    local s = server()
    s:settimeout(0.02)
    same({nil, "timeout"}, s:accept())
    s:settimeout(0)
    same({nil, "timeout"}, s:accept())
    s:settimeout(nil)
    local task = casting.spawn(function() return s:accept() end)
    helper.until_waiting(task)
    s:close()
    same({nil, "closed"}, task:await(LONG))
    same({nil, "closed"}, s:accept())
  end)

  it("connects in the background with a timeout of 0", function()
    local s, port = server()
    local c = keep(socket.tcp())
    c:settimeout(0)
    local ok, why = c:connect("127.0.0.1", port)
    assert.is_true(ok == 1 or why == "timeout")
    assert.matches("^tcp{client}", tostring(c))
    local _, writable = socket.select(nil, {c}, LONG)
    assert.equal(c, writable[1])
    assert.equal(1, writable[c])
    ok, why = c:connect("127.0.0.1", port)
    assert.is_true(ok == 1 or why == "already connected")
    assert.equal("127.0.0.1", (c:getpeername()))
    keep(s:accept())
  end)

  it("says why there is no connection", function()
    same({nil, "connection refused"},
      socket.connect("127.0.0.1", helper.NOBODY))
    local c = keep(socket.tcp())
    same({nil, "connection refused"}, c:connect("127.0.0.1", helper.NOBODY))
    c:close()
    same({nil, "closed", ""}, c:receive())
    local taken, used = server()
    assert.equal("tcp{server}", getmetatable(taken).__index.class)
    same({nil, "address already in use"},
      keep(socket.tcp()):bind("127.0.0.1", used))
    -- What a machine without a name server says differs.
    local none, why = socket.connect("nothing.invalid.", 80)
    assert.is_nil(none)
    assert.equal("string", type(why))
    same({nil, "host or service not provided, or not known"},
      socket.connect("127.0.0.1", 70000))
  end)

  it("gives a number away, and takes one over", function()
    local a, b = pair()
    local other = keep(socket.tcp())
    other:connect("127.0.0.1", 1)
    local fd = a:getfd()
    assert.is_true(fd > 2)
    other:setfd(fd)
    a:setfd(-1)
    assert.equal(-1, a:getfd())
    assert.equal(fd, other:getfd())
    same({nil, "closed", ""}, a:receive())
    assert(b:send("hello\n"))
    same({"hello", nil, nil}, other:receive())
  end)

  it("sends and receives datagrams", function()
    local a, b = keep(socket.udp4()), keep(socket.udp4())
    assert.equal(1, a:setsockname("127.0.0.1", 0))
    local host, port, family = a:getsockname()
    same({"127.0.0.1", port, "inet"}, host, port, family)
    assert.equal(8, (b:sendto("datagram", "127.0.0.1", port)))
    local data, from, number = a:receivefrom()
    assert.equal("datagram", data)
    assert.equal("127.0.0.1", from)
    assert.equal(1, b:setpeername("127.0.0.1", port))
    assert.matches("^udp{connected}", tostring(b))
    same({0}, b:send(""))
    same({""}, a:receive())
    same({10}, b:send("0123456789"))
    same({"0123"}, a:receive(4))
    a:settimeout(0.02)
    same({nil, "timeout"}, a:receive())
    assert.equal(1, b:setpeername "*")
    assert.matches("^udp{unconnected}", tostring(b))
    same({nil, "Name or service not known"}, b:sendto("x", "localhost", port))
    assert.is_true(number > 0)
  end)

  it("has options by LuaSocket's names", function()
    local a = pair()
    for _, name in ipairs {"keepalive", "reuseaddr", "tcp-nodelay"} do
      for _, v in ipairs {true, false} do
        assert.equal(1, a:setoption(name, v))
        assert.equal(v, a:getoption(name))
      end
    end
    assert.equal(1, a:setoption("linger", {on = true, timeout = 3}))
    same({true, 3}, a:getoption("linger").on, a:getoption("linger").timeout)
    assert.equal(1, a:setoption("linger", {on = false, timeout = 0}))
    assert.is_false(a:getoption("linger").on)
    assert.is_nil((a:getoption "error"))
    assert.is_true(a:getoption "recv-buffer-size" > 0)
    local ok, why = pcall(a.setoption, a, "no such", 1)
    assert.is_false(ok)
    assert.matches("unsupported option `no such'", why)
    assert.is_false((pcall(a.setoption, a, "keepalive", 1)))
    same({nil, "setsockopt failed"},
      socket.tcp():setoption("keepalive", true))
    local u = keep(socket.udp4())
    assert.equal(1, u:setoption("broadcast", true))
    assert.is_true(u:getoption "broadcast")
    assert.equal(1, u:setoption("ip-multicast-ttl", 3))
  end)

  it("selects whatever has a number", function()
    local a, b = pair()
    local r, w, why = socket.select({a}, nil, 0)
    same({nil, nil, "timeout"}, r[1], w[1], why)
    r, w, why = socket.select({a}, {b}, 0.5)
    same({nil, b, nil}, r[1], w[1], why)
    local task = casting.spawn(socket.select, {a}, nil)
    helper.until_waiting(task)
    assert(b:send("two\nlines\n"))
    r = task:await(LONG)
    assert.equal(a, r[1])
    assert.equal(1, r[a])
    a:receive()
    r = socket.select({a}, nil, 0) -- nothing in the system, but in the buffer
    assert.equal(a, r[1])
    a:receive()
    local wrapped = {getfd = function() return a:getfd() end}
    b:close()
    r = socket.select({wrapped, {}, {getfd = function() end}}, {}, LONG)
    assert.equal(wrapped, r[1])
    assert.is_nil(r[2])
    assert.is_false((pcall(socket.select, 1)))
  end)

  it("selects from many", function()
    local list, pairs_of = {}, {}
    for i = 1, 300 do
      local u = keep(socket.udp4())
      assert.equal(1, u:setsockname("127.0.0.1", 0))
      list[i], pairs_of[i] = u, (select(2, u:getsockname()))
    end
    local task = casting.spawn(socket.select, list, nil)
    helper.until_waiting(task)
    local sender = keep(socket.udp4())
    assert(sender:sendto("x", "127.0.0.1", pairs_of[257]))
    local r = task:await(LONG)
    assert.equal(list[257], r[1])
    assert.is_nil(r[2])
  end)

  it("throws and catches as LuaSocket does", function()
    local finalized = 0
    local try = socket.newtry(function() finalized = finalized + 1 end)
    same({1, 2, nil, 4}, try(1, 2, nil, 4))
    same({nil, "why"}, socket.protect(function() try(nil, "why") end)())
    assert.equal(1, finalized)
    same({1, 2}, socket.protect(function(...) return ... end)(1, 2))
    local ok, why = pcall(socket.protect(function() error("mine", 0) end))
    same({false, "mine"}, ok, why)
    ok, why = pcall(socket.newtry(), nil, {1})
    assert.is_false(ok)
    assert.equal(1, why[1][1])
    assert.is_false(getmetatable(why))
    -- What is protected may wait.
    same({"slept"}, socket.protect(function()
      casting.sleep(0.001)
      return "slept"
    end)())
  end)

  it("knows Unix sockets, of streams and datagrams", function()
    local path = os.tmpname()
    os.remove(path)
    local s = keep(unix())
    assert.equal(1, s:bind(path))
    assert.equal(1, s:listen())
    assert.equal(path, (s:getsockname()))
    local c = keep(unix.stream())
    assert.equal(1, c:connect(path))
    local d = keep(s:accept())
    c:send("line\n")
    same({"line", nil, nil}, d:receive())
    os.remove(path)
    same({nil, "No such file or directory"}, keep(unix.tcp()):connect(path))
    same({nil, "path too long"}, keep(unix.udp()):bind(("x"):rep(200)))
    local e, f = keep(unix.dgram()), keep(unix.dgram())
    assert.equal(1, e:bind(path))
    same({2}, f:sendto("ab", path))
    same({"ab", ""}, e:receivefrom())
    assert.equal(1, f:connect(path))
    same({3}, f:send("abc"))
    same({"abc"}, e:receive())
    os.remove(path)
  end)

  it("knows names", function()
    local ip, known = socket.dns.toip "localhost"
    assert.matches("^127%.", ip)
    assert.equal(ip, known.ip[1])
    assert.equal("table", type(known.alias))
    local list = socket.dns.getaddrinfo "127.0.0.1"
    same({"inet", "127.0.0.1", nil}, list[1].family, list[1].addr, list[2])
    assert.equal("string", type(socket.dns.gethostname()))
    local names, service = socket.dns.getnameinfo("127.0.0.1", "80")
    assert.equal("string", type(names[1]))
    assert.equal("string", type(service))
    local none, why = socket.dns.toip "nothing.invalid."
    assert.is_nil(none)
    assert.equal("string", type(why))
    assert.is_false((pcall(socket.dns.getnameinfo)))
  end)

  it("is there in sessions, too", function()
    local s, port = server()
    local task = casting.session():spawn(function(number)
      local core = require "socket.core"
      local c = assert(core.connect("127.0.0.1", number))
      c:send("from a session\n")
      c:close()
      return tostring(core.tcp()):match "^[^:]+"
    end, port)
    same({"from a session", nil, nil}, keep(s:accept()):receive())
    assert.equal("tcp{master}", task:await(LONG))
  end)

  it("is not there in a sandbox that may not use sockets", function()
    local s = casting.session {sandbox = true, libs = {"package"}}
    local task = s:spawn(function()
      return pcall(function()
        return require("casting").socket.install()
      end)
    end)
    assert.is_false((task:await(LONG)))
  end)

  it("keeps what has come for the next call when an error ends one",
    function()
      local a, b = pair()
      assert(b:send("par"))
      local ok = casting.with_timeout(0.05, a.receive, a)
      assert.is_nil(ok)
      local task = casting.spawn(function() return a:receive() end)
      helper.until_waiting(task)
      task:cancel()
      task:join(LONG)
      assert(b:send("tial\n"))
      same({"partial", nil, nil}, a:receive())
    end)

  it("makes outcomes of names that there cannot be", function()
    local unknown = "host or service not provided, or not known"
    for _, name in ipairs {("x"):rep(300), "a\0b", ""} do
      same({nil, unknown}, socket.connect(name, 80))
      same({nil, unknown}, socket.connect("127.0.0.1", name .. "x\0"))
    end
    same({nil, "host not found"}, socket.dns.toip(("x"):rep(300)))
  end)

  it("takes no number that is not open, and no strange one", function()
    local s = keep(socket.tcp4())
    for _, n in ipairs {2147483647, 1e300, -5, 0 / 0} do
      s:setfd(n)
      assert.equal(-1, s:getfd())
    end
    local odd = {getfd = function() return 1e300 end}
    same({nil, nil, "timeout"}, (function()
      local r, w, why = socket.select({odd}, {odd}, 0)
      return r[1], w[1], why
    end)())
  end)

  it("stays closed if another task closes it while it connects", function()
    local s = keep(socket.tcp4())
    assert(s:bind("127.0.0.1", 0))
    assert(s:listen(0))
    local _, port = s:getsockname()
    for _ = 1, 8 do -- the backlog is full then, so nobody answers
      local c = keep(socket.tcp4())
      c:settimeout(0)
      c:connect("127.0.0.1", port)
    end
    local c = keep(socket.tcp())
    local task = casting.spawn(function()
      return c:connect("localhost", port)
    end)
    while c:getfd() == -1 do casting.sleep(0.001) end -- its name is looked up
    helper.until_waiting(task)
    c:close()
    task:await(LONG)
    assert.equal(-1, c:getfd())
  end)

  it("stays closed if another task closes it while its name is looked up",
    function()
      local _, port = server()
      local function check(make, ...)
        local s, args = keep(make()), pack(...)
        local task = casting.spawn(function()
          local name = table.remove(args, 1)
          return s[name](s, (table.unpack or unpack)(args)) -- luacheck: ignore
        end)
        -- It may have found its name before it is seen to wait for it.
        repeat casting.yield() until task:status() ~= "running"
        s:close()
        task:join(LONG)
        assert.equal(-1, s:getfd())
        return task:await(LONG)
      end
      check(socket.tcp, "connect", "localhost", port)
      check(socket.tcp, "bind", "localhost", 0)
      check(socket.tcp4, "bind", "localhost", 0)
      check(socket.udp, "setpeername", "localhost", port)
      check(socket.udp, "setsockname", "localhost", 0)
      check(socket.udp, "sendto", "x", "127.0.0.1", "domain")
      -- One that was closed before has a new descriptor, as in LuaSocket.
      local s = keep(socket.tcp())
      s:close()
      assert.equal(1, s:connect("localhost", port))
      assert.is_true(s:getfd() >= 0)
    end)

  it("keeps what has come when a later wait of a receive is cancelled",
    function()
      for _, pattern in ipairs {"*l", 4} do
        local cancelled
        local block = 0.05
        repeat
          local a, b = pair()
          a:settimeout(block)
          a:settimeout(LONG, "t")
          local task = casting.spawn(function() return a:receive(pattern) end)
          b:send "ab"
          casting.sleep(1.5 * block)
          task:cancel()
          cancelled = not task:join(LONG)
          b:send "cd\n"
          if cancelled then
            same({"abcd", nil, nil}, a:receive(pattern))
          end
          block = 2 * block -- it was late, and the time was over
        until cancelled
      end
    end)

  it("waits on with both timeouts as long as something comes", function()
    local a, b = pair()
    a:settimeout(0.5 * helper.slow)
    a:settimeout(LONG, "t")
    local task = casting.spawn(function() return a:receive("*l", "a") end)
    for _, c in ipairs {"b", "c", "d", "e", "f"} do
      casting.sleep(0.1 * helper.slow)
      b:send(c)
    end
    same({nil, "timeout", "abcdef"}, task:await(LONG))
    b:send "x"
    b:close()
    same({"ax", nil, nil}, a:receive("*a", "a"))
    same({nil, "closed", "a"}, a:receive("*a", "a"))
  end)

  it("tells of sockets without a descriptor", function()
    local s = keep(socket.tcp4())
    s:close()
    same({nil, "Bad file descriptor"}, s:getsockname())
    same({nil, "Bad file descriptor"}, s:getpeername())
    same({nil, "Bad file descriptor"}, s:listen())
  end)

  it("connects to this machine by the name *", function()
    local s, port = server()
    local c = keep(socket.tcp())
    assert.equal(1, c:connect("*", port))
    keep(s:accept())
  end)

  it("can be cancelled, and tells what it waits for", function()
    local s, port = server()
    local task = casting.spawn(function() return s:accept() end)
    helper.until_waiting(task)
    assert.is_truthy(casting.report():find("127.0.0.1:" .. port, 1, true))
    task:cancel()
    local ok = task:join(LONG)
    assert.is_false(ok)
    local c = keep(socket.connect("127.0.0.1", port))
    assert.equal("tcp{client}", getmetatable(c).__index.class)
    assert.is_truthy(keep(s:accept()))
  end)

  it("takes part in casting.select", function()
    local a, b = pair()
    b:send("x")
    assert.equal(1, (casting.select {a, timeout = LONG}))
  end)
end)
