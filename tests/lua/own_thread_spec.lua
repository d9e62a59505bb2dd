-- own_thread_spec.lua - sessions with a thread of their own.
-- SPDX-License-Identifier: MIT
--
-- tests/modules/bound.c checks the thread in each call, and in its finalizer.

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

local there = pcall(require, "processes")
local bound = there and package.loaded.bound
if there then bound = require "bound" end

local function own(options)
  options = options or {}
  options.thread = "own"
  return casting.session(options)
end

-- The session must have closed, with all finalizers in its own thread.
local function close(session)
  assert.is_true(session:close(LONG))
end

describe("the option thread", function()
  it("is refused if it is not \"own\"", function()
    helper.misuse(function() casting.session {thread = "pool"} end,
      "thread must be \"own\"", "pool")
    helper.misuse(function() casting.session {thread = true} end,
      "thread must be \"own\"")
    helper.misuse(function() casting.session {thread = 1} end, "thread")
  end)

  it("makes a session like others", function()
    local session = own {name = "mine", init = function() scale = 10 end} -- luacheck: ignore
    assert.equal("mine", session:name())
    assert.equal(50, session:spawn(function(x) return x * scale end, 5) -- luacheck: ignore
      :await(LONG))
    assert.equal("own", session:stats().thread)
    assert.is_true(session:wait(LONG))
    close(session)
    local plain = casting.session()
    assert.is_nil(plain:stats().thread)
    plain:close()
  end)

  it("leaves the pool's limits alone", function()
    local before = pack(casting.threads())
    local sessions = {}
    for i = 1, 5 do sessions[i] = own() end
    assert.same(before, pack(casting.threads()))
    for i = 1, 5 do close(sessions[i]) end
  end)

  it("runs init, which may fail", function()
    local ok, why = pcall(own, {name = "bad", init = function() error "no" end})
    assert.is_false(ok)
    assert.matches("init of session 'bad' failed", why)
  end)

  it("passes package.path, and loaders in preload, on", function()
    package.preload["own.thing"] = function() return {answer = 42} end
    local session = own()
    package.preload["own.thing"] = nil
    assert.equal(package.path,
      session:spawn(function() return package.path end):await(LONG))
    assert.equal(42,
      session:spawn(function() return require "own.thing".answer end)
        :await(LONG))
    close(session)
  end)

  it("is heeded by supervisors", function()
    local replies = casting.channel(1)
    local sup = casting.supervisor {children = {
      {id = "one", start = function(replies) -- luacheck: ignore
        local c = require "casting"
        replies:send(c.self():session():stats().thread)
        c.sleep(1000)
      end, args = {replies}, session = {thread = "own"}},
    }}
    assert.equal("own", replies:receive(LONG))
    sup:stop()
  end)

  it("ends with its last handle", function()
    local ch = casting.channel()
    do
      local session = own()
      session:spawn(function(ch) ch:receive() end, ch) -- luacheck: ignore
    end
    collectgarbage() collectgarbage()
    ch:send "go on"
    ch:close()
  end)
end)

describe("a session with a thread of its own", function()
  it("gives way to nobody, and gets messages in order", function()
    local session = own()
    local inbox, outbox = casting.channel(), casting.channel()
    session:spawn(function(inbox, outbox) -- luacheck: ignore
      for v in inbox do outbox:send(v) end
      outbox:close()
    end, inbox, outbox)
    casting.spawn(function()
      for i = 1, 2000 do inbox:send(i) end
      inbox:close()
    end)
    local expected = 1
    for v in outbox do
      assert.equal(expected, v)
      expected = expected + 1
    end
    assert.equal(2001, expected)
    close(session)
  end)

  it("computes while all threads of the pool do", function()
    local before = pack(casting.threads(1, 1))
    local plain, stop = casting.session(), casting.channel(1)
    plain:spawn(function(stop) -- luacheck: ignore
      local c = require "casting"
      while c.select {stop, timeout = 0} == nil do end
    end, stop)
    local session = own()
    assert.equal(5050, session:spawn(function()
      local sum = 0
      for i = 1, 100 do sum = sum + i require "casting".yield() end
      return sum
    end):await(LONG))
    stop:close()
    close(session)
    plain:close()
    casting.threads(before[1], before[2])
  end)

  it("waits with deadlines", function()
    local session = own()
    assert.same(pack(nil, "timeout"), pack(session:spawn(function()
      local c = require "casting"
      return c.with_timeout(0.01, function() c.channel():receive() end)
    end):await(LONG)))
    assert.same(pack(nil, "timeout"), pack(session:spawn(function()
      return require "casting".channel():receive(0.001)
    end):await(LONG)))
    close(session)
  end)

  it("is cancelled, waiting or computing", function()
    local session = own()
    local t = session:spawn(function() require "casting".sleep(1000) end)
    helper.until_waiting(t)
    t:cancel "enough"
    local ok, err = t:join(LONG)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(err))
    if not helper.jit then
      t = session:spawn(helper.compute)
      helper.until_true(function() return t:status() == "running" end)
      t:cancel()
      ok, err = t:join(LONG)
      assert.is_false(ok)
      assert.is_true(casting.is_cancelled(err))
    end
    close(session)
  end)

  it("keeps to its limits", function()
    local session = own {memory = 4e6, tasks = 2}
    local ok, err = session:spawn(function()
      local t = {}
      for i = 1, 1e7 do t[i] = {i} end
      return #t
    end):join(LONG)
    assert.is_false(ok)
    assert.matches("not enough memory", tostring(err))
    close(session)
    if helper.jit then return end
    session = own {cpu = 0.02}
    ok, err = session:spawn(helper.compute):join(LONG)
    assert.is_false(ok)
    assert.matches("has used up", tostring(err))
    close(session)
  end)

  it("blocks in place", function()
    local session, ch = own(), casting.channel()
    local t = session:spawn(function(ch) -- luacheck: ignore
      local sum = 0
      table.sort({3, 2, 1}, function(a, b)
        sum = sum + ch:receive()
        return a < b
      end)
      return sum > 0
    end, ch)
    local u = session:spawn(function(ch) -- luacheck: ignore
      while ch:send(1, 1000) do end
      return "closed"
    end, ch)
    assert.is_true(t:await(LONG))
    ch:close()
    assert.equal("closed", u:await(LONG))
    close(session)
  end)

  it("is named in reports", function()
    local session = own {name = "pinned"}
    local t = session:spawn(function() require "casting".sleep(1000) end)
    helper.until_true(function()
      return casting.report():find(
        "of session 'pinned' %(thread of its own%): sleeping")
    end, "the report of " .. t:name())
    session:close()
  end)

  it("waits for descriptors", function()
    local net = require "casting.net"
    local server = assert(net.listen("127.0.0.1", 0))
    local session = own()
    local t = session:spawn(function(port)
      local net = require "casting.net" -- luacheck: ignore
      local stream = assert(net.connect("127.0.0.1", port))
      stream:write "hello\n"
      local line = stream:read "l"
      stream:close()
      return line
    end, select(2, server:name()))
    local stream = server:accept(LONG)
    assert.equal("hello", stream:read("l", LONG))
    stream:write "and back\n"
    assert.equal("and back", t:await(LONG))
    stream:close()
    server:close()
    close(session)
  end)

  it("closes with what its finalizers do", function()
    local out = casting.channel(10)
    local session = own()
    session:spawn(function(out) -- luacheck: ignore
      local f = function() out:send("closed", 0) end
      keep = rawget(_G, "newproxy") and newproxy(true) or {} -- luacheck: ignore
      if rawget(_G, "newproxy") then
        getmetatable(keep).__gc = f -- luacheck: ignore
      else
        setmetatable(keep, {__gc = f}) -- luacheck: ignore
      end
    end, out):await(LONG)
    close(session)
  end)

  it("may be made in sessions, by many at a time", function()
    local tasks, sessions = {}, {}
    for i = 1, 4 do
      sessions[i] = casting.session()
      tasks[i] = sessions[i]:spawn(function(n)
        local c = require "casting"
        local sum = 0
        for k = 1, 5 do
          local s = c.session {thread = "own"}
          sum = sum + s:spawn(function(x) return x end, n * k):await()
          s:close()
        end
        return sum
      end, i)
    end
    for i = 1, 4 do
      assert.equal(15 * i, tasks[i]:await(LONG))
      sessions[i]:close()
    end
  end)
end)

describe("the thread of a session", function()
  it("may be refused by the system", function()
    if helper.emulated() then pending(helper.EMULATED) end
    local has = os.execute "strace -o /dev/null true >/dev/null 2>&1"
    if helper.tsan() or (has ~= true and has ~= 0) then
      return pending "strace cannot be used here"
    end
    local script = helper.spit(os.tmpname(), [[
      local casting = require "casting"
      local plain = casting.session()
      plain:spawn("return 1"):join()
      for i = 1, 2 do -- the third thread of the process cannot be started
        local ok, s = pcall(casting.session, {name = "x", thread = "own"})
        print(ok, ok and s:spawn("return 42"):await() or s)
      end
    ]])
    -- A traced program cannot look for leaks.
    helper.environment = 'ASAN_OPTIONS="$ASAN_OPTIONS detect_leaks=0"'
    local pipe = io.popen(("strace -f -qq -o /dev/null -e trace=clone,clone3" ..
      " -e inject=clone,clone3:error=EAGAIN:when=3 %s %s 2>&1")
      :format(helper.command(), script))
    helper.environment = nil
    local out = pipe:read "*a"
    pipe:close()
    os.remove(script)
    assert.equal("false\tsession: no thread can be started for it\n" ..
      "true\t42\n", out)
  end)

  it("may fork: the child ends with its task", function()
    if not there or not helper.can_fork_busy() then
      return pending "a process cannot fork here while it is busy"
    end
    local session = own()
    assert.same(pack("exit", 0), pack(session:spawn(function()
      local processes = require "processes"
      local child = processes.fork()
      if child == 0 then
        local ok = pcall(require("casting").sleep, 1)
        processes.exit(ok and 1 or 0)
      end
      return processes.wait(child, 60)
    end):await(LONG)))
    -- That of the main program has no such thread, and ends at once.
    local processes = require "processes"
    local child = processes.fork()
    if child == 0 then
      processes.exit(pcall(session.spawn, session, "return 1") and 1 or 0)
    end
    assert.same(pack("exit", 0), pack(processes.wait(child, 60)))
    close(session)
  end)
end)

describe("the program's end", function()
  local function ends(source)
    local result = helper.run(source)
    assert.equal(0, result.status, result.err)
    return result
  end

  it("closes them", function()
    local result = ends [[
      local casting = require "casting"
      for i = 1, 3 do
        local s = casting.session {thread = "own"}
        s:spawn(function() require "casting".sleep(1000) end)
      end
      io.write "done"
    ]]
    assert.equal("done", result.out)
    assert.equal("", result.err)
  end)

  it("comes by os.exit in one of them", function()
    if helper.tsan() then return end
    local result = helper.run [[
      local casting = require "casting"
      local s = casting.session {thread = "own"}
      s:spawn(function() os.exit(7) end):join()
    ]]
    assert.equal(7, result.status)
  end)

  it("is a deadlock when all wait, also in those", function()
    local result = helper.run [[
      local casting = require "casting"
      local s = casting.session {name = "mine", thread = "own"}
      local ch = casting.channel()
      local t = s:spawn(function(ch) ch:receive() end, ch)
      local ok, why = pcall(t.join, t)
      io.write(tostring(ok), "\n", tostring(why))
    ]]
    assert.equal(0, result.status, result.err)
    assert.matches("^false", result.out)
    assert.matches("deadlock", result.out)
    assert.matches("session 'mine' %(thread of its own%): waiting to receive",
      result.out)
  end)

  it("is no deadlock while one of them computes, or sleeps in C", function()
    if not there then return pending "needs tests/modules" end
    local result = ends [[
      local casting = require "casting"
      local s = casting.session {thread = "own"}
      local ch = casting.channel()
      s:spawn(function(ch)
        require "bound".asleep(0.3)
        ch:send "here"
      end, ch)
      io.write(ch:receive())
    ]]
    assert.equal("here", result.out)
  end)
end)

describe("a module that is bound to its thread", function()
  if not bound then
    pending "needs tests/modules/bound.c, which is not built here"
    return
  end

  it("finds the same one in each call, and at the end", function()
    local session = own()
    local first = session:spawn(function() return require "bound".thread() end)
      :await(LONG)
    for _ = 1, 50 do
      assert.equal(first, session:spawn(function()
        local c, bound = require "casting", require "bound" -- luacheck: ignore
        c.yield()
        return bound.thread()
      end):await(LONG))
    end
    assert.equal(first, session:spawn(function()
      return require "bound".call(function()
        require "casting".sleep(0.001) -- in place
        return require "bound".thread()
      end)
    end):await(LONG))
    assert.are_not.equal(first, bound.thread())
    close(session)
    assert.equal(0, select(2, bound.counts()))
  end)

  it("is loaded by init, and by modules", function()
    local session = own {init = function() b = require "bound" end} -- luacheck: ignore
    local thread = session:spawn(function() return b.thread() end):await(LONG) -- luacheck: ignore
    assert.is_number(thread)
    close(session)
    assert.equal(1, (bound.counts()))
    assert.equal(0, select(2, bound.counts()))
  end)

  -- Ten pinned sessions and a hundred plain ones, each of which sends to the
  -- pinned ones in turn and checks the answers.
  it("serves a hundred sessions, exactly", function()
    local PINNED, PLAIN, ROUNDS = 10, 100, 20
    local pinned, inboxes, servers = {}, {}, {}
    for i = 1, PINNED do
      pinned[i] = own()
      inboxes[i] = casting.channel()
      servers[i] = pinned[i]:spawn(function(inbox, me)
        local bound = require "bound" -- luacheck: ignore
        local thread, sum = bound.thread(), 0
        for n, reply in inbox do
          if bound.thread() ~= thread then error "another thread" end
          sum = sum + n
          bound.call(function() reply:send(n * 2, me) end)
        end
        return sum
      end, inboxes[i], i)
    end
    local plain, tasks = {}, {}
    for i = 1, PLAIN do
      plain[i] = casting.session()
      tasks[i] = plain[i]:spawn(function(inboxes, me, rounds) -- luacheck: ignore
        local c = require "casting"
        local reply, sum = c.channel(), 0
        for k = 1, rounds do
          local to = (me + k) % #inboxes + 1
          inboxes[to]:send(me * 1000 + k, reply)
          local v, by = reply:receive()
          if v ~= 2 * (me * 1000 + k) or by ~= to then error "wrong answer" end
          sum = sum + v
        end
        return sum
      end, inboxes, i, ROUNDS)
    end
    local sum, expected = 0, 0
    for i = 1, PLAIN do
      sum = sum + tasks[i]:await(LONG)
      for k = 1, ROUNDS do expected = expected + 2 * (i * 1000 + k) end
    end
    assert.equal(expected, sum)
    for i = 1, PINNED do inboxes[i]:close() end
    local served = 0
    for i = 1, PINNED do
      served = served + servers[i]:await(LONG)
      close(pinned[i])
    end
    for i = 1, PLAIN do plain[i]:close() end
    assert.same({1, 0}, {bound.counts()})
    assert.equal(expected, 2 * served)
  end)
end)
