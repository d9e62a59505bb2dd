-- net_listener_spec.lua - listeners: accepting, sharing, shortages, paths.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local netkit = require "netkit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local net = netkit.net
local pack, LONG = helper.pack, helper.LONG

-- A name for a socket, that is not there.
local function path()
  local name = os.tmpname()
  os.remove(name)
  return name
end
local function exists(name)
  local done = os.execute(("test -e '%s'"):format(name))
  return done == true or done == 0
end
local function dial(address)
  local s = assert(net.socket(address, 0))
  return net.connect(s, address, 0, LONG), s
end

describe("accepting", function()
  local listener, port
  before_each(function()
    listener = assert(net.listen("127.0.0.1", 0))
    port = select(2, listener:name())
  end)
  after_each(function() listener:close() end)

  local function connect()
    local s = assert(net.socket("127.0.0.1", port))
    return assert(net.connect(s, "127.0.0.1", port, LONG)) and s
  end

  it("gives a stream and its peer", function()
    local client = connect()
    local s, host, from = listener:accept(LONG)
    assert.same({client:name()}, {host, from})
    client:write "x"
    assert.equal("x", s:read())
  end)

  it("waits, in all places", function()
    for _, place in ipairs(helper.places) do
      local run = place[2]
      local client = casting.spawn(function()
        helper.until_true(function() return listener:stats().waiting > 0 end)
        return connect()
      end)
      local line = run(function(listener) -- luacheck: ignore
        local s = listener:accept()
        return s:read "l"
      end, listener, casting.spawn(function()
        client:await(LONG):write "hello\n"
      end))
      assert.equal("hello", line, place[1])
    end
  end)

  it("times out, or is cancelled, and the next one is served", function()
    assert.same({nil, "timeout"}, {listener:accept(0)})
    assert.same({nil, "timeout"}, {listener:accept(0.001)})
    assert.same({nil, "timeout"},
      {casting.with_timeout(0.001, listener.accept, listener)})
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = casting.spawn(listener.accept, listener)
      helper.until_waiting(tasks[i])
    end
    assert.equal(3, listener:stats().waiting)
    tasks[1]:cancel()
    assert.is_false((tasks[1]:join(LONG)))
    connect()
    assert.truthy(tasks[2]:await(LONG))
    connect()
    tasks[2] = casting.spawn(listener.accept, listener)
    assert.truthy(tasks[3]:await(LONG))
    connect()
    assert.truthy(tasks[2]:await(LONG))
    assert.equal(0, listener:stats().waiting)
    assert.equal(3, listener:stats().accepted)
  end)

  it("obeys shields", function()
    local task = casting.spawn(function()
      return casting.shield(listener.accept, listener)
    end)
    helper.until_waiting(task)
    task:cancel()
    connect()
    task:join(LONG)
    assert.equal(1, listener:stats().accepted)
  end)

  it("takes a backlog of many at one event", function()
    local clients, streams = {}, {}
    local waiting = casting.spawn(listener.accept, listener)
    helper.until_waiting(waiting)
    for i = 1, 50 do clients[i] = connect() end
    streams[1] = waiting:await(LONG)
    for i = 2, 50 do streams[i] = assert(listener:accept(LONG)) end
    assert.same({nil, "timeout"}, {listener:accept(0)})
    for i = 1, 50 do
      clients[i]:write(i)
      clients[i]:close()
      assert.equal(tostring(i), streams[i]:read "a")
    end
  end)

  it("ends with the listener", function()
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = casting.spawn(listener.accept, listener)
      helper.until_waiting(tasks[i])
    end
    assert.is_true(listener:close())
    assert.is_false(listener:close())
    for i = 1, 3 do
      assert.same(pack(nil, "closed"), pack(tasks[i]:await(LONG)))
    end
    assert.same({nil, "closed"}, {listener:accept()})
    assert.same({nil, "closed"}, {listener:fd()})
    assert.equal("listener (closed)", tostring(listener))
    local s = net.socket("127.0.0.1", port)
    assert.same({nil, "connection refused"},
      {net.connect(s, "127.0.0.1", port)})
  end)

  it("goes on in a loop until then", function()
    local server = casting.spawn(function()
      local n = 0
      for s, host in listener do
        assert(host == "127.0.0.1")
        n = n + 1
        s:write(n)
        s:close()
      end
      return n
    end)
    for i = 1, 10 do
      assert.equal(tostring(i), connect():read("a", LONG))
    end
    listener:close()
    assert.equal(10, server:await(LONG))
  end)

  it("is told in reports, with its name", function()
    local task = casting.spawn(listener.accept, listener)
    helper.until_waiting(task)
    assert.truthy(casting.report():find("accepting on 127.0.0.1:" .. port, 1,
      true))
    assert.equal("listener: 127.0.0.1:" .. port, tostring(listener))
    assert.is_true(listener:fd() > 2)
    listener:close()
    task:join(LONG)
  end)

  it("refuses what makes no sense", function()
    helper.misuse(function() listener:accept(-1) end, "#1 to 'accept'",
      "timeout")
    helper.misuse(function() listener:accept "x" end, "#1 to 'accept'",
      "number")
    helper.misuse(function() listener.accept({}) end, "listener expected")
    for _, bad in ipairs {{"backlog", -1}, {"backlog", "x"},
      {"reuseport", 2}, {"mode", "abc"}, {"mode", 1.5}, {"mode", "7777"}} do
      helper.misuse(function()
        net.listen("127.0.0.1", 0, {[bad[1]] = bad[2]})
      end, "#3 to", bad[1])
    end
    helper.misuse(function() net.listen("127.0.0.1", -1) end, "port")
    helper.misuse(function() net.listen("127.0.0.1", 0, 5) end, "table")
    helper.misuse(function()
      net.listen("127.0.0.1", 0, setmetatable({}, {__index = function()
        error "on purpose"
      end}))
    end, "on purpose")
  end)

  it("gives its connections what net.connect gives its own", function()
    local client = connect()
    local s = assert(listener:accept(LONG))
    for _, name in ipairs {"nodelay", "keepalive"} do
      local value = client:option(name)
      assert.equal(name == "nodelay" or 15, value)
      assert.equal(value, s:option(name))
    end
    for _, want in ipairs {{false, 0}, {true, 30}, {false, 15}} do
      local l = assert(net.listen("127.0.0.1", 0,
        {nodelay = want[1], keepalive = want[2]}))
      local _, accepted = netkit.connect(l)
      assert.equal(want[1], accepted:option "nodelay")
      assert.equal(want[2] ~= 0 and want[2], accepted:option "keepalive")
      l:option("nodelay", true)
      _, accepted = netkit.connect(l)
      assert.is_true(accepted:option "nodelay")
      l:close()
    end
  end)

  it("of two at one port is refused, or shared", function()
    assert.same({nil, "address already in use"},
      {net.listen("127.0.0.1", port)})
    local a = assert(net.listen("127.0.0.1", 0, {reuseport = true}))
    local b = assert(net.listen("127.0.0.1", select(2, a:name()),
      {reuseport = true, backlog = 1}))
    a:close()
    b:close()
  end)
end)

describe("a shared listener", function()
  it("is the same in all sessions", function()
    local listener = net.listen("127.0.0.1", 0)
    local s = netkit.session()
    local back = s:spawn(function(l) return l end, listener):await(LONG)
    assert.is_true(back == listener)
    assert.is_true(s:spawn(function(l) return l:close() end, listener)
      :await(LONG))
    assert.same({nil, "closed"}, {listener:accept()})
    s:close()
  end)

  it("serves sessions in the order in which they wait", function()
    local listener = net.listen("127.0.0.1", 0)
    local sessions, tasks, n = {}, {}, 4
    local got = casting.channel(100)
    for i = 1, n do sessions[i] = netkit.session() end
    for round = 1, 3 do
      for i = 1, n do
        local k = (round - 1) * n + i
        tasks[k] = sessions[i]:spawn(function(l, k, got) -- luacheck: ignore
          local s = l:accept()
          got:send(k)
          s:read()
        end, listener, k, got)
        helper.until_true(function()
          return listener:stats().waiting == k
        end, "that it waits")
      end
    end
    local clients = {}
    local _, port = listener:name()
    for k = 1, 3 * n do
      clients[k] = net.socket("127.0.0.1", port)
      assert(net.connect(clients[k], "127.0.0.1", port, LONG))
      assert.equal(k, got:receive(LONG))
    end
    for k = 1, 3 * n do
      clients[k]:close()
      tasks[k]:await(LONG)
    end
    for i = 1, n do sessions[i]:close() end
    listener:close()
  end)

  it("loses no connection as sessions come and go", function()
    local listener = net.listen("127.0.0.1", 0)
    local _, port = listener:name()
    local n, got = 200, casting.channel(1000)
    local function serve(l, got) -- luacheck: ignore
      local casting = require "casting" -- luacheck: ignore
      while true do
        local s, why = l:accept(0.002)
        if s then
          got:send(s:read "l")
          s:close()
        elseif why ~= "timeout" then
          return why
        end
        casting.yield()
      end
    end
    local sessions, tasks = {}, {}
    for i = 1, 3 do
      sessions[i] = netkit.session()
      tasks[i] = sessions[i]:spawn(serve, listener, got)
    end
    local seen, count = {}, 0
    local canceller = casting.spawn(function()
      while count < n do
        local t = casting.spawn(listener.accept, listener)
        casting.yield()
        t:cancel()
        local ok, s = t:join(LONG)
        if ok and s then
          got:send(s:read "l")
          s:close()
        end
        casting.sleep(0.0005)
      end
    end)
    local feeder = casting.spawn(function()
      for i = 1, n do
        local c = net.socket("127.0.0.1", port)
        assert(net.connect(c, "127.0.0.1", port, LONG))
        c:write {i, "\n"}
        c:close()
      end
    end)
    while count < n do
      local i = assert(got:receive(LONG))
      assert.is_nil(seen[i])
      seen[i], count = true, count + 1
    end
    feeder:await(LONG)
    canceller:await(LONG)
    listener:close()
    for i = 1, 3 do
      assert.equal("closed", tasks[i]:await(LONG))
      sessions[i]:close()
    end
  end)
end)

describe("sockets of packets", function()
  it("are refused, and stay the program's", function()
    local ok, processes = pcall(require, "processes")
    if not ok then return pending "its module is not built here" end
    for i, fd in ipairs {processes.packets()} do
      assert.same(pack(nil, "this socket of packets cannot be adopted"),
        pack(net.from_fd(fd)))
      collectgarbage()
      assert.is_true(net.wait(fd, i == 1 and "r" or "w", LONG))
      assert.is_true(processes.close(fd))
    end
  end)
end)

describe("a listener of a Unix socket", function()
  it("has a path, which its close removes", function()
    local name = path()
    local address = "unix:" .. name
    local listener = assert(net.listen(address, 0))
    assert.is_true(exists(name))
    assert.same(pack(address), pack(listener:name()))
    assert.equal("listener: " .. address, tostring(listener))
    local ok, client = dial(address)
    assert.is_true(ok)
    assert.equal("stream: " .. address, tostring(client))
    local s, host, port = listener:accept(LONG)
    assert.same({"unix:", nil}, {host, port})
    s:write "hello"
    assert.equal("hello", client:read())
    listener:close()
    assert.is_false(exists(name))
  end)

  it("leaves it there, if it is told to", function()
    local name = path()
    local address = "unix:" .. name
    local listener = assert(net.listen(address, 0, {unlink = false}))
    assert.is_false(listener:option "unlink")
    listener:close()
    assert.is_true(exists(name))
    listener = assert(net.listen(address, 0))
    assert.is_true(listener:option "unlink")
    assert.is_true(listener:option("unlink", false))
    helper.misuse(function() listener:option("unlink", 1) end,
      "#2 to 'option'", "unlink must be true or false")
    listener:close()
    assert.same({nil, "closed"}, {listener:option "unlink"})
    assert.is_true(exists(name))
    listener = assert(net.listen(address, 0))
    listener:close()
    assert.is_false(exists(name))
    for _, address in ipairs {"unix:@casting unlink", "127.0.0.1"} do -- luacheck: ignore
      listener = assert(net.listen(address, 0))
      assert.same({nil, "this socket has no such option"},
        {listener:option "unlink"})
      assert.same({nil, "this socket has no such option"},
        {listener:option("unlink", true)})
      listener:close()
    end
  end)

  it("leaves it to another owner, who may remove it", function()
    local found, processes = pcall(require, "processes")
    if not found or not net.from_fd then
      return pending "there is no module processes"
    end
    local name = path()
    local address = "unix:" .. name
    local first = assert(net.listen(address, 0))
    local second = assert(net.from_fd(processes.dup(first:fd())))
    local third = assert(net.from_fd(processes.dup(first:fd())))
    assert.is_false(second:option "unlink")
    first:option("unlink", false)
    local ok, early = dial(address)
    first:close()
    second:close()
    assert.is_true(exists(name))
    assert.is_true(third:option("unlink", true))
    local late
    assert.is_true(ok)
    ok, late = dial(address)
    assert.is_true(ok)
    for _, client in ipairs {early, late} do
      local s = assert(third:accept(LONG))
      s:write "x"
      assert.equal("x", client:read(1, LONG))
    end
    third:close()
    assert.is_false(exists(name))
  end)

  it("loses it when it is collected", function()
    local name = path()
    local listener = assert(net.listen("unix:" .. name, 0))
    assert.truthy(listener)
    listener = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_false(exists(name))
  end)

  it("takes the path of one that died, and no other", function()
    local name = path()
    local address = "unix:" .. name
    local first = assert(net.listen(address, 0))
    assert.same({nil, "address already in use"}, {net.listen(address, 0)})
    assert.is_true(exists(name))
    -- As a process leaves it that is killed.
    local function abandon()
      local moved = name .. ".moved"
      assert(os.rename(name, moved))
      first:close()
      assert(os.rename(moved, name))
    end
    abandon()
    assert.is_true(exists(name))
    assert.is_nil((dial(address)))
    local second = assert(net.listen(address, 0))
    assert.is_true((dial(address)))
    second:close()
    assert.is_false(exists(name))
    -- A file stays.
    helper.spit(name, "precious")
    assert.same({nil, "address already in use"}, {net.listen(address, 0)})
    assert.equal("precious", helper.slurp(name))
    os.remove(name)
  end)

  it("leaves a path alone that is another one's by now", function()
    local name = path()
    local address = "unix:" .. name
    local first = assert(net.listen(address, 0))
    os.remove(name)
    local second = assert(net.listen(address, 0))
    first:close()
    assert.is_true(exists(name))
    assert.is_true((dial(address)))
    second:close()
    assert.is_false(exists(name))
  end)

  it("is one of several that want the path at once", function()
    local name = path()
    local dead = assert(net.listen("unix:" .. name, 0))
    local sessions = {}
    for i = 1, 4 do sessions[i] = netkit.session() end
    for _ = 1, 20 do
      assert(os.rename(name, name .. ".moved"))
      dead:close()
      assert(os.rename(name .. ".moved", name))
      local tasks, open = {}, {}
      for i = 1, 4 do
        tasks[i] = sessions[i]:spawn(function(address)
          local c = require "casting"
          local listen = c.net.listen
          local l, why = listen(address, 0)
          return l or why
        end, "unix:" .. name)
      end
      for i = 1, 4 do
        local l = tasks[i]:await(LONG)
        if type(l) == "string" then
          assert.equal("address already in use", l)
        else
          open[#open + 1] = l
        end
      end
      assert.equal(1, #open)
      assert.is_true((dial("unix:" .. name)))
      dead = open[1]
    end
    dead:close()
    assert.is_false(exists(name))
    for i = 1, 4 do sessions[i]:close() end
  end)

  it("leaves the path to its successor, however fast that is", function()
    local name = path()
    local session = netkit.session()
    local ch = casting.channel()
    local closer = session:spawn(function(c)
      for listener in c do
        if listener then listener:close() end
      end
    end, ch)
    local listener = assert(net.listen("unix:" .. name, 0))
    for _ = 1, 100 do
      ch:send(listener)
      local why
      repeat listener, why = net.listen("unix:" .. name, 0) until listener or
        why ~= "address already in use"
      assert.is_nil(why)
      ch:send(false) -- the first has been closed to its end
      assert.is_true(exists(name))
    end
    listener:close()
    ch:close()
    closer:await(LONG)
    session:close()
  end)

  it("does not wait for long while its directory is locked", function()
    local name = path()
    local dir = name .. ".d"
    local has = os.execute "command -v flock >/dev/null"
    if has ~= true and has ~= 0 then return end
    assert(os.execute("mkdir " .. dir))
    -- Locked until its input ends.
    local lock = io.popen(("exec flock %s sh -c 'touch %s; cat'"):format(
      dir, name), "w")
    helper.until_true(function() return exists(name) end)
    local casting_net, turns = casting.net, 0
    local other = casting.spawn(function()
      while true do
        turns = turns + 1
        casting.yield()
      end
    end)
    local listener = assert(casting_net.listen("unix:" .. dir .. "/s"))
    assert.is_true(turns > 1)
    other:cancel()
    lock:close()
    listener:close()
    os.remove(name)
    os.remove(dir)
  end)

  it("has the mode that is said", function()
    for mode, want in pairs {["600"] = "srw-------", ["666"] = "srw-rw-rw-"} do
      local name = path()
      local listener = assert(net.listen("unix:" .. name, 0, {mode = mode}))
      local pipe = io.popen(("ls -ld '%s'"):format(name))
      assert.equal(want, pipe:read "*l":sub(1, 10))
      pipe:close()
      listener:close()
    end
  end)

  it("may be in the abstract space", function()
    local address = "unix:@casting-test-" .. os.tmpname()
    local listener, why = net.listen(address, 0)
    if not listener then return pending(why) end
    assert.equal("listener: " .. address, tostring(listener))
    local ok, client = dial(address)
    assert.is_true(ok)
    listener:accept(LONG):write "x"
    assert.equal("x", client:read())
    assert.same({nil, "address already in use"}, {net.listen(address, 0)})
    listener:close()
    assert.is_nil((dial(address)))
  end)

  it("cannot have any name", function()
    helper.misuse(function() net.listen("unix:" .. ("x"):rep(200), 0) end,
      "107")
    assert.same({nil, "no such file or directory"},
      {net.listen("unix:/nowhere/at/all", 0)})
  end)
end)

describe("without descriptors", function()
  if not helper.has_children() then
    return it("accepting waits", function()
      pending "no other program can be started here"
    end)
  end

  local function limited(source, n)
    local script = helper.spit(os.tmpname(), [[
      local casting = require "casting"
      local helper = require "helper"
      local kit = require "netkit"
      local net = kit.net
    ]] .. source)
    local pipe = io.popen(("{ ulimit -n %d; timeout %d %s %s; } 2>&1"):format(n,
      LONG, helper.command(), script))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(script)
    return text
  end

  it("accepting waits, and goes on when there are some", function()
    local text = limited([[
      local listener = net.listen("127.0.0.1", 0)
      local _, port = listener:name()
      local held, clients = {}, {}
      for i = 1, 5 do
        clients[i] = net.socket("127.0.0.1", port)
        assert(net.connect(clients[i], "127.0.0.1", port, 100))
      end
      while true do
        local f = io.open("/dev/null")
        if not f then break end
        held[#held + 1] = f
      end
      print(select(2, net.pair()))
      local server = casting.spawn(function()
        for i = 1, 5 do
          local s = assert(listener:accept())
          s:write(i)
          s:close()
        end
        return "served"
      end)
      helper.until_true(function() return listener:stats().shortages > 1 end)
      -- Not while it just tries again.
      helper.until_true(function()
        local report = casting.report()
        return report:find "short of descriptors" and
          report:find "shortages so far" and
          server:status() == "waiting" and listener:stats().waiting == 1
      end)
      for i = 1, #held do held[i]:close() end
      print(server:await(100), listener:stats().accepted)
      for i = 1, 5 do assert(clients[i]:read "a" == tostring(i)) end
    ]], 60)
    assert.equal("too many open files\nserved\t5\n", text)
  end)

  -- Both said again and again that the listener was ready, and the accept that
  -- followed failed: the session did nothing else, and freed nothing.
  it("a select and a net.wait wait, too", function()
    local text = limited([[
      local listener = net.listen("127.0.0.1", 0)
      local _, port = listener:name()
      local held, clients = {}, {}
      for i = 1, 5 do
        clients[i] = net.socket("127.0.0.1", port)
        assert(net.connect(clients[i], "127.0.0.1", port, 100))
      end
      local ways = {
        function() return casting.select {listener, casting.channel()} == 1 end,
        function() return net.wait(listener:fd(), "r") end,
      }
      for i = 1, 2 do
        while true do
          local f = io.open("/dev/null")
          if not f then break end
          held[#held + 1] = f
        end
        local before, loops, served = listener:stats().shortages, 0, 0
        local server = casting.spawn(function()
          while served < 2 and loops < 1000 and ways[i]() do
            loops = loops + 1
            local s = listener:accept(0)
            if s then
              served = served + 1
              s:close()
            end
          end
        end)
        helper.until_true(function()
          return listener:stats().shortages > before + 3 or
            server:status() == "done"
        end)
        for k = 1, #held do held[k]:close() end
        held = {}
        server:await(100)
        print(served, loops - served == listener:stats().shortages - before)
      end
    ]], 60)
    assert.equal("2\ttrue\n2\ttrue\n", text)
  end)

  it("it neither asks nor wakes up all the time", function()
    local text = limited([[
      local listener = net.listen("127.0.0.1", 0)
      local _, port = listener:name()
      local c = net.socket("127.0.0.1", port)
      assert(net.connect(c, "127.0.0.1", port, 100))
      local held = {}
      while true do
        local f = io.open("/dev/null")
        if not f then break end
        held[#held + 1] = f
      end
      local began, n = casting.now(), 0
      local task = casting.spawn(listener.accept, listener)
      while n < 6 do
        casting.sleep(0.001)
        n = listener:stats().shortages
      end
      -- 5 + 10 + 20 + 40 + 80 ms lie between the first and the sixth.
      print(casting.now() - began > 0.150)
      task:cancel()
      task:join(100)
    ]], 60)
    assert.equal("true\n", text)
  end)
end)

describe("names of ends", function()
  it("of IPv6 have brackets in texts", function()
    local listener, why = net.listen("::1", 0)
    if not listener then return pending(why) end
    local _, port = listener:name()
    assert.equal("listener: [::1]:" .. port, tostring(listener))
    listener:close()
  end)

  -- What is told of the sockets of one name is that name.
  local function check(address)
    local listener, why = casting.net.listen(address)
    if not listener then return pending(address .. ": " .. why) end
    assert.same(pack(address), pack(listener:name()))
    local client = assert(casting.net.connect(listener:name()))
    local server = assert(listener:accept(LONG))
    assert.same(pack(address), pack(client:peer()))
    assert.same(pack(address), pack(server:name()))
    client:close()
    client = assert(casting.net.connect(server:name()))
    for _, s in ipairs {listener, server, client} do s:close() end
    local socket = assert(casting.net.udp(address))
    assert.same(pack(address), pack(socket:name()))
    assert.equal("udp: " .. address:gsub("%c", "?"), tostring(socket))
    local from = address .. "2"
    local other = assert(casting.net.udp(from))
    assert.is_true(other:send("x", socket:name()))
    local function answer(data, ...)
      assert.same(pack(from), pack(...))
      assert.is_true(socket:send(data, ...))
    end
    answer(socket:receive(LONG))
    assert.equal("x", (other:receive(LONG)))
    assert.is_true(other:connect(socket:name()))
    assert.same(pack(address), pack(other:peer()))
    socket:close()
    other:close()
  end

  it("of Unix sockets are what others take", function()
    check("unix:" .. path())
    check("unix:@casting test " .. path())
    check("unix:@casting\0test\n " .. path())
  end)

  it("of Unix sockets may be none", function()
    local a, b = net.pair()
    assert.same(pack("unix:"), pack(a:name()))
    assert.same(pack("unix:"), pack(a:peer()))
    assert.truthy(tostring(a):match "^stream: 0?x?%x+$")
    local socket = assert(casting.net.udp {family = "unix"})
    assert.same(pack("unix:"), pack(socket:name()))
    assert.truthy(tostring(socket):match "^udp: 0?x?%x+$")
    local told = assert(casting.net.udp("unix:" .. path()))
    assert.is_true(socket:send("x", told:name()))
    local data, host, port = told:receive(LONG)
    assert.same(pack("x", "unix:", nil), pack(data, host, port))
    local none = pack(nil, "not a path of a socket")
    assert.same(none, pack(told:send("answer", host, port)))
    assert.same(none, pack(told:connect(host, port)))
    assert.same(none, pack(casting.net.connect(host, port)))
    assert.same(none, pack(casting.net.listen(host)))
    assert.same(none, pack(casting.net.udp(host)))
    for _, s in ipairs {a, b, socket, told} do s:close() end
    assert.equal("udp (closed)", tostring(told))
  end)

  it("of Unix sockets may begin with an @ that is a file's", function()
    local ok, processes = pcall(require, "processes")
    if not ok then return pending "its module is not built here" end
    local file = "@casting-test-" .. path():match "[^/]*$"
    local listener = assert(net.from_fd(processes.bound(file)))
    local name = listener:name()
    local client, why = casting.net.connect(name)
    os.remove(file)
    assert.equal("unix:./" .. file, name)
    assert(client, why):close()
    listener:close()
  end)

  -- Programs that pass all of the system's struct have such names.
  it("of Unix sockets may be as long as there is room for", function()
    local ok, processes = pcall(require, "processes")
    if not ok then return pending "its module is not built here" end
    local name = "casting" .. path()
    name = name .. ("\0"):rep(107 - #name)
    local listener = assert(net.from_fd(processes.bound("\0" .. name)))
    assert.equal("unix:@" .. name, (listener:name()))
    assert(casting.net.connect(listener:name())):close()
    listener:close()
    assert.same(pack(nil, "the path of a socket has at most 107 bytes"),
      pack(casting.net.connect("unix:@" .. name .. "x")))
  end)
end)

describe("connecting", function()
  it("fails, times out, is cancelled and is told in reports", function()
    local listener = net.listen("127.0.0.1", 0, {backlog = 1})
    local _, port = listener:name()
    local held, waiting = {}, nil
    -- A backlog that is full lets connections hang.
    for i = 1, 20 do
      held[i] = net.socket("127.0.0.1", port)
      local ok, why = net.connect(held[i], "127.0.0.1", port, 0.05)
      if not ok then
        assert.equal("timeout", why)
        assert.equal("stream (closed)", tostring(held[i]))
        waiting = true
        break
      end
    end
    if not waiting then return pending "the backlog does not fill up" end
    local s = net.socket("127.0.0.1", port)
    local task = casting.spawn(net.connect, s, "127.0.0.1", port)
    helper.until_waiting(task)
    assert.truthy(casting.report():find("connecting to 127.0.0.1:" .. port, 1,
      true))
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.equal("stream (closed)", tostring(s))
    listener:close()
  end)

  it("that fails early leaves no descriptor", function()
    collectgarbage()
    collectgarbage()
    local before = netkit.descriptors()
    for _ = 1, 20 do
      local s, why = net.socket("127.0.0.1", 80, {bind = "192.0.2.1"})
      assert.is_nil(s)
      assert.equal("string", type(why))
      helper.misuse(function()
        net.socket("127.0.0.1", 80, {bind = "here"})
      end, "numeric address")
    end
    assert.is_true(netkit.descriptors() < before + 20)
  end)

  it("is refused where nobody listens", function()
    local listener = net.listen("127.0.0.1", 0)
    local _, port = listener:name()
    listener:close()
    for _ = 1, 50 do
      local s = net.socket("127.0.0.1", port)
      assert.same({nil, "connection refused"},
        {net.connect(s, "127.0.0.1", port)})
      assert.same({nil, "closed"}, {s:read()})
    end
    local ok, why = dial("unix:" .. path())
    assert.same({nil, "no such file or directory"}, {ok, why and nil or
      select(2, net.connect(net.socket("unix:/nowhere", 0), "unix:/nowhere",
        0))})
  end)
end)
