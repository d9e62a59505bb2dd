-- task_spec.lua - tasks: spawn, join, await, status, errors, cancel.
-- still: what a task refers to goes as soon as it is cancelled.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

describe("a task that has not begun", function()
  it("keeps its arguments, few or many, nil or not", function()
    for _, n in ipairs {0, 1, 2, 14, 15, 16, 17, 40, 200} do
      local args = {n = n}
      for i = 1, n, 2 do args[i] = {} end
      local tasks = {}
      for k = 1, 20 do
        tasks[k] = casting.spawn(function(...)
          return select("#", ...), ...
        end, (table.unpack or unpack)(args, 1, n))
      end
      for k = 1, 20 do
        local results = helper.pack(tasks[k]:join())
        assert.are.equal(n + 2, results.n)
        assert.are.equal(n, results[2])
        for i = 1, n do assert.is_true(results[i + 2] == args[i]) end
      end
    end
  end)

  it("lets go of them when it is cancelled", function()
    local weak = setmetatable({}, {__mode = "v"})
    local tasks = {}
    for i = 1, 600 do
      local big = {}
      weak[i] = big
      tasks[i] = casting.spawn(function() return big end, big)
    end
    for i = 1, 600, 2 do tasks[i]:cancel() end
    for i = 1, 600 do
      local ok = tasks[i]:join()
      assert.are.equal(i % 2 == 0, ok)
    end
    tasks = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("never runs when it is cancelled, in a session that is busy", function()
    local session, ready = casting.session(), casting.channel(1)
    local go, ran = casting.channel(), casting.channel(10)
    local busy = session:spawn(function()
      ready:send(true)
      repeat local _, why = go:try_receive() until why == "closed"
    end)
    assert.is_true(ready:receive(LONG))
    local task = session:spawn(function() ran:send(true) end)
    assert.is_true(task:cancel "no more")
    go:close()
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.equal("cancelled: no more", tostring(e))
    assert.equal("cancelled", task:status())
    assert.same(pack(true), pack(busy:join(LONG)))
    session:close()
    assert.equal(0, #ran)
  end)

  it("is one of very many", function()
    local n, sum = 30000, 0
    local tasks = {}
    for i = 1, n do
      tasks[i] = casting.spawn(function(k) sum = sum + k end, i)
    end
    for i = 1, n do tasks[i]:join() end
    assert.are.equal(n * (n + 1) / 2, sum)
  end)
end)

describe("casting.spawn", function()
  it("runs a function with its arguments", function()
    local task = casting.spawn(function(...) return select("#", ...), ... end,
      1, nil, "c", nil)
    assert.same(pack(true, 4, 1, nil, "c", nil), pack(task:join(LONG)))
  end)

  it("does not run it at once", function()
    local ran = false
    local task = casting.spawn(function() ran = true end)
    assert.is_false(ran)
    assert.equal("ready", task:status())
    assert.same(pack(true), pack(task:join(LONG)))
    assert.is_true(ran)
    assert.equal("done", task:status())
  end)

  it("shares upvalues and references, like a coroutine", function()
    local shared, count = {}, 0
    local given = {}
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = casting.spawn(function(t)
        count = count + 1
        shared[i] = true
        return t, shared
      end, given)
    end
    for i = 1, 10 do
      local ok, a, b = tasks[i]:join(LONG)
      assert.is_true(ok)
      assert.is_true(a == given)
      assert.is_true(b == shared)
    end
    assert.equal(10, count)
    assert.equal(10, #shared)
  end)

  it("takes any function, C functions too", function()
    assert.same(pack(true, 3), pack(casting.spawn(math.max, 1, 3, 2)
      :join(LONG)))
    assert.same(pack(true, "number"), pack(casting.spawn(type, 1):join(LONG)))
  end)

  it("runs tasks one at a time", function()
    -- Control leaves a task only at a blocking call.
    local inside, most = 0, 0
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = casting.spawn(function()
        for _ = 1, 10 do
          inside = inside + 1
          if inside > most then most = inside end
          for _ = 1, 100 do most = most + 0 end
          inside = inside - 1
          casting.yield()
        end
      end)
    end
    for i = 1, 20 do assert.is_true((tasks[i]:join(LONG))) end
    assert.equal(1, most)
  end)

  it("makes a hundred thousand tasks one after another", function()
    local n, sum = 100000, 0
    if os.getenv "CASTING_TIME_FACTOR" and helper.slow > 1 then n = 10000 end
    for i = 1, n / 100 do
      local tasks = {}
      for j = 1, 100 do
        tasks[j] = casting.spawn(function() sum = sum + 1 end)
      end
      for j = 1, 100 do
        if not tasks[j]:join(LONG) then error("lost a task at " .. i) end
      end
    end
    assert.equal(n, sum)
  end)

  it("keeps ten thousand tasks parked", function()
    local gate, n, tasks = casting.channel(), 10000, {}
    if helper.slow > 1 then n = 1000 end
    for i = 1, n do
      tasks[i] = casting.spawn(function()
        gate:receive()
        return i
      end)
    end
    helper.until_waiting(tasks[n])
    gate:close()
    for i = 1, n do
      local ok, v = tasks[i]:join(LONG)
      if not ok or v ~= i then error("task " .. i .. " went wrong") end
    end
  end)
end)

describe("join", function()
  it("is to a task what pcall is to a call", function()
    assert.same(pack(true), pack(casting.spawn(function() end):join(LONG)))
    assert.same(pack(true, nil), pack(casting.spawn(function()
      return nil
    end):join(LONG)))
    assert.same(pack(true, 1, nil, 3), pack(casting.spawn(function()
      return 1, nil, 3
    end):join(LONG)))
    local ok, message = casting.spawn(function() error "went wrong" end)
      :join(LONG)
    assert.is_false(ok)
    assert.matches("task_spec%.lua:%d+: went wrong", message)
  end)

  it("gives errors of any type as they are", function()
    local values = {{code = 7}, 42, true, false, function() end,
      "no position"}
    for _, value in ipairs(values) do
      local task = casting.spawn(function() error(value, 0) end)
      assert.same(pack(false, value), pack(task:join(LONG)))
      assert.equal("failed", task:status())
    end
    local object = setmetatable({}, {__tostring = function() return "obj" end})
    local ok, got = casting.spawn(function() error(object) end):join(LONG)
    assert.is_false(ok)
    assert.is_true(got == object)
    assert.is_false((casting.spawn(function() error(nil) end):join(LONG)))
    assert.is_false((casting.spawn(function() error() end):join(LONG)))
  end)

  it("can be called again, and by many", function()
    local gate = casting.channel()
    local task = casting.spawn(function()
      gate:receive()
      return "result", 2
    end)
    local joiners = {}
    for i = 1, 10 do
      joiners[i] = casting.spawn(function() return task:join() end)
    end
    helper.until_waiting(task)
    gate:close()
    for i = 1, 10 do
      assert.same(pack(true, true, "result", 2), pack(joiners[i]:join(LONG)))
    end
    assert.same(pack(true, "result", 2), pack(task:join(LONG)))
    assert.same(pack(true, "result", 2), pack(task:join(0)))
    assert.same(pack("result", 2), pack(task:await()))
    local failed = casting.spawn(function() error("again", 0) end)
    assert.same(pack(false, "again"), pack(failed:join(LONG)))
    assert.same(pack(false, "again"), pack(failed:join(LONG)))
  end)

  it("ends at its timeout, and the task goes on", function()
    local gate = casting.channel()
    local task = casting.spawn(function() return gate:receive() end)
    local began = casting.now()
    assert.same(pack(nil, "timeout"), pack(task:join(0.03)))
    assert.is_true(casting.now() - began >= 0.03)
    assert.same(pack(nil, "timeout"), pack(task:join(0)))
    gate:send "on"
    assert.same(pack(true, "on"), pack(task:join(LONG)))
  end)

  it("of oneself is an error", function()
    local task = casting.spawn(function()
      local self = casting.self()
      local ok, message = pcall(self.join, self)
      local ok2, message2 = pcall(self.await, self, 1)
      return ok, message, ok2, message2
    end)
    local ok, ok1, message1, ok2, message2 = task:join(LONG)
    assert.is_true(ok)
    assert.is_false(ok1)
    assert.matches("join", message1)
    assert.matches("itself", message1)
    assert.is_false(ok2)
    assert.matches("itself", message2)
  end)

  it("works in a ring of sessions", function()
    local sessions = {}
    local first = casting.spawn(function()
      casting.sleep(0.01)
      return 0
    end)
    local last = first
    for i = 1, 5 do
      sessions[i] = casting.session()
      last = sessions[i]:spawn(function(task)
        local ok, v = task:join()
        return ok and v + 1
      end, last)
    end
    assert.same(pack(true, 5), pack(last:join(LONG)))
    for i = 1, 5 do sessions[i]:close() end
  end)
end)

describe("await", function()
  it("gives the results alone", function()
    assert.same(pack(1, nil, 3), pack(casting.spawn(function()
      return 1, nil, 3
    end):await(LONG)))
    assert.same(pack(), pack(casting.spawn(function() end):await(LONG)))
  end)

  it("raises the task's error as it is", function()
    local object = {}
    local task = casting.spawn(function() error(object) end)
    local ok, got = pcall(task.await, task, LONG)
    assert.is_false(ok)
    assert.is_true(got == object)
    task = casting.spawn(function() error("plain", 0) end)
    ok, got = pcall(task.await, task)
    assert.same(pack(false, "plain"), pack(ok, got))
  end)

  it("ends at its timeout", function()
    local task = casting.spawn(function() casting.channel():receive() end)
    assert.same(pack(nil, "timeout"), pack(task:await(0.02)))
    assert.same(pack(nil, "timeout"), pack(task:await(0)))
  end)
end)

describe("a task of another session", function()
  local session
  before_each(function() session = casting.session() end)
  after_each(function() session:close() end)

  it("gives copies of its results", function()
    local task = session:spawn(function()
      local t = {1, {2}}
      return t, t, "s", nil, 2.5, nil
    end)
    local r = pack(task:join(LONG))
    assert.equal(7, r.n)
    assert.is_true(r[1])
    assert.same({1, {2}}, r[2])
    assert.is_true(r[2] == r[3])
    assert.equal("s", r[4])
    assert.equal(2.5, r[6])
    assert.same(r, pack(task:join(LONG)))
  end)

  it("gives a copy of its error", function()
    local task = session:spawn(function() error({code = {7}}) end)
    assert.same(pack(false, {code = {7}}), pack(task:join(LONG)))
    assert.same(pack(false, {code = {7}}), pack(task:join(LONG)))
    local ok, err = pcall(task.await, task, LONG)
    assert.is_false(ok)
    assert.same({code = {7}}, err)
    task = session:spawn(function() error(12, 0) end)
    assert.same(pack(false, 12), pack(task:join(LONG)))
    task = session:spawn(function() error "text" end)
    ok, err = task:join(LONG)
    assert.is_false(ok)
    assert.matches("text", err)
  end)

  it("says so when its result cannot cross", function()
    local task = session:spawn(function()
      return 1, {co = coroutine.create(function() end)}
    end)
    local ok, message = task:join(LONG)
    assert.is_false(ok)
    assert.matches("coroutine", message)
    assert.matches("co", message)
  end)

  it("still fails when its error cannot cross", function()
    local task = session:spawn(function()
      error(coroutine.create(function() end))
    end)
    local ok, message = task:join(LONG)
    assert.is_false(ok)
    assert.equal("string", type(message))
  end)

  it("can be waited for while it computes", function()
    local task = session:spawn(function()
      local x = 0
      for i = 1, 300000 do x = (x + i) % 1000 end
      return x
    end)
    assert.is_true((task:join(LONG)))
  end)

  it("can be joined by tasks of yet another one", function()
    local other = casting.session()
    local task = session:spawn(function() return "from here" end)
    local joiner = other:spawn(function(t) return t:join() end, task)
    assert.same(pack(true, true, "from here"), pack(joiner:join(LONG)))
    assert.same(pack(true, "from here"), pack(task:join(LONG)))
    other:close()
  end)
end)

describe("a task's status", function()
  it("follows its life", function()
    local gate = casting.channel()
    local task
    task = casting.spawn(function()
      local running = task:status()
      gate:receive()
      return running
    end)
    assert.equal("ready", task:status())
    helper.until_waiting(task)
    gate:send(1)
    assert.same(pack(true, "running"), pack(task:join(LONG)))
    assert.equal("done", task:status())
    local failed = casting.spawn(function() error "x" end)
    failed:join(LONG)
    assert.equal("failed", failed:status())
  end)

  it("is seen from elsewhere", function()
    local session = casting.session()
    local gate = casting.channel()
    local task = session:spawn(function(gate) gate:receive() end, gate)
    helper.until_waiting(task)
    gate:close()
    assert.is_true((task:join(LONG)))
    assert.equal("done", task:status())
    session:close()
  end)

  it("is waiting while it sleeps, joins or selects", function()
    local ch, other = casting.channel(), casting.channel()
    local sleeper = casting.spawn(function() casting.sleep(1000) end)
    local joiner = casting.spawn(function() ch:receive() end)
    local selecter = casting.spawn(function()
      casting.select{other, {other, 1}}
    end)
    local sender = casting.spawn(function()
      casting.channel():send(1)
    end)
    local second = casting.spawn(function() joiner:join() end)
    for _, task in ipairs {sleeper, joiner, selecter, sender, second} do
      helper.until_waiting(task)
    end
    ch:close()
    other:close()
    sleeper:cancel()
    sender:cancel()
  end)
end)

describe("a task's traceback", function()
  it("shows where it failed", function()
    local function deepest() error "down here" end
    local task = casting.spawn(function()
      deepest()
      return "no tail call"
    end)
    task:join(LONG)
    local trace = task:traceback()
    assert.equal("string", type(trace))
    assert.matches("traceback", trace)
    assert.matches("task_spec%.lua", trace)
    assert.matches("deepest", trace)
  end)

  it("shows where it failed in another session", function()
    local session = casting.session()
    local task = session:spawn(function()
      local function deepest() error "down here" end
      deepest()
      return "no tail call"
    end)
    assert.is_false((task:join(LONG)))
    assert.matches("task_spec%.lua", task:traceback())
    session:close()
  end)

  it("shows where it waits", function()
    local gate = casting.channel()
    local function waiting_here()
      gate:receive()
      return "no tail call"
    end
    local task = casting.spawn(function()
      waiting_here()
      return "no tail call"
    end)
    helper.until_waiting(task)
    assert.matches("waiting_here", task:traceback())
    gate:close()
    assert.is_true((task:join(LONG)))
  end)
end)

describe("casting.self", function()
  it("is nil in the main program", function()
    assert.is_nil((casting.self()))
  end)

  it("is the task", function()
    local task = casting.spawn(function() return casting.self() end)
    local ok, self = task:join(LONG)
    assert.is_true(ok)
    assert.is_true(self == task)
  end)

  it("is the task in its coroutines too", function()
    local task = casting.spawn(function()
      return coroutine.wrap(function()
        return coroutine.wrap(function() return casting.self() end)()
      end)()
    end)
    local ok, self = task:join(LONG)
    assert.is_true(ok)
    assert.is_true(self == task)
  end)

  it("is the same task after a wait", function()
    local a, b = casting.channel(), casting.channel()
    local task = casting.spawn(function()
      local before = casting.self()
      a:receive()
      pcall(function() b:receive() end)
      return before == casting.self()
    end)
    a:close()
    b:close()
    assert.same(pack(true, true), pack(task:join(LONG)))
  end)

  it("has a session and a name", function()
    local session = casting.session {name = "the session"}
    local out = casting.channel(1)
    local task = session:spawn(function(out)
      local self = require "casting".self()
      out:send(self, self:session(), self:session():name(), self:name())
    end, out)
    local self, home, home_name, name = out:receive(LONG)
    assert.is_true(self == task)
    assert.is_true(home == session)
    assert.is_true(task:session() == session)
    assert.equal("the session", home_name)
    assert.equal("string", type(name))
    assert.equal(name, task:name())
    session:close()
  end)
end)

describe("casting.yield", function()
  it("lets the others run", function()
    local log = {}
    local function body(name)
      return function()
        for i = 1, 3 do
          log[#log + 1] = name .. i
          casting.yield()
        end
      end
    end
    local a, b = casting.spawn(body "a"), casting.spawn(body "b")
    a:join(LONG)
    b:join(LONG)
    assert.equal(6, #log)
    -- Neither ran through without the other.
    local text = table.concat(log, " ")
    assert.is_false(text == "a1 a2 a3 b1 b2 b3")
    assert.is_false(text == "b1 b2 b3 a1 a2 a3")
  end)

  it("is what coroutine.yield does in a task", function()
    for _, place in ipairs(helper.places) do
      local r = place[2](function()
        local casting = require "casting"
        local log = {}
        local function body(name)
          return function()
            for i = 1, 3 do
              log[#log + 1] = name .. i
              coroutine.yield("ignored", i)
            end
            return "end of " .. name
          end
        end
        local a, b = casting.spawn(body "a"), casting.spawn(body "b")
        log.a, log.b = a:await(), b:await()
        return log
      end)
      assert.equal(6, #r)
      assert.equal("end of a", r.a)
      assert.equal("end of b", r.b)
    end
  end)

  it("runs the tasks when the main program calls it", function()
    local count = 0
    local task = casting.spawn(function() count = count + 1 end)
    helper.until_true(function()
      casting.yield()
      return count == 1
    end)
    assert.is_true((task:join(LONG)))
  end)
end)

describe("casting.sleep", function()
  it("waits at least that long", function()
    for _, place in ipairs(helper.places) do
      assert.is_true(place[2](function()
        local casting = require "casting"
        local began = casting.now()
        casting.sleep(0.03)
        return casting.now() - began
      end) >= 0.03)
    end
    casting.sleep(0)
  end)

  it("lets tasks sleep at the same time", function()
    local tasks = {}
    local began = casting.now()
    for i = 1, 100 do
      tasks[i] = casting.spawn(function()
        casting.sleep(0.1)
        return i
      end)
    end
    for i = 1, 100 do
      assert.same(pack(true, i), pack(tasks[i]:join(LONG)))
    end
    local took = casting.now() - began
    assert.is_true(took >= 0.1)
    assert.is_true(took < 8 * helper.slow)
  end)

  it("wakes the shorter first", function()
    local out = casting.channel(math.huge)
    for _, ms in ipairs {50, 10, 90, 30, 70} do
      casting.spawn(function()
        casting.sleep(ms / 1000)
        out:send(ms)
      end)
    end
    for _, ms in ipairs {10, 30, 50, 70, 90} do
      assert.equal(ms, out:receive(LONG))
    end
  end)
end)

describe("cancel", function()
  it("ends a task that waits", function()
    local ch = casting.channel()
    for _, wait in ipairs {
      function() ch:receive() end,
      function() ch:send(1) end,
      function() casting.sleep(1000) end,
      function() casting.select{ch} end,
      function() casting.spawn(function() ch:receive() end):join() end,
    } do
      local task = casting.spawn(wait)
      helper.until_waiting(task)
      task:cancel "enough"
      local ok = task:join(LONG)
      assert.is_false(ok)
      assert.equal("cancelled", task:status())
      local _, problem = task:join()
      assert.is_true(casting.is_cancelled(problem))
      assert.is_false(casting.is_cancelled "cancelled")
    end
    ch:close()
  end)

  it("ends a task of another session", function()
    local session = casting.session()
    local task = session:spawn(function()
      require "casting".sleep(1000)
    end)
    helper.until_waiting(task)
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.equal("cancelled", task:status())
    session:close()
  end)

  it("does nothing to a finished task", function()
    local task = casting.spawn(function() return "done" end)
    assert.same(pack(true, "done"), pack(task:join(LONG)))
    task:cancel()
    assert.equal("done", task:status())
    assert.same(pack(true, "done"), pack(task:join(LONG)))
  end)
end)

describe("a failure that nobody joins", function()
  local function count(text, pattern)
    local n = 0
    for _ in text:gmatch(pattern) do n = n + 1 end
    return n
  end

  it("is reported once at the end of the program", function()
    local result = helper.run [[
      local casting = require "casting"
      local session = casting.session {name = "the_session"}
      local task = session:spawn(function() error "nobody joins this" end)
      session:wait()
    ]]
    assert.equal(0, result.status)
    assert.equal("", result.out)
    assert.equal(1, count(result.err, ": nobody joins this"))
    assert.matches("the_session", result.err)
    assert.matches("traceback", result.err)
  end)

  it("is reported once when its last handle goes", function()
    local result = helper.run [[
      local casting = require "casting"
      casting.spawn(function() error "dropped" end)
      casting.sleep(0.01)
      for i = 1, 4 do collectgarbage() end
      casting.sleep(0.8) -- another thread writes it; its second is not over yet
      io.stderr:write "[after]"
    ]]
    assert.equal(0, result.status)
    assert.equal(1, count(result.err, ": dropped"))
    assert.matches(": dropped.*%[after%]", result.err)
  end)

  it("is reported after a second", function()
    local result = helper.run [[
      local casting = require "casting"
      local task = casting.spawn(function() error "late" end)
      casting.sleep(1.6)
      io.stderr:write "[after]"
      task:join()
    ]]
    assert.equal(0, result.status)
    assert.equal(1, count(result.err, ": late"))
    assert.matches(": late.*%[after%]", result.err)
  end)

  it("is reported once by a program that ends at that moment", function()
    local running = {}
    for i = 1, 4 do
      running[i] = helper.start(([[
        local casting = require "casting"
        local task = casting.spawn(error, "nobody joins", 0)
        casting.sleep(%g)
      ]]):format(0.994 + i / 500))
    end
    for i = 1, 4 do
      local _, n = running[i]().err:gsub("nobody joins", "")
      assert.equal(1, n)
    end
  end)

  it("is not reported when it was joined", function()
    local result = helper.run [[
      local casting = require "casting"
      local session = casting.session()
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = session:spawn(function() error "joined" end)
        tasks[10 + i] = casting.spawn(function() error {} end)
      end
      for i = 1, 20 do assert(not tasks[i]:join()) end
      tasks = nil
      collectgarbage()
      session:close()
    ]]
    assert.equal(0, result.status)
    assert.equal("", result.err)
  end)

  it("goes to the channel of on_error", function()
    local result = helper.run [[
      local casting = require "casting"
      local failures = casting.channel(math.huge)
      casting.on_error(failures)
      local session = casting.session {name = "the_session"}
      local task = session:spawn(function() error "told to the channel" end)
      local failure = failures:receive(15)
      print(failure.error:match "told.*", failure.session == session,
        failure.task == task and task:status(),
        failure.traceback:match "traceback")
      casting.on_error(nil)
    ]]
    assert.equal("told to the channel\ttrue\tfailed\ttraceback\n",
      result.out)
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)

  -- Numbered references, a metatable, a long string, a handle of the task
  -- itself, and one whose last handle is gone when it is reported.
  it("goes there as the value that it is", function()
    local result = helper.run [[
      local casting = require "casting"
      local failures = casting.channel(math.huge)
      casting.on_error(failures)
      local session = casting.session()
      local function fail(how)
        local casting = require "casting"
        local t = {how, code = 7, self = casting.self()}
        t.t, t.list = t, {{t}, ("x"):rep(5000), function() return t end}
        error(setmetatable(t, {__tostring = function() return "told" end}))
      end
      local kept = {session:spawn(fail, "there"), casting.spawn(fail, "here")}
      for i = 1, 2 do
        local f = failures:receive(15)
        local e = f.error
        print(e.code, e.self == f.task, e.t == e, e.list[1][1] == e,
          #e.list[2], e.list[3]() == e, tostring(e), f.traceback:match "told",
          f.task == kept[e[1] == "there" and 1 or 2],
          (f.session == session) == (e[1] == "there"))
      end
      for _, value in ipairs {5, false, {"table"}} do
        session:spawn(function(value) error(value, 0) end, value)
        local f = failures:receive(15)
        print(type(f.error), type(f.error) == "table" and f.error[1] or f.error)
      end
      casting.spawn(function() error {"gone", failures, session} end)
      casting.sleep(0.001)
      local f
      repeat
        collectgarbage()
        f = failures:receive(0.01)
      until f
      print(f.error[1], f.error[2] == failures, f.error[3] == session,
        f.session == casting.session, f.task)
    ]]
    local line = "7" .. ("\ttrue"):rep(3) .. "\t5000\ttrue\ttold\ttold\ttrue" ..
      "\ttrue\n"
    assert.equal("", result.err)
    assert.equal(line:rep(2) .. "number\t5\nboolean\tfalse\ntable\ttable\n" ..
      "gone\ttrue\ttrue\tfalse\tnil\n", result.out)
    assert.equal(0, result.status)
  end)

  it("disturbs nobody", function()
    local result = helper.run [[
      local casting = require "casting"
      local session = casting.session()
      local ch = casting.channel()
      for i = 1, 10 do
        session:spawn(function() error "one of ten" end)
        session:spawn(function() ch:send(i) end)
      end
      local sum = 0
      for i = 1, 10 do sum = sum + ch:receive() end
      print(sum)
    ]]
    assert.equal(0, result.status)
    assert.equal("55\n", result.out)
    assert.equal(10, count(result.err, ": one of ten"))
  end)
end)

describe("an error that is no string", function()
  it("is reported with its type or its __tostring", function()
    local result = helper.run [[
      local casting = require "casting"
      casting.spawn(function() error({}) end)
      casting.spawn(function()
        error(setmetatable({}, {__tostring = function() return "Text!" end}))
      end)
      casting.sleep(0.01)
    ]]
    assert.equal(0, result.status)
    assert.matches("table", result.err)
    assert.matches("Text!", result.err)
  end)
end)
