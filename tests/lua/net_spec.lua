-- net_spec.lua - casting.net: connect, listen, serve, copy, lines.
-- SPDX-License-Identifier: MIT
--
-- All of it on loopback, with ports that the system chooses. Where a name must
-- have certain addresses, the function that asks the system for them is
-- replaced for a test (with_names). An address that does not answer is a
-- listener whose backlog is full.

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG
local net = require "casting.net"

-- -- what the tests need ------------------------------------------------------

-- A listener on loopback, and its port.
local function listen(host, o)
  local listener = assert(net.listen(host or "127.0.0.1", 0, o))
  local _, port = listener:name()
  return listener, port
end

-- The number of descriptors that this process has open; nil: not known here.
local function count_descriptors()
  local pipe = io.popen "ls /proc/$PPID/fd 2>/dev/null | wc -l"
  if not pipe then return nil end
  local n = tonumber(pipe:read "*a")
  pipe:close()
  return n and n > 0 and n or nil
end

-- f must leave as many descriptors as there were before it. Those of streams
-- that are garbage count until they are collected.
local function keeps_descriptors(f)
  if not helper.has_children() then return f() end
  f() -- what is made once
  collectgarbage()
  collectgarbage()
  local before = count_descriptors()
  f()
  local after
  local ok = pcall(helper.until_true, function()
    collectgarbage()
    after = count_descriptors()
    return after <= before
  end)
  if not ok then
    error(("%d descriptors became %d"):format(before, after), 2)
  end
end

-- Calls f while names have the addresses that the table says; "slow" are those
-- that never answer.
local function with_names(names, f)
  local sockets = helper.internal().sockets
  local original = sockets.resolve
  sockets.resolve = function(name, _, timeout)
    local list = names[name]
    if list == "slow" then
      casting.sleep(timeout or LONG)
      return nil, "timeout"
    elseif not list then
      return nil, "no such name"
    end
    local copy = {}
    for i, address in ipairs(list) do copy[i] = address end
    return copy
  end
  local ok, e = pcall(f)
  sockets.resolve = original
  if not ok then error(e, 0) end
end

local has_ipv6 = (function()
  local listener = net.listen("::1", 0)
  if listener then listener:close() end
  return listener ~= nil
end)()

-- A port on which `first` and `second` can both be listened on: {[host] =
-- listener}.
local function listen_on_both(first, second, o)
  for _ = 1, 50 do
    local one, port = listen(first, o)
    local other = net.listen(second, port)
    if other then return one, other, port end
    one:close()
  end
  error "no port is free on both addresses"
end

-- Fills the backlog of a listener, which has a short one and accepts nothing: a
-- connection more is not answered. Returns the connections; nil: this system
-- answers all the same.
local function fill(host, port)
  local streams = {}
  for i = 1, 20 do
    local stream, why = net.connect(host, port, {timeout = 0.25})
    if why == "timeout" then return streams end
    streams[i] = assert(stream, why)
  end
end

-- An echo of lines.
local function echo(stream)
  for line in stream:lines "L" do
    if not stream:write(line) then return end
  end
end

-- Serves with f in a task; stop() closes the listener and waits for the end.
local function serve(f, o, host)
  local listener, port = listen(host)
  local task = casting.spawn(function() return listener:serve(f, o) end)
  return port, function()
    listener:close()
    return task:await(LONG)
  end, listener, task
end

local function ask(port, line)
  local stream = assert(net.connect("127.0.0.1", port))
  assert(stream:write(line .. "\n"))
  local answer = stream:read("l", LONG)
  stream:close()
  return answer
end

-- What is reported while f runs.
local function reports(f)
  local failures = casting.channel(1 / 0)
  casting.on_error(failures)
  local ok, e = pcall(f, failures)
  casting.on_error(nil)
  if not ok then error(e, 0) end
end

-- -- the module ---------------------------------------------------------------

describe("casting.net", function()
  it("is one table wherever it is required", function()
    assert.is_true(rawequal(net, casting.net))
    assert.is_true(rawequal(net, require "casting.net"))
    for _, place in ipairs(helper.places) do
      assert.is_true(place[2](function()
        return require "casting.net" == require "casting".net
      end), place[1])
    end
  end)

  it("is found first, before casting is loaded", function()
    assert.equal("function true\n", helper.output [[
      local net = require "casting.net"
      print(type(net.connect) .. " " ..
        tostring(net == require "casting".net))]])
  end)

  it("crosses to other sessions by its name, as its functions do", function()
    local session = casting.session()
    local connect = net.connect
    assert.same({true, true}, {session:spawn(function()
      local there = require "casting.net"
      return net == there, connect == there.connect
    end):await(LONG)})
    session:close()
    session = casting.session()
    assert.is_true(session:spawn(function() return net.pair end):await(LONG) ==
      net.pair)
    session:close()
  end)

  it("has the functions of the manual, and no others", function()
    local known = {connect = true, listen = true, resolve = true, udp = true,
      pair = true, wait = true, from_fd = true}
    for name, f in pairs(net) do
      assert.equal("function", type(f))
      assert.is_true(known[name], name)
    end
  end)

  it("has functions that errors name, however they are called", function()
    local a, b = net.pair()
    local tostring_of = debug.getmetatable(a).__tostring
    for name, f in pairs {from_fd = net.from_fd, wait = net.wait,
      tostring = tostring_of} do
      local ok, e = pcall(function() return f({}) end)
      assert.is_false(ok)
      assert.truthy(e:find("bad argument #1 to '_*" .. name .. "'"), e)
    end
    a:close()
    b:close()
  end)

  it("lets streams move to sessions that have loaded nothing", function()
    local a, b = net.pair()
    local session = casting.session()
    a:write "left "
    assert.equal("left", b:read(4))
    local back = session:spawn([[
      local stream, text = ...
      stream:write(text .. stream:read(1))
      return stream]], b, "right")
    local stream = assert(back:await(LONG))
    assert.equal("right ", a:read(6, LONG))
    helper.misuse(function() b:read() end, "moved")
    stream:write "here"
    assert.equal("here", a:read(4, LONG))
    session:close()
  end)

  it("works without the standard libraries", function()
    local session = casting.session {libs = {}}
    local listener, port = listen()
    local task = session:spawn([[
      local port = ...
      local stream = require "casting.net".connect("127.0.0.1", port)
      stream:write "hello\n"
      local line = stream:read "l"
      stream:close()
      return line]], port)
    local stream = assert(listener:accept(LONG))
    stream:write(stream:read("l", LONG) .. "!\n")
    assert.equal("hello!", task:await(LONG))
    stream:close()
    listener:close()
    session:close()
  end)
end)

-- -- connect ------------------------------------------------------------------

describe("net.connect", function()
  for _, place in ipairs(helper.places) do
    it("connects to a numeric address, from " .. place[1], function()
      local port, stop = serve(echo)
      assert.equal("hello", place[2](function(port)
        local stream = assert(require "casting.net".connect("127.0.0.1", port))
        stream:write "hello\n"
        local line = stream:read "l"
        stream:close()
        return line
      end, port))
      assert.is_true(stop())
    end)
  end

  it("says that nobody listens", function()
    keeps_descriptors(function()
      local stream, why = net.connect("127.0.0.1", helper.NOBODY)
      assert.is_nil(stream)
      assert.matches("onnection refused", why)
    end)
  end)

  it("gives up when the time is over", function()
    local listener, port = listen(nil, {backlog = 1})
    local streams = fill("127.0.0.1", port)
    if not streams then
      pending "this system has no end of its backlog"
      return
    end
    keeps_descriptors(function()
      assert.same({nil, "timeout"},
        {net.connect("127.0.0.1", port, {timeout = 0.02})})
      assert.same({nil, "timeout"},
        {casting.with_timeout(0.02, net.connect, "127.0.0.1", port)})
    end)
    listener:close()
  end)

  it("is cancelled while it waits, and leaves nothing", function()
    local listener, port = listen(nil, {backlog = 1})
    if not fill("127.0.0.1", port) then
      pending "this system has no end of its backlog"
      return
    end
    keeps_descriptors(function()
      local task = casting.spawn(net.connect, "127.0.0.1", port)
      helper.until_waiting(task)
      task:cancel "enough"
      local ok, e = task:join(LONG)
      assert.is_false(ok)
      assert.is_true(casting.is_cancelled(e))
    end)
    listener:close()
  end)

  it("connects from a given address", function()
    local listener, port = listen()
    local stream = assert(net.connect("127.0.0.1", port, {bind = "127.0.0.3"}))
    local other = assert(listener:accept(LONG))
    assert.equal("127.0.0.3", (other:peer()))
    stream:close()
    other:close()
    listener:close()
    local ok, why = net.connect("127.0.0.1", port, {bind = "192.0.2.1"})
    assert.is_nil(ok)
    assert.equal("string", type(why))
  end)

  it("connects to a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    local listener = assert(net.listen("unix:" .. path))
    for _, connect in ipairs {
      function() return net.connect("unix:" .. path) end,
      function() return net.connect("unix:" .. path, {timeout = LONG}) end,
      function() return net.connect("unix:" .. path, nil, {timeout = LONG}) end,
    } do
      local stream = assert(connect())
      local other = assert(listener:accept(LONG))
      stream:write "x\n"
      assert.equal("x", other:read("l", LONG))
      stream:close()
      other:close()
    end
    listener:close()
    assert.is_nil((net.connect("unix:" .. path)))
  end)

  -- Linux refuses at once, and tells nothing when there is room.
  it("is refused by a closed port, time after time", function()
    local n = count_descriptors()
    for i = 1, 1000 do
      local options = i % 2 == 0 and {timeout = LONG} or nil
      assert.same({nil, "connection refused"},
        {net.connect("127.0.0.1", helper.NOBODY, options)})
    end
    -- One more for a moment: the end of the pipe that the shell has.
    assert.is_true(n == nil or count_descriptors() <= n + 1)
  end)

  it("waits for a Unix socket whose backlog is full", function()
    local path = os.tmpname()
    os.remove(path)
    local host = "unix:" .. path
    local listener = assert(net.listen(host, {backlog = 1}))
    local streams = fill(host)
    if not streams then
      pending "this system has no end of its backlog"
      return
    end
    keeps_descriptors(function()
      assert.same({nil, "timeout"}, {net.connect(host, {timeout = 0})})
      assert.same({nil, "timeout"}, {net.connect(host, {timeout = 0.005})})
      assert.same({nil, "timeout"},
        {casting.with_timeout(0.005, net.connect, host)})
      local task = casting.spawn(net.connect, host)
      helper.until_waiting(task)
      task:cancel "enough"
      local ok, e = task:join(LONG)
      assert.is_false(ok)
      assert.is_true(casting.is_cancelled(e))
    end)
    local task = casting.spawn(net.connect, host)
    helper.until_true(function()
      return casting.report():find("connecting to " .. host ..
        ", whose backlog is full", 1, true)
    end)
    -- Three attempts fail at least.
    assert.is_nil((task:join(0.005)))
    for i = 1, #streams + 1 do
      local other = assert(listener:accept(LONG))
      other:write(tostring(i))
      other:close()
    end
    assert.equal(tostring(#streams + 1), (task:await(LONG):read("a", LONG)))
    -- It ends as soon as nobody listens.
    assert.equal(#streams, #fill(host))
    task = casting.spawn(net.connect, host)
    helper.until_waiting(task)
    listener:close()
    assert.same({nil, "no such file or directory"}, {task:await(LONG)})
    for _, stream in ipairs(streams) do stream:close() end
  end)

  it("refuses what it cannot use", function()
    local function misuse(word, ...)
      local args = helper.pack(...)
      helper.misuse(function()
        net.connect(helper.unpack(args, 1, args.n))
      end, "'connect'", word)
    end
    misuse("#1", nil, 80)
    misuse("#1", 5, 80)
    misuse("#2", "localhost")
    misuse("call tonumber", "localhost", "80")
    misuse("#2", "localhost", -1)
    misuse("#2", "localhost", 65536)
    misuse("#2", "localhost", 1.5)
    misuse("#3", "localhost", 80, 5)
    misuse("unknown option 'x'", "localhost", 80, {x = 1})
    misuse("timeout", "localhost", 80, {timeout = -1})
    misuse("timeout", "localhost", 80, {timeout = 0 / 0})
    misuse("happy", "localhost", 80, {happy = "1"})
    misuse('got "ipv4"', "localhost", 80, {family = "ipv4"})
    misuse("nodelay", "localhost", 80, {nodelay = 1})
    misuse("keepalive", "localhost", 80, {keepalive = 0.5})
    misuse("keepalive", "localhost", 80, {keepalive = true})
    misuse("bind", "localhost", 80, {bind = "localhost"})
    misuse("bind", "localhost", 80, {bind = "unix:/x"})
    misuse("unknown option", "unix:/x", {sessions = 1})
  end)
end)

describe("net.connect to a name", function()
  it("looks it up", function()
    local port, stop = serve(echo)
    with_names({here = {"127.0.0.1"}}, function()
      local stream = assert(net.connect("here", port))
      assert.equal("127.0.0.1", (stream:peer()))
      stream:close()
      assert.same({nil, "no such name"}, {net.connect("elsewhere", port)})
    end)
    stop()
  end)

  it("counts the time that this takes", function()
    with_names({there = "slow"}, function()
      assert.same({nil, "timeout"},
        {net.connect("there", 80, {timeout = 0.02})})
    end)
  end)

  it("tries the next address when one refuses", function()
    local port, stop = serve(echo)
    for _, list in ipairs {{"127.0.0.2", "127.0.0.1"}, {"::1", "127.0.0.1"},
      {"127.0.0.1", "::1"}, {"127.0.0.2", "127.0.0.3", "::1", "127.0.0.1"}} do
      with_names({here = list}, function()
        keeps_descriptors(function()
          local stream = assert(net.connect("here", port, {happy = LONG}))
          assert.equal("127.0.0.1", (stream:peer()))
          stream:close()
        end)
      end)
    end
    stop()
  end)

  it("takes IPv6 where only that answers", function()
    if not has_ipv6 then
      pending "this system has no IPv6"
      return
    end
    local port, stop = serve(echo, nil, "::1")
    for _, list in ipairs {{"::1", "127.0.0.1"}, {"127.0.0.1", "::1"}} do
      with_names({here = list}, function()
        local stream = assert(net.connect("here", port))
        assert.equal("::1", (stream:peer()))
        stream:close()
      end)
    end
    stop()
  end)

  it("says of all that refuse why the first did", function()
    with_names({here = {"127.0.0.1", "127.0.0.2"}}, function()
      keeps_descriptors(function()
        local stream, why = net.connect("here", helper.NOBODY)
        assert.is_nil(stream)
        assert.matches("onnection refused", why)
      end)
    end)
  end)

  it("does not wait for an address that does not answer", function()
    local hole, listener, port = listen_on_both("127.0.0.2", "127.0.0.1",
      {backlog = 1})
    local streams = fill("127.0.0.2", port)
    if not streams then
      pending "this system has no end of its backlog"
      return
    end
    with_names({here = {"127.0.0.2", "127.0.0.1"}}, function()
      keeps_descriptors(function()
        local stream = assert(net.connect("here", port, {happy = 0.01,
          timeout = LONG}))
        assert.equal("127.0.0.1", (stream:peer()))
        stream:close()
        local other = assert(listener:accept(LONG))
        other:close()
      end)
    end)
    hole:close()
    listener:close()
  end)

  it("ends all attempts when the time is over, or it is cancelled", function()
    local hole, other, port = listen_on_both("127.0.0.2", "127.0.0.3",
      {backlog = 1})
    other:close()
    other = assert(net.listen("127.0.0.3", port, {backlog = 1}))
    if not (fill("127.0.0.2", port) and fill("127.0.0.3", port)) then
      pending "this system has no end of its backlog"
      return
    end
    with_names({here = {"127.0.0.2", "127.0.0.3"}}, function()
      keeps_descriptors(function()
        assert.same({nil, "timeout"}, {net.connect("here", port,
          {happy = 0.001, timeout = 0.02})})
        local task = casting.spawn(net.connect, "here", port, {happy = 0})
        helper.until_waiting(task)
        casting.sleep(0.005)
        task:cancel()
        assert.is_false((task:join(LONG)))
      end)
    end)
    hole:close()
    other:close()
  end)
end)

-- -- listen -------------------------------------------------------------------

describe("net.listen", function()
  it("listens on all addresses for *", function()
    local listener, port = listen "*"
    for _, host in ipairs(has_ipv6 and {"127.0.0.1", "127.0.0.2", "::1"} or
      {"127.0.0.1", "127.0.0.2"}) do
      local stream = assert(net.connect(host, port))
      assert(listener:accept(LONG)):close()
      stream:close()
    end
    listener:close()
  end)

  it("listens on one family alone, if told", function()
    local listener, port = listen("*", {family = "inet"})
    assert.equal("0.0.0.0", (listener:name()))
    local stream = assert(net.connect("127.0.0.1", port))
    stream:close()
    listener:close()
  end)

  it("listens on the address of a name, IPv4 first", function()
    with_names({here = {"::1", "127.0.0.1"}, no = {}}, function()
      local listener = listen "here"
      assert.equal("127.0.0.1", (listener:name()))
      listener:close()
      assert.same({nil, "no such name"}, {net.listen("elsewhere", 0)})
    end)
  end)

  it("returns a listener or why there is none, and nothing else", function()
    local listener, port = listen "*"
    local results = helper.pack(net.listen("*", 0))
    assert.equal(1, results.n)
    results[1]:close()
    assert.same({n = 2, nil, "address already in use"},
      helper.pack(net.listen("*", port)))
    listener:close()
  end)

  it("has no address of another family, as others", function()
    local why = "this host has no address of the family inet"
    assert.same({nil, why}, {net.listen("unix:/tmp/x", {family = "inet"})})
    assert.same({nil, why}, {net.connect("unix:/tmp/x", {family = "inet"})})
    assert.same({nil, why}, {net.udp("unix:/tmp/x", {family = "inet"})})
    assert.same({nil, why}, {net.connect("::1", 1, {family = "inet"})})
    assert.same({nil, why}, {net.listen("::1", 0, {family = "inet"})})
    assert.same({nil, why .. "6, which that of bind has"},
      {net.connect("127.0.0.1", 1, {bind = "::1"})})
  end)

  it("takes modes in each form", function()
    local path = os.tmpname()
    os.remove(path)
    for _, mode in ipairs {"600", "0600", "777", "7", 384} do
      assert(net.listen("unix:" .. path, {mode = mode})):close()
    end
  end)

  it("says that the address is in use", function()
    local listener, port = listen()
    local other, why = net.listen("127.0.0.1", port)
    assert.is_nil(other)
    assert.matches("ddress already in use", why)
    listener:close()
    assert(net.listen("127.0.0.1", port)):close()
  end)

  it("refuses what it cannot use", function()
    local function misuse(word, ...)
      local args = helper.pack(...)
      helper.misuse(function()
        net.listen(helper.unpack(args, 1, args.n))
      end, "'listen'", word)
    end
    misuse("#1")
    misuse("#2", "*")
    misuse("#2", "127.0.0.1", "0")
    misuse("#3", "*", 0, true)
    misuse("backlog", "*", 0, {backlog = 0})
    misuse("from 1 to 2147483647", "*", 0, {backlog = 1e12})
    misuse("reuseport", "*", 0, {reuseport = 1})
    misuse("nodelay", "*", 0, {nodelay = 1})
    misuse("keepalive", "*", 0, {keepalive = 0})
    misuse("unlink", "unix:/tmp/x", {unlink = 1})
    misuse("only a Unix socket", "*", 0, {unlink = false})
    for _, mode in ipairs {true, "999", "rw", "", "1000", "00777", 512, 1.5} do
      misuse("net_spec.lua", "unix:/tmp/x", {mode = mode})
      misuse('mode must be octal digits up to "777"', "unix:/tmp/x",
        {mode = mode})
    end
    misuse("only a Unix socket", "*", 0, {mode = "600"})
    misuse("only a Unix socket", "127.0.0.1", 0, {mode = 384})
    misuse('got "999"', "unix:/tmp/x", {mode = "999"})
    misuse('"inet6", got', "*", 0, {family = "ipv4"})
    misuse("unix:PATH", "/tmp/x")
    misuse("unknown option", "*", 0, {timeout = 1})
  end)
end)

-- -- names and datagrams ------------------------------------------------------

describe("a host that cannot be one", function()
  local NAMES = {"", ("a"):rep(254), "local\0host", "127.0.0.1\0"}
  local PATHS = {
    ["unix:"] = "not a path of a socket",
    ["unix:/a\0b"] = "not a path of a socket",
    ["unix:/" .. ("x"):rep(107)] = "the path of a socket has at most 107 bytes",
  }

  for _, name in ipairs {"connect", "listen", "udp"} do
    it("is told by the result of " .. name, function()
      for _, host in ipairs(NAMES) do
        assert.same({nil, "not a host name"}, {net[name](host, 80)})
        helper.misuse(function() net[name](host, "80") end, "#2", name)
      end
      for host, why in pairs(PATHS) do
        assert.same({nil, why}, {net[name](host)})
        assert.same({nil, why}, {net[name](host, {})})
        helper.misuse(function() net[name](host, {x = 1}) end, "option 'x'")
      end
    end)
  end
end)

describe("net.udp", function()
  it("looks names up, and binds to the first address", function()
    with_names({here = {"127.0.0.1"}}, function()
      local socket = assert(net.udp("here", 0))
      local host, port = socket:name()
      assert.equal("127.0.0.1", host)
      local other = assert(net.udp())
      assert.is_true(other:send("x", host, port))
      assert.equal("x", (socket:receive(LONG)))
      other:close()
      socket:close()
      assert.same({nil, "no such name"}, {net.udp("elsewhere", 0)})
    end)
  end)

  it("binds to all addresses", function()
    local results = helper.pack(net.udp("*", 0))
    assert.equal(1, results.n)
    local socket = results[1]
    local _, port = socket:name()
    local other = assert(net.udp {family = "inet"})
    assert.is_true(other:send("x", "127.0.0.1", port))
    assert.equal("x", (socket:receive(LONG)))
    other:close()
    socket:close()
  end)

  it("refuses what it cannot use", function()
    local function misuse(word, ...)
      local args = helper.pack(...)
      helper.misuse(function()
        net.udp(helper.unpack(args, 1, args.n))
      end, "'udp'", word)
    end
    misuse("string", {}, 0)
    misuse("string", 5, 0)
    for _, port in ipairs {-1, 65536, 1.5, 0 / 0} do
      misuse("port", "127.0.0.1", port)
    end
    misuse("number", "127.0.0.1", "many")
    misuse("table", "127.0.0.1", 0, 5)
    misuse("unknown option", "127.0.0.1", 0, {colour = 1})
    misuse("#1", {colour = 1})
    misuse("family", "127.0.0.1", 0, {family = "unix"})
    misuse("ttl", "127.0.0.1", 0, {ttl = 0})
    misuse("broadcast", "127.0.0.1", 0, {broadcast = 1})
  end)
end)

-- -- lines --------------------------------------------------------------------

describe("stream:lines", function()
  it("gives line after line, and what is left at the end", function()
    local a, b = net.pair()
    casting.spawn(function()
      a:write "one\r\ntwo\n\nthree"
      a:shutdown()
    end)
    local list = {}
    for line in b:lines() do list[#list + 1] = line end
    assert.same({"one", "two", "", "three"}, list)
    a:write "x" -- nothing: its side is shut
    a, b = net.pair()
    a:write "one\r\ntwo\n"
    a:close()
    list = {}
    for line in b:lines "L" do list[#list + 1] = line end
    assert.same({"one\r\n", "two\n"}, list)
  end)

  it("waits so long for a line, and takes so many bytes", function()
    local a, b = net.pair()
    a:write "one\nhalf"
    for _, how in ipairs {0, 0.001, {timeout = 0}} do
      local seen = 0
      helper.misuse(function()
        for line in b:lines("l", how) do
          seen = seen + 1
          assert.equal("one", line)
        end
      end, "lines: timeout")
      assert.equal(how == 0 and 1 or 0, seen)
    end
    local how = {max = 10, timeout = LONG}
    local lines = b:lines("l", how)
    how.max = -1 -- too late
    a:write " and half\n"
    helper.misuse(lines, "lines: too long")
    assert.equal("half and half", b:read("l", LONG))
    a:close()
    assert.is_nil((lines()))
  end)

  it("raises that the other side has reset the connection", function()
    local listener = assert(net.listen("127.0.0.1", 0))
    local a = assert(net.connect(listener:name()))
    local b = assert(listener:accept(LONG))
    listener:close()
    a:write "one\ntwo"
    local lines = b:lines("l", LONG)
    assert.equal("one", lines())
    a:abort()
    helper.misuse(lines, "lines: connection reset by peer")
    helper.misuse(lines, "lines: connection reset by peer")
    b:close()
    assert.is_nil((lines()))
    -- A Unix socket that is closed with something unread in it, too.
    a, b = net.pair()
    b:write "unread"
    a:write "one\n"
    a:close()
    lines = b:lines("l", LONG)
    assert.equal("one", lines())
    helper.misuse(lines, "lines: connection reset by peer")
    b:close()
  end)

  it("ends when this side is closed", function()
    local a, b = net.pair()
    a:write "one\ntwo\n"
    local list = {}
    for line in b:lines() do
      list[#list + 1] = line
      b:close()
    end
    assert.same({"one"}, list)
  end)

  it("raises what is no end", function()
    local a, b = net.pair()
    casting.spawn(function() a:write(("x"):rep(2 ^ 20 + 10)) end)
    helper.misuse(function() for _ in b:lines() do error "a line" end end,
      "too long")
    a:close()
    b:close()
    helper.misuse(function() b:lines(5) end, "#1", "'lines'",
      'lines("l", timeout)')
    helper.misuse(function() b:lines {timeout = 1} end, 'lines("l", timeout)')
    helper.misuse(function() b:lines("*l") end, "#1", "got", "*l")
    for _, how in ipairs {-1, "1", true, {timeout = -1}, {timeout = "1"},
      {max = 0}, {max = 1.5}, {most = 5}} do
      helper.misuse(function() b:lines("l", how) end, "#2", "'lines'",
        "net_spec.lua")
    end
    helper.misuse(function() b:lines("a") end, "#1", "'lines'")
    helper.misuse(function() b.lines({}) end, "stream expected")
  end)
end)

-- -- copy ---------------------------------------------------------------------

-- A checksum that all versions compute alike.
local function checksum(text)
  local a, b = 1, 0
  for i = 1, #text, 8 do
    a = (a + text:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return a .. ":" .. b .. ":" .. #text
end

local function random_text(n)
  local list, seed = {}, 42
  for i = 1, 4096 do
    seed = seed * 16807 % 2147483647
    list[i] = string.char(seed % 256)
  end
  local block = table.concat(list)
  return block:rep(math.floor(n / 4096)) .. block:sub(1, n % 4096)
end

describe("stream:copy", function()
  for _, place in ipairs(helper.places) do
    it("copies to the end, in " .. place[1], function()
      local sent, got, count = place[2](function(random_text, checksum)
        local casting = require "casting"
        local net = require "casting.net"
        local a, b = net.pair()
        local c, d = net.pair()
        local text = random_text(3000000)
        local writer = casting.spawn(function()
          assert(a:write(text))
          assert(a:shutdown())
        end)
        local reader = casting.spawn(function() return d:read "a" end)
        local n = assert(b:copy(c))
        c:shutdown()
        writer:await()
        return checksum(text), checksum(reader:await()), n
      end, random_text, checksum)
      assert.equal(sent, got)
      assert.equal(3000000, count)
    end)
  end

  it("copies so many bytes, and leaves the others", function()
    local a, b = net.pair()
    local c, d = net.pair()
    a:write "0123456789"
    assert.equal(0, b:copy(c, 0))
    assert.equal(4, b:copy(c, 4))
    assert.equal("0123", d:read(4))
    assert.equal("45", b:read(2))
    assert.equal(3, b:copy(c, 3))
    assert.equal("678", d:read())
    a:close()
    assert.equal(1, b:copy(c, 100))
    assert.equal(0, b:copy(c))
    assert.equal("9", d:read())
  end)

  it("copies a stream to itself", function()
    local a, b = net.pair()
    local task = casting.spawn(function() return b:copy(b) end)
    a:write "echo\n"
    assert.equal("echo", a:read("l", LONG))
    a:shutdown()
    assert.equal(5, task:await(LONG))
  end)

  it("waits while nobody reads, and loses nothing when it is cancelled",
    function()
      local a, b = net.pair()
      local c, d = net.pair()
      local text = random_text(4000000)
      local writer = casting.spawn(function()
        return a:write(text) and a:shutdown()
      end)
      local copy = casting.spawn(function() return b:copy(c) end)
      helper.until_waiting(copy)
      casting.sleep(0.01)
      copy:cancel()
      assert.is_false((copy:join(LONG)))
      -- What went and what is left are all of it.
      local first = assert(d:read("a", LONG))
      local rest = assert(b:read("a", LONG))
      assert.is_true(#first > 0 and #first < #text)
      assert.equal(checksum(text), checksum(first .. rest))
      assert.is_true(writer:await(LONG))
      -- The sending side is shut: nobody knows how much went.
      assert.same({nil, "closed", 0}, {c:write "x"})
    end)

  it("ends when either side is closed", function()
    for which = 1, 2 do
      local a, b = net.pair()
      local c, d = net.pair()
      a:write "123"
      local task = casting.spawn(function() return b:copy(c) end)
      assert.equal("123", d:read(3, LONG))
      if which == 1 then b:close() else c:close() end
      assert.same({nil, "closed", 3}, {task:await(LONG)})
      a:close()
      d:close()
    end
    local a, b = net.pair()
    local c, d = net.pair()
    d:close()
    local task = casting.spawn(function() return b:copy(c) end)
    a:write(("x"):rep(100000))
    a:write(("x"):rep(100000))
    local n, why = task:await(LONG)
    assert.same({nil, "closed"}, {n, why})
  end)

  it("ends when its source is closed, whatever it waits for", function()
    -- For its turn, and for room: nothing at the source wakes it there.
    for which = 1, 2 do
      local a, b = net.pair()
      local c, d = net.pair()
      local writer
      if which == 1 then
        writer = casting.spawn(function()
          return c:write(("x"):rep(4000000))
        end)
        helper.until_waiting(writer)
      end
      local copy = casting.spawn(function() return b:copy(c) end)
      helper.until_waiting(copy)
      if which == 2 then
        local feeder = casting.spawn(function()
          return a:write(("x"):rep(4000000))
        end)
        helper.until_true(function() return c:stats().written > 0 end, "room")
        helper.until_waiting(feeder)
        helper.until_waiting(copy)
      end
      assert.is_true(b:close())
      local n, why = copy:await(LONG)
      assert.same({nil, "closed"}, {n, why})
      d:close()
      if writer then writer:await(LONG) end
      a:close()
    end
  end)

  it("is the reader of one and a writer of the other", function()
    local a, b = net.pair()
    local c, d = net.pair()
    local task = casting.spawn(function() return b:copy(c) end)
    helper.until_waiting(task)
    helper.misuse(function() b:read() end, "another task is reading")
    helper.misuse(function() b:copy(d) end, "another task is reading")
    assert.is_false((pcall(function() casting.channel(1):send(b) end)))
    assert.is_false((pcall(function() casting.channel(1):send(c) end)))
    local order = {}
    local writer = casting.spawn(function()
      c:write "after"
      order[#order + 1] = "written"
    end)
    helper.until_waiting(writer)
    a:write "before "
    a:close()
    assert.equal(7, task:await(LONG))
    writer:await(LONG)
    assert.equal("before after", d:read(12, LONG))
    -- Its turn comes after that of a write.
    a, b = net.pair()
    writer = casting.spawn(function() c:write(random_text(1000000)) end)
    helper.until_waiting(writer)
    task = casting.spawn(function() return b:copy(c) end)
    a:write "last"
    a:close()
    helper.until_waiting(task)
    assert.equal(1000000, #assert(d:read(1000000, LONG)))
    assert.equal("last", d:read(4, LONG))
    writer:await(LONG)
    assert.equal(4, task:await(LONG))
  end)

  it("lets other tasks run", function()
    local a, b = net.pair()
    local c, d = net.pair()
    local over, turns = false, 0
    local total = 20 * 2 ^ 20
    casting.spawn(function()
      local block = ("x"):rep(2 ^ 20)
      for _ = 1, 20 do a:write(block) end
      a:close()
    end)
    casting.spawn(function()
      while not over do
        turns = turns + 1
        casting.yield()
      end
    end)
    local reader = casting.spawn(function()
      local n = 0
      for _ = 1, 20 do n = n + #d:read(2 ^ 20) end
      return n
    end)
    assert.equal(total, b:copy(c))
    over = true
    assert.equal(total, reader:await(LONG))
    assert.is_true(turns > 0)
  end)

  it("refuses what it cannot use", function()
    local a, b = net.pair()
    helper.misuse(function() a:copy() end, "stream expected")
    helper.misuse(function() a:copy {} end, "stream expected")
    helper.misuse(function() a:copy(b, -1) end, "non-negative")
    helper.misuse(function() a:copy(b, 1.5) end, "non-negative")
    b:shutdown()
    assert.same({nil, "closed", 0}, {a:copy(b)})
    b:close()
    assert.same({nil, "closed", 0}, {b:copy(a)})
  end)
end)

describe("a forwarder", function()
  it("copies both ways, with half closes", function()
    local target, target_port = listen()
    casting.spawn(function()
      target:serve(function(stream)
        local text = stream:read "a"
        stream:write {"got ", tostring(#text), " ", checksum(text)}
      end)
    end)
    local port, stop = serve(function(stream)
      local other = assert(net.connect("127.0.0.1", target_port))
      casting.all {
        function() stream:copy(other) other:shutdown() end,
        function() other:copy(stream) stream:shutdown() end,
      }
      other:close()
    end)
    local text = random_text(1500000)
    local client = assert(net.connect("127.0.0.1", port))
    assert(client:write(text))
    client:shutdown()
    assert.equal("got 1500000 " .. checksum(text), client:read("a", LONG))
    client:close()
    stop()
    target:close()
  end)
end)

-- -- serve --------------------------------------------------------------------

describe("listener:serve", function()
  it("gives each connection a task, with the peer's address", function()
    local port, stop = serve(function(stream, host, port)
      stream:write(host .. " " .. math.floor(port) .. "\n")
    end)
    local stream = assert(net.connect("127.0.0.1", port))
    local host, own = stream:name()
    assert.equal(host .. " " .. math.floor(own), stream:read("l", LONG))
    -- It is closed when the function has returned.
    assert.same({nil, "closed"}, {stream:read("l", LONG)})
    stream:close()
    assert.is_true(stop())
  end)

  it("serves many at once", function()
    local port, stop = serve(echo)
    local streams = {}
    for i = 1, 50 do
      streams[i] = assert(net.connect("127.0.0.1", port))
    end
    for round = 1, 3 do
      for i = 1, 50 do streams[i]:write(i .. " " .. round .. "\n") end
      for i = 1, 50 do
        assert.equal(i .. " " .. round, streams[i]:read("l", LONG))
      end
    end
    for i = 1, 50 do streams[i]:close() end
    assert.is_true(stop())
  end)

  it("spreads connections over sessions", function()
    local port, stop = serve(function(stream)
      local casting = require "casting"
      stream:write(casting.self():session():name() .. "\n")
      stream:read()
    end, {sessions = 3})
    local seen, streams = {}, {}
    for i = 1, 30 do
      streams[i] = assert(net.connect("127.0.0.1", port))
      seen[streams[i]:read("l", LONG)] = true
    end
    for i = 1, 30 do streams[i]:close() end
    assert.is_true(stop())
    for name in pairs(seen) do assert.matches("^serve [123]$", name) end
  end)

  it("serves in sessions that are given, and leaves them open", function()
    local one, two = casting.session {name = "one"},
      casting.session {name = "two"}
    local port, stop = serve(function(stream)
      stream:write(require "casting".self():session():name() .. "\n")
    end, {sessions = {one, two}})
    for _ = 1, 10 do
      local stream = assert(net.connect("127.0.0.1", port))
      local name = stream:read("l", LONG)
      assert.is_true(name == "one" or name == "two")
      stream:close()
    end
    assert.is_true(stop())
    assert.equal(1, one:spawn(function() return 1 end):await(LONG))
    one:close()
    two:close()
  end)

  it("copies the function with its upvalues into each session", function()
    local counts = casting.channel(1 / 0)
    local n = 0
    local port, stop = serve(function(stream)
      n = n + 1 -- of this session
      counts:send(n)
      stream:write "x\n"
    end, {sessions = 2})
    for _ = 1, 20 do ask(port, "") end
    assert.is_true(stop())
    assert.equal(0, n)
    local sum, largest = 0, {}
    for _ = 1, 20 do
      local value = counts:receive(LONG)
      largest[value] = (largest[value] or 0) + 1
      sum = sum + 1
    end
    assert.equal(20, sum)
    assert.is_true(largest[1] <= 2)
  end)

  it("has no more connections at once than the limit", function()
    for _, sessions in ipairs {0, 1, 2, 3} do
      local going, most = casting.channel(1 / 0), 2
      local port, stop = serve(function(stream)
        going:send(1)
        stream:write(stream:read "l" .. "\n")
        going:send(-1)
      end, {limit = most, sessions = sessions > 0 and sessions or nil})
      local tasks = {}
      for i = 1, 12 do
        tasks[i] = casting.spawn(function() return ask(port, "x" .. i) end)
      end
      for i = 1, 12 do assert.equal("x" .. i, tasks[i]:await(LONG)) end
      local now, max = 0, 0
      for _ = 1, 24 do
        now = now + going:receive(LONG)
        if now > max then max = now end
      end
      assert.is_true(max <= most)
      assert.is_true(stop())
    end
  end)

  it("ends although as many as may be are connected", function()
    local port, stop = serve(echo, {limit = 1, grace = 0})
    local stream = assert(net.connect("127.0.0.1", port))
    stream:write "x\n"
    assert.equal("x", stream:read("l", LONG))
    assert.is_true(stop())
    assert.same({nil, "closed"}, {stream:read("l", LONG)})
    stream:close()
  end)

  it("reports an error, which ends its connection alone", function()
    for _, sessions in ipairs {0, 2} do
      reports(function(failures)
        local port, stop = serve(function(stream)
          for line in stream:lines() do
            if line == "fail" then error "as told" end
            stream:write(line .. "\n")
          end
        end, {sessions = sessions > 0 and sessions or nil})
        local good = assert(net.connect("127.0.0.1", port))
        good:write "one\n"
        assert.equal("one", good:read("l", LONG))
        for _ = 1, 3 do
          local bad = assert(net.connect("127.0.0.1", port))
          bad:write "fail\n"
          assert.same({nil, "closed"}, {bad:read("l", LONG)})
          bad:close()
          local report = assert(failures:receive(LONG))
          assert.matches("as told", tostring(type(report) == "table" and
            report.error or report))
        end
        good:write "two\n"
        assert.equal("two", good:read("l", LONG))
        good:close()
        assert.is_true(stop())
      end)
    end
  end)

  it("waits for connections when it was closed, as long as they take",
    function()
      local port, stop, listener, task = serve(echo)
      local stream = assert(net.connect("127.0.0.1", port))
      stream:write "x\n"
      assert.equal("x", stream:read("l", LONG))
      listener:close()
      assert.same({nil, "timeout"}, {task:join(0.02)})
      assert.is_nil((net.connect("127.0.0.1", port)))
      stream:write "y\n"
      assert.equal("y", stream:read("l", LONG))
      stream:close()
      assert.is_true(task:await(LONG))
      assert.is_true(stop())
    end)

  it("cancels them when the grace is over", function()
    for _, sessions in ipairs {0, 2} do
      local ends = casting.channel(1 / 0)
      local port, stop = serve(function(stream)
        local casting = require "casting"
        local ok, e = pcall(stream.read, stream)
        ends:send(ok, not ok and casting.is_cancelled(e))
        if not ok then error(e, 0) end
      end, {grace = 0.01, sessions = sessions > 0 and sessions or nil})
      local streams = {}
      for i = 1, 4 do streams[i] = assert(net.connect("127.0.0.1", port)) end
      local function told()
        return casting.report():find("accepting", 1, true) ~= nil
      end
      helper.until_true(told)
      assert.is_true(stop())
      for i = 1, 4 do
        assert.same({nil, "closed"}, {streams[i]:read("l", LONG)})
        streams[i]:close()
      end
      ends:close()
      for ok, cancelled in ends do
        assert.same({false, true}, {ok, cancelled})
      end
    end
  end)

  it("is cancelled with its connections, and leaves the listener", function()
    for _, sessions in ipairs {0, 2} do
      local port, stop, listener, task = serve(echo,
        {sessions = sessions > 0 and sessions or nil})
      local stream = assert(net.connect("127.0.0.1", port))
      stream:write "x\n"
      assert.equal("x", stream:read("l", LONG))
      task:cancel()
      local ok, e = task:join(LONG)
      assert.is_false(ok)
      assert.is_true(casting.is_cancelled(e))
      assert.same({nil, "closed"}, {stream:read("l", LONG)})
      stream:close()
      task = casting.spawn(function() return listener:serve(echo) end)
      assert.equal("y", ask(port, "y"))
      listener:close()
      assert.is_true(task:await(LONG))
      assert.is_false((pcall(stop)))
    end
  end)

  it("goes on without a session that was closed", function()
    local one, two = casting.session(), casting.session()
    local port, stop = serve(echo, {sessions = {one, two}})
    assert.equal("x", ask(port, "x"))
    one:close()
    for _ = 1, 5 do assert.equal("y", ask(port, "y")) end
    two:close()
    assert.same({nil, "the sessions were closed"}, {stop()})
  end)

  it("leaves alone a stream that was sent elsewhere", function()
    local streams = casting.channel(1 / 0)
    local port, stop = serve(function(stream) streams:send(stream) end)
    local client = assert(net.connect("127.0.0.1", port))
    local stream = assert(streams:receive(LONG))
    client:write "x\n"
    assert.equal("x", stream:read("l", LONG))
    assert.is_true(stop())
    stream:write "y\n"
    assert.equal("y", client:read("l", LONG))
    stream:close()
    client:close()
  end)

  it("serves thousands of short connections", function()
    local port, stop, listener = serve(function(stream)
      stream:write(stream:read "l" .. "\n")
    end, {sessions = 2, limit = 100})
    local rounds = 0
    keeps_descriptors(function()
      local clients = {}
      rounds = rounds + 1
      for i = 1, 8 do
        clients[i] = casting.session():spawn(function(port)
          local net = require "casting.net"
          for n = 1, 150 do
            local stream = assert(net.connect("127.0.0.1", port))
            assert(stream:write(n .. "\n"))
            assert(stream:read "l" == tostring(n))
            stream:close()
          end
          return 150
        end, port)
      end
      local sum = 0
      for i = 1, 8 do
        sum = sum + clients[i]:await(LONG)
        clients[i]:session():close()
      end
      assert.equal(1200, sum)
    end)
    assert.equal(1200 * rounds, listener:stats().accepted)
    assert.is_true(stop())
  end)

  it("moves much between sessions, whole", function()
    local port, stop = serve(function(stream)
      local text = stream:read "a"
      assert(stream:write(text))
    end, {sessions = 2})
    local text = random_text(1000000)
    local sums = casting.map({1, 2, 3, 4}, function()
      local net = require "casting.net"
      local stream = assert(net.connect("127.0.0.1", port))
      assert(stream:write(text))
      stream:shutdown()
      local back = stream:read "a"
      stream:close()
      return checksum(back)
    end, {sessions = 2})
    for i = 1, 4 do assert.equal(checksum(text), sums[i]) end
    assert.is_true(stop())
  end)

  it("refuses what it cannot use", function()
    local listener = listen()
    local function misuse(word, ...)
      local args = helper.pack(...)
      helper.misuse(function()
        listener:serve(helper.unpack(args, 1, args.n))
      end, "'serve'", word)
    end
    misuse("#1")
    misuse("#1", {})
    misuse("#2", print, 5)
    misuse("unknown option", print, {session = 1})
    misuse("unknown option", print, {handshakes = 1})
    misuse("handshake", print, {handshake = -1})
    local co = coroutine.create(function() end)
    for n = 1, 2 do
      misuse("#1", function() return co end, {sessions = n})
      misuse("upvalue 'co'", function() return co end, {sessions = n})
    end
    local a, b = net.pair()
    misuse("upvalue 'a'", function() a:close() end, {sessions = 2})
    assert.is_true(a:write "x") -- it is where it was
    assert.equal("x", b:read(1, LONG))
    a:close()
    b:close()
    misuse("sessions", print, {sessions = 0})
    misuse("sessions", print, {sessions = "2"})
    misuse("sessions", print, {sessions = {}})
    misuse("item 1", print, {sessions = {1}})
    misuse("limit", print, {limit = 0})
    misuse("grace", print, {grace = -1})
    local session = casting.session()
    session:close()
    misuse("closed", print, {sessions = {session}})
    helper.misuse(function() listener.serve({}, print) end,
      "listener expected")
    listener:close()
    assert.is_true(listener:serve(print))
    -- What cannot cross.
    listener = listen()
    local userdata = io.stdout
    local ok = pcall(listener.serve, listener, function() return userdata end,
      {sessions = 1})
    assert.is_false(ok)
    listener:close()
  end)
end)
