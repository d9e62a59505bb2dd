-- monitor_spec.lua - monitors and links: how the end of a task is told.
-- still: messages come in the order in which tasks end.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

-- A task that ends as told, in the main state or in a session.
local homes = {
  {"a task of the same session", function(f, ...)
    return casting.spawn(f, ...)
  end},
  {"a task of another session", function(f, ...)
    return casting.session():spawn(f, ...)
  end},
}

local function told(channel)
  return pack(channel:receive(LONG))
end

describe("task:monitor", function()
  for _, home in ipairs(homes) do
    local title, spawn = home[1], home[2]

    it("delivers the results of " .. title, function()
      local task = spawn(function(...) return ... end, 1, nil, "three")
      assert.same(pack(true, 1, nil, "three"), told(task:monitor()))
    end)

    it("delivers no results of " .. title, function()
      assert.same(pack(true), told(spawn(function() end):monitor()))
    end)

    it("delivers tables of " .. title, function()
      local task = spawn(function() return {a = {1, 2}}, "b" end)
      assert.same(pack(true, {a = {1, 2}}, "b"), told(task:monitor()))
    end)

    it("delivers the error of " .. title, function()
      local task = spawn(function() error({code = 7}) end)
      assert.same(pack(false, {code = 7}), told(task:monitor()))
      assert.equal("failed", task:status())
    end)

    it("delivers the cancellation of " .. title, function()
      local task = spawn(function() require("casting").sleep(100) end)
      local monitor = task:monitor()
      task:cancel "enough"
      local ok, e = monitor:receive(LONG)
      assert.is_false(ok)
      assert.is_true(casting.is_cancelled(e))
      assert.equal("enough", e.reason)
    end)

    it("delivers the end of " .. title .. " when it was before", function()
      local task = spawn(function() return "gone" end)
      task:join(LONG)
      local monitor = task:monitor()
      assert.equal(1, #monitor)
      assert.same(pack(true, "gone"), told(monitor))
      assert.same(pack(nil, "closed"), told(monitor))
    end)

    it("can be had many times of " .. title, function()
      local go = casting.channel()
      local task = spawn(function(go) return (go:receive()) end, go)
      local monitors = {}
      for i = 1, 20 do monitors[i] = task:monitor() end
      monitors[7] = nil
      go:send {"x"}
      task:join(LONG)
      monitors[21] = task:monitor()
      for i = 1, 21 do
        if i ~= 7 then assert.same(pack(true, {"x"}), told(monitors[i])) end
      end
    end)
  end

  it("gives the very values in the task's own session", function()
    local value, co = {}, coroutine.create(function() end)
    local task = casting.spawn(function() return value, co end)
    local before = task:monitor()
    task:join(LONG)
    local ok, a, b = before:receive()
    assert.is_true(ok and rawequal(a, value) and rawequal(b, co))
    ok, a, b = task:monitor():receive()
    assert.is_true(ok and rawequal(a, value) and rawequal(b, co))
  end)

  it("gives copies elsewhere, or says why it cannot", function()
    local value = {}
    local good = casting.spawn(function() return value end)
    local bad = casting.spawn(function()
      return coroutine.create(function() end)
    end)
    local monitors = {good:monitor(), bad:monitor()}
    local session = casting.session()
    local ok, copy, no, why = session:spawn(function(a, b)
      local ok, v = a:receive()
      local no, why = b:receive()
      return ok, v, no, why
    end, monitors[1], monitors[2]):await(LONG)
    assert.is_true(ok)
    assert.same({}, copy)
    assert.is_false(rawequal(copy, value))
    assert.is_false(no)
    assert.matches("cannot send a coroutine", why)
  end)

  it("works without a handle of the task", function()
    local monitor = casting.spawn(function() return {1}, {2} end):monitor()
    collectgarbage()
    collectgarbage()
    assert.same(pack(true, {1}, {2}), told(monitor))
    local session = casting.session()
    monitor = session:spawn(function() return {3} end):monitor()
    collectgarbage()
    collectgarbage()
    assert.same(pack(true, {3}), told(monitor))
  end)

  it("can stand in a select", function()
    local task = casting.spawn(function() casting.sleep(0.01) return "r" end)
    local other = casting.channel()
    assert.same(pack(2, true, "r"),
      pack(casting.select {other, task:monitor(), timeout = LONG}))
  end)

  it("is a channel for loops", function()
    local n = 0
    for ok, v in casting.spawn(function() return 5 end):monitor() do
      n = n + 1
      assert.is_true(ok)
      assert.equal(5, v)
    end
    assert.equal(1, n)
  end)

  it("ends with its channel", function()
    local go = casting.channel()
    local session = casting.session()
    local task = session:spawn(function(go) go:receive() end, go)
    for _ = 1, 1000 do task:monitor() end
    collectgarbage()
    collectgarbage()
    local closed = task:monitor()
    closed:close()
    go:send(1)
    assert.is_true((task:join(LONG)))
    assert.same(pack(nil, "closed"), told(closed))
  end)

  it("races its channel's end against the task's", function()
    local session = casting.session()
    for _ = 1, 300 do
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = session:spawn(function() end)
        for _ = 1, 3 do tasks[i]:monitor() end
      end
      collectgarbage()
      for i = 1, 10 do tasks[i]:join(LONG) end
    end
  end)

  describe("into a channel of one's own", function()
    it("names the task", function()
      local ends = casting.channel(math.huge)
      local session = casting.session()
      local expected = {}
      for i = 1, 20 do
        local spawn = homes[i % 2 + 1][2]
        local task = spawn(function(n)
          if n % 5 == 0 then error("e" .. n, 0) end
          return n, {n}
        end, i)
        expected[task] = i
        assert.equal(ends, task:monitor(ends))
      end
      for _ = 1, 20 do
        local task, ok, v, t = ends:receive(LONG)
        local i = expected[task]
        expected[task] = nil
        if i % 5 == 0 then
          assert.same(pack(false, "e" .. i, nil), pack(ok, v, t))
        else
          assert.same(pack(true, i, {i}), pack(ok, v, t))
        end
      end
      assert.is_nil(next(expected))
      assert.is_false(ends:closed())
      session:close()
    end)

    it("takes one that others send into", function()
      local ends = casting.channel(math.huge)
      local tasks = {}
      for i = 1, 50 do
        tasks[i] = casting.spawn(function() casting.yield() end)
        tasks[i]:monitor(ends)
        ends:send("mine", i)
      end
      for i = 1, 50 do assert.same(pack("mine", i), told(ends)) end
      for i = 1, 50 do
        assert.same(pack(tasks[i], true), told(ends))
      end
    end)

    it("does not mind that it is closed, or dropped", function()
      local ends = casting.channel(math.huge)
      local task = casting.spawn(function() end)
      task:monitor(ends)
      task:monitor(casting.channel(math.huge))
      collectgarbage()
      ends:close()
      assert.is_true((task:join(LONG)))
      task:monitor(ends)
      assert.same(pack(nil, "closed"), told(ends))
    end)

    it("refuses one that may be full", function()
      local task = casting.spawn(function() end)
      helper.misuse(function() task:monitor(casting.channel(5)) end,
        "monitor", "unbounded")
      helper.misuse(function() task:monitor(5) end, "monitor", "channel")
      helper.misuse(function() task.monitor(5) end, "monitor", "task")
    end)
  end)

  it("tells a failure, so that it is not reported", function()
    local out = helper.run [[
      local casting = require "casting"
      local heard = casting.spawn(function() error "heard" end)
      print(heard:monitor():receive())
      local missed = casting.spawn(function() error "missed" end)
      local monitor = missed:monitor()
      casting.yield()
    ]]
    assert.equal(0, out.status)
    assert.matches("false\t.*heard", out.out)
    assert.matches("missed", out.err)
    assert.is_nil(out.err:find("heard", 1, true))
  end)

  it("makes asking a task that dies safe", function()
    -- The pattern of the manual: the answer, or the end of who should give it.
    local requests = casting.channel()
    local server = casting.session():spawn(function(requests)
      for n, reply in requests do
        if n == 3 then error("I do not like 3", 0) end
        reply:send(n * 2)
      end
    end, requests)
    local function ask(n)
      local reply, ended = casting.channel(1), server:monitor()
      if casting.select {{requests, n, reply}, ended} == 2 then
        return nil, "gone"
      end
      local i, v, e = casting.select {reply, ended}
      if i == 1 then return v end
      return nil, e
    end
    assert.equal(2, ask(1))
    assert.equal(4, ask(2))
    assert.same(pack(nil, "I do not like 3"), pack(ask(3)))
    assert.same(pack(nil, "gone"), pack(ask(4)))
  end)

  it("tells the end of a session's tasks at its close", function()
    local session = casting.session()
    local ends = casting.channel(math.huge)
    for _ = 1, 10 do
      session:spawn(function() require("casting").sleep(100) end):monitor(ends)
    end
    session:close()
    for _ = 1, 10 do
      local task, ok, e = ends:receive(LONG)
      assert.equal("cancelled", task:status())
      assert.is_false(ok)
      assert.is_true(casting.is_cancelled(e))
    end
  end)
end)

describe("task:link", function()
  local function sleeper()
    return casting.spawn(function() casting.sleep(100) end)
  end
  local function reason_of(task)
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(e))
    return e.reason
  end

  for _, home in ipairs(homes) do
    local title, spawn = home[1], home[2]

    it("cancels who is linked to " .. title .. " that fails", function()
      local one = sleeper()
      local other = spawn(function(s)
        require("casting").sleep(s)
        error("broken", 0)
      end, 0.01)
      assert.same(pack(true), pack(one:link(other)))
      assert.equal("linked " .. other:name() .. " failed: broken",
        reason_of(one))
      other:join(LONG)
    end)

    it("goes both ways with " .. title, function()
      local one = casting.spawn(function()
        casting.sleep(0.01)
        error("broken", 0)
      end)
      local other = spawn(function() require("casting").sleep(100) end)
      one:link(other)
      assert.equal("linked " .. one:name() .. " failed: broken",
        reason_of(other))
      one:join(LONG)
    end)

    it("passes on that " .. title .. " is cancelled", function()
      local one = sleeper()
      local other = spawn(function() require("casting").sleep(100) end)
      one:link(other)
      other:cancel "enough"
      assert.equal("linked " .. other:name() .. " was cancelled: enough",
        reason_of(one))
    end)

    it("does nothing when " .. title .. " returns", function()
      local one = casting.spawn(function()
        casting.sleep(0.03)
        return "undisturbed"
      end)
      local other = spawn(function() end)
      one:link(other)
      assert.is_true((other:join(LONG)))
      assert.same(pack(true, "undisturbed"), pack(one:join(LONG)))
    end)

    it("acts at once if " .. title .. " has ended", function()
      local failed = spawn(function() error("before", 0) end)
      failed:join(LONG)
      local one = sleeper()
      assert.same(pack(nil, "noproc"), pack(one:link(failed)))
      assert.equal("linked " .. failed:name() .. " failed: before",
        reason_of(one))
      local done = spawn(function() end)
      done:join(LONG)
      local two = casting.spawn(function() casting.yield() return "two" end)
      assert.same(pack(nil, "noproc"), pack(two:link(done)))
      assert.same(pack(nil, "noproc"), pack(done:link(two)))
      assert.same(pack(true, "two"), pack(two:join(LONG)))
    end)

    it("is ended by unlink, with " .. title, function()
      local go = casting.channel()
      local one = casting.spawn(function() casting.sleep(0.03) return 1 end)
      local other = spawn(function(go) go:receive() error("x", 0) end, go)
      assert.is_false(one:unlink(other))
      one:link(other)
      one:link(other) -- once is enough
      assert.is_true(other:unlink(one))
      assert.is_false(one:unlink(other))
      go:send(1)
      assert.is_false((other:join(LONG)))
      assert.same(pack(true, 1), pack(one:join(LONG)))
    end)
  end

  it("of a supervisor's kind goes one way only", function()
    local follow = helper.internal().follow
    local waits = casting.channel()
    local child = casting.session():spawn("(...):receive()", waits)
    local leader = casting.spawn(function()
      local other = casting.spawn(error, "of no matter")
      follow(other)
      other:join()
      follow(child)
      casting.yield()
      casting.yield()
      error("the leader has died", 0)
    end)
    assert.equal("the leader has died", select(2, leader:join(LONG)))
    local ok, e = child:join(LONG)
    assert.equal(false, ok)
    assert.truthy(e.reason:find("the leader has died", 1, true))
  end)

  it("links the caller by default", function()
    local other = casting.spawn(function()
      casting.sleep(0.01)
      error("broken", 0)
    end)
    local one = casting.spawn(function()
      other:link()
      casting.sleep(100)
    end)
    assert.equal("linked " .. other:name() .. " failed: broken",
      reason_of(one))
    other:join(LONG)
  end)

  it("passes through a chain, in many sessions", function()
    local tasks = {sleeper()}
    for i = 2, 20 do
      tasks[i] = homes[i % 2 + 1][2](function()
        require("casting").sleep(100)
      end)
      tasks[i]:link(tasks[i - 1])
    end
    local first = casting.spawn(function() error("first", 0) end)
    first:link(tasks[1])
    for i = 1, 20 do assert.matches("linked task", reason_of(tasks[i])) end
    first:join(LONG)
  end)

  it("survives that both end at once", function()
    local a, b = casting.session(), casting.session()
    local function fail() error("x", 0) end
    for _ = 1, 300 do
      local one, other = a:spawn(fail), b:spawn(fail)
      one:link(other)
      one:join(LONG)
      other:join(LONG)
    end
    for _ = 1, 300 do
      local one, other = a:spawn(fail), b:spawn(fail)
      one:link(other)
      one:unlink(other)
      one:join(LONG)
      other:join(LONG)
    end
    a:close()
    b:close()
  end)

  it("passes on what it is given in the words of the error", function()
    local bad = casting.spawn(function() error(("x"):rep(10000), 0) end)
    local one = sleeper()
    one:link(bad)
    local reason = reason_of(one)
    assert.matches("^linked task %d+ failed: xxx", reason)
    assert.is_true(#reason < 1000)
    bad:join(LONG)
  end)

  it("refuses nonsense", function()
    local task = casting.spawn(function() end)
    helper.misuse(function() task:link(task) end, "link", "itself")
    helper.misuse(function() task:link() end, "link", "main program")
    helper.misuse(function() task:link(5) end, "link", "task")
    helper.misuse(function() task:unlink(5) end, "unlink", "task")
    helper.misuse(function() task.unlink() end, "unlink", "task")
    task:join(LONG)
  end)
end)
