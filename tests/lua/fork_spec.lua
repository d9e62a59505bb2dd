-- fork_spec.lua - processes that fork before and after they have used casting.
-- still: what has only loaded casting has no thread of its own.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore

-- Built with the unit tests (tests/modules/processes.c).
if not pcall(require, "processes") then
  describe("fork", function() pending "its module is not built here" end)
  return
end

-- To look for leaks at its end a child would need locks of the sanitizer's,
-- which other threads may have had.
helper.environment = 'ASAN_OPTIONS="$ASAN_OPTIONS detect_leaks=0"'

local REFUSED = "casting was used before this process was forked"

-- Each test is a program of its own. in_child(f, ...) forks, and calls f in the
-- child, which then goes on as told: "end" leaves the main program, by running
-- off its end. ended(pid) is how it has ended, in time.
local prelude = ([[
  local casting = require "casting"
  local P = require "processes"
  local LONG = %d
  local REFUSED = %q
  io.stdout:setvbuf "no" -- or children would write what the parent has left
  local function ended(pid)
    local how, code = P.wait(pid, LONG)
    return how and how .. " " .. code or "did not end"
  end
  local function in_child(f, ...)
    local pid = P.fork()
    if pid > 0 then return ended(pid) end
    local args = {...}
    local ok, e = xpcall(function()
      f((table.unpack or unpack)(args))
    end, debug.traceback)
    if not ok then io.stderr:write(tostring(e), "\n") end
    P.exit(ok and 0 or 1)
  end
  local function refused(name, f, ...)
    local ok, e = pcall(f, ...)
    if ok then error(name .. " was not refused", 2) end
    if not tostring(e):find(REFUSED, 1, true) then
      error(name .. ": " .. tostring(e), 2)
    end
  end
  local function use()
    local s = casting.session()
    assert(s:spawn("return ... + 1", 41):await(LONG) == 42)
    local ch = casting.channel()
    casting.spawn(function() casting.sleep(0.001) ch:send "x" end)
    assert(ch:receive(LONG) == "x")
    assert(casting.after(0.001):receive(LONG))
    s:close()
  end
]]):format(helper.LONG / 2, REFUSED)

local function output(source) return helper.output(prelude .. source) end

describe("a process that has only loaded casting", function()
  it("may fork and use it in parent and child", function()
    assert.equal("exit 0\ndone\n", output [[
      print(in_child(use))
      use()
      print "done"
    ]])
  end)

  it("may do so in parent and child at once", function()
    assert.equal("exit 0\nexit 0\n", output [[
      local pids = {}
      for i = 1, 2 do
        pids[i] = P.fork()
        if pids[i] == 0 then
          for _ = 1, 10 do use() end
          P.exit(0)
        end
      end
      for _ = 1, 10 do use() end
      for i = 1, 2 do print(ended(pids[i])) end
    ]])
  end)

  it("has no thread of casting's", function()
    if helper.emulated() then pending(helper.EMULATED) end
    assert.equal("1\n", output [[
      casting.channel(5):try_send(1)
      casting.named "n"
      casting.spawn(function() end)
      local n = 0
      for _ in io.popen("ls /proc/" .. io.open("/proc/self/stat"):read "*n" ..
        "/task"):lines() do n = n + 1 end
      print(n)
    ]])
  end)

  it("hands what it has made to the child", function()
    assert.equal("exit 0\nfrom the task\t1\n", output [[
      local ch, named = casting.channel(1), casting.named("n", 3)
      local task = casting.spawn(function()
        return "from the task", ch:receive()
      end)
      ch:try_send(1)
      local function check()
        local text, n = task:await(LONG)
        assert(text == "from the task" and n == 1)
        assert(casting.named("n", 3) == named)
        use()
        return text, n
      end
      print(in_child(check))
      print(check())
    ]])
  end)

  it("may end in the child in each way", function()
    assert.equal(("exit 0\n"):rep(3) .. "exit 1\n", output [[
      local ch = casting.channel()
      casting.spawn(function() ch:receive() end)
      for _, how in ipairs {"end", "exit", "close", "error"} do
        local pid = P.fork()
        if pid == 0 then
          if how == "exit" then os.exit(0) end
          if how == "close" then os.exit(0, true) end
          if how == "error" then
            io.stderr:close()
            error "on purpose"
          end
          return
        end
        print(ended(pid))
      end
    ]])
  end)

  it("keeps the paths of its sockets when a child ends", function()
    assert.equal("exit 0\ntrue\ttrue\nfalse\tfalse\n", output [[
      local names, sockets = {os.tmpname(), os.tmpname()}, {}
      local function there(name) return os.rename(name, name) == true end
      for _, name in ipairs(names) do os.remove(name) end
      sockets[1] = assert(casting.net.udp("unix:" .. names[1]))
      sockets[2] = assert(casting.net.listen("unix:" .. names[2]))
      print(in_child(function()
        for _, socket in ipairs(sockets) do socket:close() end
      end))
      print(there(names[1]), there(names[2]))
      for _, socket in ipairs(sockets) do socket:close() end
      print(there(names[1]), there(names[2]))
    ]])
  end)

  it("may have a child that forks before it uses casting", function()
    assert.equal("exit 0\n", output [[
      print(in_child(function()
        assert(in_child(use) == "exit 0")
        use()
        assert(in_child(refused, "session", casting.session) == "exit 0")
      end))
    ]])
  end)

  it("has a descriptor of its own in each", function()
    assert.equal("exit 0\ntrue\n", output [[
      local function own()
        local fd = casting.fd()
        local task = casting.spawn(function()
          casting.sleep(0.001)
          return true
        end)
        while task:status() ~= "done" do
          assert(P.readable(fd, LONG))
          casting.poll()
        end
        return task:await(LONG)
      end
      print(in_child(own))
      print(own())
    ]])
  end)

  it("waits in a set of descriptors of its own", function()
    assert.equal("exit 0\nx\n", output [[
      local net = casting.net
      local a, b = net.pair() -- makes the set, and nothing waits yet
      local c, d = net.pair()
      local pid = P.fork()
      if pid == 0 then
        local ok = c:read(1, LONG) == "c" and not a:read(1, 0.01)
        a:close()
        P.exit(ok and 0 or 1)
      end
      casting.spawn(function()
        d:write "c"
        print(ended(pid))
        b:write "x"
      end)
      print(a:read(1, LONG))
    ]])
  end)
end)

describe("the child of a process that has used casting", function()
  it("is refused each function", function()
    assert.equal("exit 0\n", output [[
      local s, ch = casting.session(), casting.channel(3)
      local task = s:spawn "return 1"
      local message = casting.pack(1)
      local waits = casting.spawn(function() ch:receive() end)
      task:await(LONG)
      print(in_child(function()
        local f = function() end
        for name, args in pairs {
          channel = {}, named = {"n"}, after = {1}, every = {1},
          select = {{ch}}, session = {}, pack = {1}, transferable = {1},
          spawn = {f}, self = {}, yield = {}, sleep = {0.1}, run = {f},
          poll = {}, threads = {}, blocking = {f}, on_error = {ch},
          report = {}, with_timeout = {1, f}, shield = {f}, scope = {f},
          all = {{f}}, race = {{f}}, map = {{1}, f},
          supervisor = {{children = {}}},
        } do
          refused(name, casting[name], (table.unpack or unpack)(args))
        end
        refused("run()", casting.run)
        for _, call in ipairs {
          {ch, "send", 1}, {ch, "receive"}, {ch, "try_send", 1},
          {ch, "try_receive"}, {ch, "receive", 0},
          {task, "join"}, {task, "await", 0}, {task, "traceback"},
          {task, "monitor"}, {task, "link"}, {task, "unlink"},
          {waits, "join"}, {waits, "traceback"},
          {s, "spawn", f}, {s, "spawn", "return 1"}, {s, "wait"},
          {s, "tasks"}, {message, "unpack"},
        } do
          local object, method = call[1], call[2]
          refused(method, object[method], object, call[3])
        end
        refused("the iterator", function() for v in ch do f(v) end end)
      end))
    ]])
  end)

  it("is told what needs nobody else", function()
    assert.equal("exit 0\n", output [[
      local s, ch = casting.session {name = "here"}, casting.channel(3)
      local task = s:spawn "return 1"
      task:await(LONG)
      ch:send(1)
      local fd = casting.fd()
      print(in_child(function()
        assert(casting.now() > 0 and casting.fd() == fd)
        assert(not casting.is_cancelled(1))
        assert(#ch == 1 and ch:len() == 1 and ch:capacity() == 3)
        assert(not ch:closed())
        assert(task:status() == "done" and task:name():match "task %d")
        assert(s:name() == "here" and task:session() == s)
        assert(s:stats().tasks == 0)
        assert(tostring(ch):match "channel" and ch ~= s)
        assert(package.loaded.casting == casting)
        package.loaded.casting = nil
        assert(require "casting".now() > 0)
      end))
    ]])
  end)

  it("may close and cancel what it has, to no effect", function()
    assert.equal("exit 0\ndone\tnil\ttimeout\n", output [[
      local s, ch = casting.session(), casting.channel()
      local task = s:spawn(function(ch) return ch:receive() end, ch)
      local sup = casting.supervisor {children = {}}
      print(in_child(function()
        assert(ch:close() == false and not ch:closed())
        assert(s:cancel() == true and task:cancel() == false)
        assert(s:close() == true and s:close(1) == true)
        assert(sup:stop() == true)
        local mt = debug.getmetatable(ch)
        if mt.__close then
          mt.__close(ch)
          debug.getmetatable(s).__close(s)
          debug.getmetatable(sup).__close(sup)
        end
        s, task, ch, sup, mt = nil
        for _ = 1, 3 do collectgarbage() end
      end))
      ch:send "done"
      print(task:await(LONG), casting.with_timeout(0.01, sup.wait, sup))
    ]])
  end)

  it("closes its own descriptors of what the parent goes on with", function()
    assert.equal("exit 0\nab\ttrue\n", output [[
      local net = casting.net
      casting.session():close()
      local l = assert(net.listen("127.0.0.1", 0))
      local _, port = l:name()
      local a = assert(net.connect("127.0.0.1", port))
      local b, c, d = assert(l:accept(LONG)), net.pair()
      local function open(fd)
        local rc = os.execute("test -e /proc/$PPID/fd/" .. fd)
        return rc == true or rc == 0
      end
      print(in_child(function()
        local fds = {l:fd(), a:fd(), b:fd()}
        for i, fd in ipairs(fds) do assert(open(fd), i) end
        refused("shutdown", c.shutdown, c)
        refused("option", a.option, a, "nodelay", false)
        assert(l:close() == true and a:close() == true and b:abort() == true)
        assert(l:close() == false and a:close() == false)
        for i, fd in ipairs(fds) do assert(not open(fd), i) end
        assert(tostring(a) == "stream (closed)")
        assert(tostring(l) == "listener (closed)")
        refused("read", b.read, b)
        refused("accept", l.accept, l)
        assert(l:fd() == nil and a:fd() == nil)
      end))
      a:write "a"
      d:write "b"
      print(b:read(1, LONG) .. c:read(1, LONG),
        net.connect("127.0.0.1", port):close())
    ]])
  end)

  it("may close what it has of each socket, and change nothing", function()
    assert.equal("exit 0\n1\t2\n3\t4\n", output [[
      local net = casting.net
      casting.session():close()
      local function open(fd)
        local rc = os.execute("test -e /proc/$PPID/fd/" .. fd)
        return rc == true or rc == 0
      end
      local l = assert(net.listen("127.0.0.1", 0))
      local a, b = net.pair()
      local u = assert(net.udp("127.0.0.1", 0))
      local v = assert(net.udp("127.0.0.1", 0))
      assert(v:connect(u:name()))
      local function wait() -- in the poller's set
        local tasks = {
          casting.spawn(l.accept, l), casting.spawn(a.read, a, "l"),
          casting.spawn(u.receive, u),
        }
        for _, t in ipairs(tasks) do
          while t:status() ~= "waiting" do casting.yield() end
        end
        return tasks
      end
      local function serve(tasks, line, datagram)
        b:write {line, "\n"}
        v:send(datagram)
        assert(net.connect(l:name())):close()
        tasks[1]:await(LONG):close()
        print(tasks[2]:await(LONG), (tasks[3]:await(LONG)))
      end
      local tasks, ttl = wait(), u:option "ttl"
      print(in_child(function()
        local f = function() end
        for name, args in pairs {
          connect = {"127.0.0.1", 1}, listen = {"127.0.0.1", 0},
          pair = {}, resolve = {"127.0.0.1"}, udp = {}, wait = {a:fd(), "r"},
          from_fd = {a:fd()},
        } do
          refused(name, net[name], (table.unpack or unpack)(args))
        end
        refused("connect", net.connect, "localhost", 1)
        refused("resolve", net.resolve, "localhost")
        for _, call in ipairs {
          {a, "read"}, {a, "read", 1}, {a, "read_until", "x"}, {a, "peek", 1},
          {a, "write", "x"}, {a, "write", {"x"}}, {a, "copy", b},
          {a, "shutdown"}, {a, "option", "sendbuffer", 5000},
          {l, "accept"}, {l, "accept", 0}, {l, "serve", f},
          {l, "option", "ttl", 5},
          {u, "send", "x", "127.0.0.1", 1}, {v, "send", "x"},
          {u, "receive"}, {u, "receive", 0}, {u, "connect", "127.0.0.1", 1},
          {v, "connect"}, {u, "join", "224.0.0.7"}, {u, "leave", "224.0.0.7"},
          {u, "option", "ttl", 5},
        } do
          local object, method = call[1], call[2]
          refused(method, object[method], object, call[3], call[4], call[5])
        end
        refused("lines", function() for line in a:lines() do f(line) end end)
        refused("the iterator", function() for s in l do f(s) end end)
        refused("select", casting.select, {a, l, u})
        for _, s in ipairs {a, b, u, v, l} do
          assert(s:fd() > 2 and s:name() and s:stats())
          assert(tostring(s):match "^%a+: ")
        end
        assert(a:peer() and v:peer())
        assert(a:option "sendbuffer" and u:option "ttl" and l:option "ttl")
        for i, s in ipairs {a, u, v, l} do
          local fd = s:fd()
          if i == 2 and debug.getmetatable(s).__close then
            debug.getmetatable(s).__close(s)
          else
            assert(s:close() == true)
          end
          assert(s:close() == false and s:fd() == nil)
          assert(not open(fd), fd)
          assert(tostring(s):match "closed")
        end
        assert(b:abort() == true and b:abort() == false)
        l, a, b, u, v, tasks = nil
        for _ = 1, 3 do collectgarbage() end
      end))
      serve(tasks, "1", "2")
      serve(wait(), "3", "4")
      assert(ttl == u:option "ttl")
    ]])
  end)

  it("has a silent descriptor", function()
    assert.equal("true\nexit 0\ntrue\n", output [[
      local fd = casting.fd()
      casting.spawn(function() end)
      print(P.readable(fd, LONG))
      local r = in_child(function()
        assert(not P.readable(fd, 0.05))
        assert(casting.fd() == fd)
      end)
      print(r)
      print(P.readable(fd, LONG)) -- the parent's still is as it was
      while casting.poll() do end
    ]])
  end)

  it("ends at once in each way, whatever goes on in the parent", function()
    if not helper.can_fork_busy() then return end
    assert.equal("done\n", output(([[
      local sessions, ch = {}, casting.channel(100)
      for i = 1, 3 do
        sessions[i] = casting.session()
        sessions[i]:spawn(function(ch)
          local casting = require "casting" -- luacheck: ignore
          while true do
            if not ch:send(1) then return end
            ch:receive()
            casting.session():spawn "return 1"
            casting.after(0.001)
          end
        end, ch)
      end
      casting.spawn(function() ch:receive() ch:send(1) casting.sleep(100) end)
      casting.spawn(function() while true do casting.sleep(0.001) end end)
      casting.sleep(0.001)
      for i = 1, %d do
        local way = i %% 3
        local pid = P.fork()
        if pid == 0 then
          if way == 0 then return end
          if way == 1 then os.exit(0, true) end
          os.exit(0)
        end
        local how = ended(pid)
        if how ~= "exit 0" then error(i .. ": " .. how) end
        casting.sleep(0.0003)
      end
      print "done"
      ch:close()
    ]]):format(helper.slow > 1 and 15 or 60)))
  end)

  it("has children that are refused as well", function()
    assert.equal("exit 0\n", output [[
      use()
      print(in_child(function()
        refused("session", casting.session)
        assert(in_child(refused, "session", casting.session) == "exit 0")
        assert(in_child(function() end) == "exit 0")
      end))
    ]])
  end)

  it("can run programs", function()
    assert.equal("exit 0\n", output [[
      use()
      print(in_child(function()
        local pipe = io.popen "echo from the shell"
        assert(pipe:read "*l" == "from the shell")
        pipe:close()
      end))
    ]])
  end)

  it("has finalizers that are refused, and do no harm", function()
    assert.equal("exit 0\nend of the child\nexit 0\nend of the parent\n",
      output [[
      local ch = casting.channel(10)
      use()
      local function finalized(f)
        if _VERSION > "Lua 5.1" then return setmetatable({}, {__gc = f}) end
        local u = newproxy(true)
        getmetatable(u).__gc = f
        return u
      end
      local who = "parent"
      anchor = finalized(function()
        local ok = pcall(ch.send, ch, 1)
        assert(ok == (who == "parent") or who == "parent")
        io.stdout:write("end of the ", who, "\n")
      end)
      print(in_child(function()
        local u = finalized(function() ch:send(1) end)
        u = nil
        pcall(collectgarbage)
        pcall(collectgarbage)
      end))
      local pid = P.fork()
      if pid == 0 then
        who = "child"
        return
      end
      print(ended(pid))
    ]])
  end)
end)

describe("a task that forks", function()
  -- In such a child ThreadSanitizer looks away, but only on the C stack that
  -- has forked; it reports what the main program does on its own one.
  local tsan = helper.tsan()

  it("in the main state goes on, then its main program is refused", function()
    if tsan then return end
    assert.equal("in the task\nrefused\nexit 0\nmain\nparent\n", output [[
      local pid
      local task = casting.spawn(function()
        pid = P.fork()
        if pid > 0 then return "parent" end
        refused("yield", casting.yield)
        coroutine.yield() -- there are no others
        io.stdout:write "in the task\n"
      end)
      casting.spawn(function()
        if pid == 0 then P.exit(3) end
        io.stdout:write(ended(pid), "\nmain\n")
      end)
      local ok, e = pcall(task.await, task)
      if not ok then
        print(e:match(REFUSED) and "refused" or e)
        return
      end
      casting.run()
      print(e)
    ]])
  end)

  for name, how in pairs {
    ["a loop of the host's"] = "local fd = casting.fd() " ..
      "while task:status() ~= 'done' do " ..
      "P.readable(fd, LONG) casting.poll() end",
    ["a sort's callback"] = "table.sort({2, 1}, function() task:await() end)",
    ["a coroutine"] = "coroutine.wrap(function() task:await() end)()",
    ["a sleep"] = "repeat casting.sleep(0.01) until task:status() == 'done'",
  } do
    it("in the main state, which waits in " .. name, function()
      if tsan then return end
      assert.equal("false\texit 0\ntrue\n", output(([[
        local pid
        local task = casting.spawn(function()
          casting.yield()
          pid = P.fork()
        end)
        local ok, e = pcall(function() %s end)
        if pid == 0 then
          assert(e:find(REFUSED, 1, true), e)
          P.exit(ok and 1 or 0)
        end
        print(casting == nil, ended(pid))
        print(ok)
      ]]):format(how)))
    end)
  end

  -- Nobody is waited for who was to be.
  for name, call in pairs {
    ["a scope"] = "casting.scope(function(scope) scope:spawn(never) f() end)",
    ["a scope's other task"] =
      "casting.scope(function(scope) scope:spawn(f) never() end)",
    all = "casting.all {never, f}",
    race = "casting.race {never, f}",
    ["the items of a map"] = "local n = 0 casting.map(function() " ..
      "n = n + 1 if n == 3 then f() end return n end, tostring)",
    ["the progress of a map"] =
      "casting.map({1, 2, 3}, tostring, {progress = f})",
  } do
    it("for " .. name .. " goes on, and nothing of it does", function()
      if tsan then return end
      assert.equal("exit 0\n", output(([[
        local pid
        local function never() casting.channel():receive() end
        local function f()
          if pid then return end
          pid = P.fork()
          if pid > 0 then
            print(ended(pid))
            os.exit(0)
          end
        end
        local ok, e = pcall(function() %s end)
        P.exit(not ok and tostring(e):find(REFUSED, 1, true) and 0 or 1)
      ]]):format(call)))
    end)
  end

  it("as it starts a supervisor's child has failed to", function()
    assert.equal("exit 1\n", output [[
      local made = casting.channel(1)
      local function fork()
        local how
        local P = require "processes"
        local pid = P.fork()
        if pid == 0 then return tostring, 1 end
        how = {P.wait(pid, 20)}
        print(how[1] and how[1] .. " " .. how[2] or "did not end")
        os.exit(0)
      end
      made:send(setmetatable({}, {__save = function()
        return function(fork)
          return setmetatable({}, {__save = fork})
        end, fork
      end}))
      casting.supervisor {children = {{id = 1, start = function() end,
        args = {made:receive()}}}}
    ]])
  end)

  it("in the main state and fails there is reported", function()
    if tsan then return end
    local result = helper.run(prelude .. [[
      local task = casting.spawn(function()
        local pid = P.fork()
        if pid == 0 then error "in the child" end
        return ended(pid)
      end)
      local ok, e = pcall(task.await, task)
      if not ok then P.exit(e:match(REFUSED) and 0 or 1) end
      print(e)
    ]])
    assert.equal("exit 0\n", result.out)
    assert.matches("task %d+ of session 'main' failed: .*in the child",
      result.err)
  end)

  it("in a session goes on, and with it its process ends", function()
    assert.equal(("exit 0\n"):rep(3) .. "exit 7\nsignal 9\n", output [[
      local s = casting.session()
      local function forks(how, LONG)
        local P, casting = require "processes", require "casting"
        local pid = P.fork()
        if pid > 0 then
          local how, code = P.wait(pid, LONG)
          return how and how .. " " .. code or "did not end"
        end
        assert(not pcall(casting.yield))
        coroutine.yield()
        if how == "exit" then os.exit(7) end
        if how == "close" then os.exit(0, true) end
        if how == "kill" then P.kill(io.open "/proc/self/stat":read "*n", 9) end
        if how == "popen" then
          local pipe = io.popen "echo a line"
          assert(pipe:read "*l" == "a line")
          pipe:close()
        end
      end
      for _, how in ipairs {"end", "close", "popen", "exit", "kill"} do
        print(s:spawn(forks, how, LONG):await())
      end
      use()
    ]])
  end)

  it("in a session and fails says so and ends", function()
    local result = helper.run(prelude .. [[
      local s = casting.session {name = "theirs"}
      print(s:spawn(function(LONG)
        local P = require "processes"
        local pid = P.fork()
        if pid > 0 then return P.wait(pid, LONG) end
        coroutine.wrap(function() error "in the child" end)()
      end, LONG):await())
    ]])
    assert.equal("exit\t1\n", result.out)
    assert.matches("^casting: task %d+ of session 'theirs' failed: .*in the" ..
      " child", result.err)
    assert.equal(0, result.status)
  end)

  it("in a session, wherever it stands", function()
    assert.equal(("exit 0\n"):rep(4), output [[
      local s = casting.session()
      local function forks(place, LONG)
        local P = require "processes"
        local how, code
        local function body()
          local pid = P.fork()
          if pid == 0 then return end
          how, code = P.wait(pid, LONG)
        end
        if place == "coroutine" then
          coroutine.wrap(function()
            coroutine.wrap(function() body() coroutine.yield(1) end)()
            coroutine.yield(2)
          end)()
        elseif place == "sort" then
          local done
          table.sort({2, 1}, function()
            if not done then body() end
            done = true
          end)
        elseif place == "pcall" then
          pcall(function() body() error "caught" end)
        else
          require "casting".with_timeout(LONG, body)
        end
        return how and how .. " " .. code or "did not end"
      end
      for _, place in ipairs {"coroutine", "sort", "pcall", "guard"} do
        print(s:spawn(forks, place, LONG):await())
      end
    ]])
  end)

  it("in a session, beside tasks that wait and others that compute", function()
    if not helper.can_fork_busy() then return end
    assert.equal("exit 0\n", output [[
      local s, ch = casting.session(), casting.channel()
      for _ = 1, 3 do
        s:spawn(function(ch) pcall(ch.receive, ch) os.exit(9) end, ch)
        casting.session():spawn "while true do end"
      end
      print(s:spawn(function(LONG)
        local P = require "processes"
        local pid = P.fork()
        if pid == 0 then
          for _ = 1, 3 do coroutine.yield() end
          return
        end
        local how, code = P.wait(pid, LONG)
        return how and how .. " " .. code or "did not end"
      end, LONG):await())
      os.exit(0)
    ]])
  end)

  it("as it unwinds", function()
    if tsan then return end
    local text = output [[
      local ch = casting.channel()
      casting.spawn(function()
        pcall(ch.receive, ch)
        local pid = P.fork()
        if pid > 0 then io.stdout:write(ended(pid), "\n") end
      end)
      casting.yield()
      print(1)
    ]]
    -- A program has a second at its end. A fork takes AddressSanitizer, or an
    -- emulator, so long.
    if (helper.asan() or helper.emulated()) and text == "1\n" then return end
    assert.equal("1\nexit 0\n", text)
  end)

  it("in a __save, in the middle of a send", function()
    assert.equal("exit 0\n1\nexit 0\n", output [[
      local s, ch = casting.session(), casting.channel(5)
      local how
      local object = setmetatable({}, {__save = function()
        how = P.fork()
        return tostring, how
      end})
      for _, method in ipairs {"send", "try_send"} do
        local ok, e = pcall(ch[method], ch, object)
        if how == 0 then P.exit(e:find(REFUSED, 1, true) and 0 or 1) end
        print(ended(how))
        if method == "send" then print(#ch) end
      end
      s:close()
    ]])
  end)
end)

describe("SIGQUIT, when it is to ask for a report,", function()
  it("ends a child that cannot give one", function()
    if helper.emulated() then pending(helper.EMULATED) end
    local result = helper.run(([[
      local out = assert(io.popen("ulimit -c 0; CASTING_REPORT_ON_QUIT=1 " ..
        %q .. " 2>&1"))
      io.write(out:read "*a")
    ]]):format(helper.command() .. " -e '" .. (prelude .. [[
      use()
      local pid = P.fork()
      if pid == 0 then
        P.kill(io.open("/proc/self/stat"):read("*n"), 3)
        P.exit(0)
      end
      print(ended(pid))
    ]]):gsub("'", "'\\''") .. "'"))
    assert.equal("signal 3\n", result.out)
  end)
end)
