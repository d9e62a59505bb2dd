-- semaphore_spec.lua - semaphores: so many permits for tasks of all sessions.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, misuse, LONG = helper.pack, helper.misuse, helper.LONG

-- Acquires a permit and keeps it until it may end, which it tells before.
local function hold(semaphore, n, held, go)
  local permit = assert(semaphore:acquire(n))
  held:send(true)
  go:receive()
  return permit:held()
end

for _, place in ipairs(helper.places) do
  local title, run = place[1], place[2]

  describe("a semaphore in " .. title, function()
    it("gives as many permits as it has places", function()
      assert.same(pack(2, 2, 1, true, 0, nil, "full", 1, true), pack(run(
        function()
          local casting = require "casting"
          local s = casting.semaphore(2)
          local size, before = s:size(), s:available()
          local a = s:acquire()
          local after = s:available()
          local b = s:acquire()
          local both, full = s:available(), pack(s:try_acquire())
          a:release()
          return size, before, after, b:held(), both, full[1], full[2],
            s:available(), s:try_acquire():release()
        end)))
    end)

    it("waits for a place", function()
      assert.same({"first", "second"}, run(function()
        local casting = require "casting"
        local s, order = casting.semaphore(1), {}
        local first = s:acquire()
        local task = casting.spawn(function()
          local second = s:acquire()
          order[#order + 1] = "second"
          second:release()
        end)
        casting.yield()
        order[#order + 1] = "first"
        first:release()
        task:await()
        return order
      end))
    end)

    it("gives up in time", function()
      assert.same(pack(nil, "timeout", nil, "timeout", nil, "timeout", 0),
        pack(run(function()
          local casting = require "casting"
          local s = casting.semaphore(1)
          local permit = s:acquire()
          local a, b = s:acquire(1, 0.01)
          local c, d = s:acquire(nil, 0)
          local e, f = casting.with_timeout(0.01, s.acquire, s)
          local left = s:available()
          permit:release()
          return a, b, c, d, e, f, left
        end)))
    end)

    it("takes several places at once", function()
      assert.same(pack(7, 4, true), pack(run(function()
        local casting = require "casting"
        local s = casting.semaphore(7)
        local permit = s:acquire(7)
        local task = casting.spawn(function()
          local permit = s:acquire(3) -- luacheck: ignore
          local left = s:available()
          return left, permit:release()
        end)
        casting.yield()
        permit:release()
        local left, released = task:await()
        return s:available(), left, released
      end)))
    end)

    it("calls a function that holds a permit", function()
      assert.same(pack(0, "a", nil, 3, 1, false, "broken", 1), pack(run(
        function()
          local casting = require "casting"
          local s = casting.semaphore(1)
          local left, a, b, c = s:with(function(...)
            return s:available(), ...
          end, "a", nil, 3)
          local between = s:available()
          local ok, e = pcall(s.with, s, error, "broken", 0)
          return left, a, b, c, between, ok, e, s:available()
        end)))
    end)

    it("is closed", function()
      assert.same(pack(false, true, false, true, nil, "closed", nil, "closed",
        nil, "closed", nil, "closed", true), pack(run(function()
          local casting = require "casting"
          local s = casting.semaphore(1)
          local permit = s:acquire()
          local waiting = casting.spawn(s.acquire, s)
          casting.yield()
          local a, b, c, d = s:closed(), s:close(), s:close(), s:closed()
          local e, f = waiting:await()
          local g, h = s:acquire()
          local i, j = s:try_acquire()
          local k, l = s:with(error)
          return a, b, c, d, e, f, g, h, i, j, k, l, permit:release()
        end)))
    end)
  end)
end

describe("the queue of a semaphore", function()
  it("is served in order", function()
    local s, order = casting.semaphore(2), {}
    local permit, tasks = s:acquire(2), {}
    for i = 1, 20 do
      tasks[i] = casting.spawn(function()
        local mine = s:acquire(i % 2 + 1)
        order[i] = #order + 1
        casting.yield()
        mine:release()
      end)
      casting.yield()
    end
    permit:release()
    for i = 1, 20 do
      tasks[i]:await(LONG)
      assert.equal(i, order[i])
    end
  end)

  it("keeps small ones behind a large one", function()
    local s = casting.semaphore(3)
    local permit = s:acquire(2)
    local large = casting.spawn(s.acquire, s, 3)
    casting.yield()
    assert.same(pack(nil, "full"), pack(s:try_acquire()))
    assert.same(pack(nil, "timeout"), pack(s:acquire(1, 0)))
    assert.equal("waiting", large:status())
    permit:release()
    large:await(LONG)
    assert.equal(3, s:available())
  end)

  it("goes on when the first of it gives up", function()
    for _, way in ipairs {"cancel", "timeout", "deadline", "close"} do
      local s = casting.semaphore(2)
      local permit, session = s:acquire(), casting.session()
      local large = session:spawn(function()
        local casting = require "casting"
        if way == "timeout" then return s:acquire(2, 0.02) end
        if way == "deadline" then
          return casting.with_timeout(0.02, s.acquire, s, 2)
        end
        return s:acquire(2)
      end)
      -- Its time may be over by now.
      helper.until_true(function()
        local status = large:status()
        return status ~= "ready" and status ~= "running"
      end)
      local got = casting.channel(1)
      local small = casting.spawn(function()
        got:send(s:acquire():held())
      end)
      if way == "cancel" then large:cancel() end
      if way == "close" then session:close() end
      assert.is_true(got:receive(LONG))
      small:join(LONG)
      permit:release()
      assert.equal(2, s:available())
      session:close(LONG)
    end
  end)

  it("is one for tasks of all sessions", function()
    local s, got = casting.semaphore(1), casting.channel(math.huge)
    local permit, sessions = s:acquire(), {}
    for i = 1, 4 do
      sessions[i] = casting.session()
      for k = 0, 2 do
        local task = sessions[i]:spawn(function()
          local mine = s:acquire()
          got:send(k * 4 + i)
          require("casting").sleep(0.001)
          mine:release()
        end)
        helper.until_waiting(task)
        got:try_receive()
      end
    end
    permit:release()
    -- Queued as 1, 5, 9, 2, 6, ...
    for i = 1, 4 do
      for k = 0, 2 do assert.equal(k * 4 + i, got:receive(LONG)) end
    end
    for _, session in ipairs(sessions) do
      session:wait(LONG)
      session:close(LONG)
    end
    assert.equal(1, s:available())
  end)
end)

describe("a permit", function()
  local held, go
  before_each(function()
    held, go = casting.channel(), casting.channel()
  end)

  it("ends with its task, however that ends", function()
    local s = casting.semaphore(5)
    local ends = {
      returns = function(task) go:send(true) task:join(LONG) end,
      fails = function(task) go:send(true) task:join(LONG) end,
      cancelled = function(task) task:cancel() task:join(LONG) end,
      closed = function(task) task:session():close(LONG) end,
    }
    for how, finish in pairs(ends) do
      local session = casting.session()
      local task = session:spawn(function()
        local permit = s:acquire(3)
        held:send(permit:held())
        go:receive()
        if how == "fails" then error "an end" end
      end)
      assert.is_true(held:receive(LONG))
      assert.equal(2, s:available())
      local other = casting.spawn(s.acquire, s, 5)
      casting.yield()
      finish(task)
      other:await(LONG)
      assert.equal(5, s:available())
      session:close(LONG)
    end
  end)

  it("does not end with its handle", function()
    local s = casting.semaphore(1)
    s:acquire()
    collectgarbage()
    collectgarbage()
    assert.equal(0, s:available())
    assert.equal("full", select(2, s:try_acquire()))
  end)

  it("is released once", function()
    local s = casting.semaphore(1)
    local permit = s:acquire()
    assert.is_true(permit:held())
    assert.is_true(permit:release())
    local other = s:acquire()
    assert.is_false(permit:release())
    assert.is_false(permit:held())
    assert.is_true(other:held())
    other:release()
  end)

  it("is released by another session", function()
    local s, session = casting.semaphore(1), casting.session()
    local permit = s:acquire()
    assert.is_true(session:spawn(function()
      return permit:held() and permit:release()
    end):await(LONG))
    assert.is_false(permit:held())
    assert.equal(1, s:available())
    session:close(LONG)
  end)

  it("is given to another task", function()
    local s, session = casting.semaphore(1), casting.session()
    local done = casting.channel()
    local worker = session:spawn(function() done:receive() end)
    local giver = casting.spawn(function()
      return s:acquire():give(worker)
    end)
    assert.is_true(giver:await(LONG))
    assert.equal(0, s:available())
    done:send(true)
    worker:join(LONG)
    assert.equal(1, s:available())
    -- To one that has ended: there is nobody to hold it.
    local permit = s:acquire()
    assert.is_true(permit:give(worker))
    assert.is_false(permit:held())
    assert.is_false(permit:give(giver))
    assert.equal(1, s:available())
    session:close(LONG)
  end)

  it("is held by a task that waits in place", function()
    local s = casting.semaphore(1)
    local permit, list = s:acquire(), {2, 1}
    local task = casting.spawn(function()
      table.sort(list, function(a, b)
        local mine = s:acquire()
        mine:release()
        return a < b
      end)
    end)
    casting.yield()
    permit:release()
    task:await(LONG)
    assert.same({1, 2}, list)
    assert.equal(1, s:available())
  end)

  it("is released at the end of a block", function()
    if helper.version < "5.4" then return end
    local chunk = assert(load [[
      local s = ...
      do
        local permit <close> = s:acquire()
        assert(s:available() == 0)
      end
      assert(s:available() == 1)
      local ok = pcall(function()
        local permit <close> = s:acquire()
        error "x"
      end)
      assert(not ok and s:available() == 1)
      do local own <close> = s end
      return s:closed()
    ]])
    assert.is_true(chunk(casting.semaphore(1)))
  end)

  it("is not lost when the task is cancelled as it gets it", function()
    local s = casting.semaphore(1)
    for _ = 1, 200 do
      local permit = s:acquire()
      local tasks = {}
      for i = 1, 4 do tasks[i] = casting.spawn(hold, s, 1, held, go) end
      casting.yield()
      permit:release()
      for i = 1, 4 do tasks[i]:cancel() end
      for i = 1, 4 do tasks[i]:join(LONG) end
      assert.equal(1, s:available())
    end
  end)
end)

describe("handles of semaphores", function()
  it("are values", function()
    local s, session = casting.semaphore(3), casting.session()
    local permit = s:acquire()
    local t, p, names = session:spawn(function()
      return s, permit, tostring(s) .. tostring(permit)
    end):await(LONG)
    assert.equal(s, t)
    assert.equal(permit, p)
    assert.matches("^semaphore: .*permit: ", names)
    assert.equal("casting.semaphore", getmetatable(s))
    assert.equal("casting.permit", getmetatable(permit))
    permit:release()
    session:close(LONG)
  end)

  it("are kept by their permits", function()
    local s = casting.semaphore(1)
    local permit = s:acquire()
    s = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_true(permit:release())
  end)

  it("are named by errors", function()
    local s = casting.semaphore(3)
    misuse(function() casting.semaphore() end, "#1 to 'semaphore'",
      "number expected")
    for _, n in ipairs {0, -1, 1.5, 1e10, math.huge, 0 / 0} do
      misuse(function() casting.semaphore(n) end, "#1 to 'semaphore'",
        "a number of places must be an integer from 1 to 1000000000")
    end
    for _, n in ipairs {0, 4, 0.5, -math.huge} do
      misuse(function() s:acquire(n) end, "#1 to 'acquire'",
        "a number of places must be an integer from 1 to 3")
      misuse(function() s:try_acquire(n) end, "#1 to 'try_acquire'")
    end
    misuse(function() s:acquire {} end, "#1 to 'acquire'", "number expected")
    misuse(function() s:acquire(1, -1) end, "#2 to 'acquire'", "timeout")
    misuse(function() s:acquire(1, "x") end, "#2 to 'acquire'")
    misuse(function() s:with() end, "#1 to 'with'", "function expected")
    misuse(function() s.acquire(casting.channel()) end, "semaphore expected")
    misuse(function() s.with(1, print) end, "semaphore expected")
    local permit = s:acquire()
    misuse(function() permit:give() end, "#1 to 'give'", "task expected")
    misuse(function() permit:give(s) end, "task expected")
    misuse(function() permit.release(s) end, "permit expected")
    permit:release()
    assert.equal(3, s:available())
  end)

  it("are in reports", function()
    local s = casting.semaphore(2)
    local permit = s:acquire()
    local task = casting.spawn(s.acquire, s, 2)
    casting.yield()
    assert.matches("waiting for semaphore: [0-9a-fx]+ %(2 places%)",
      casting.report())
    permit:release()
    task:await(LONG)
  end)
end)

describe("a semaphore in a sandbox", function()
  local function sandbox()
    return casting.session {sandbox = true, memory = 4 * 2 ^ 20,
      libs = {"coroutine", "string", "table", "math"}}
  end

  it("limits what is in it and what is outside", function()
    local s, session = casting.semaphore(2), sandbox()
    local permit = s:acquire()
    assert.same(pack(0, false), pack(session:spawn([[
      local s = ...
      local permit = s:acquire()
      local left, closes = s:available(), pcall(s.close, s)
      return left, closes
    ]], s):await(LONG)))
    assert.equal(1, s:available())
    local own, mine = session:spawn([[
      local s = require("casting").semaphore(1)
      local permit = s:acquire()
      return s, permit
    ]]):await(LONG)
    assert.equal(1, own:available())
    assert.is_false(mine:held())
    assert.is_true(own:close())
    permit:release()
    session:close(LONG)
  end)

  it("is charged for its permits", function()
    local s, session = casting.semaphore(1e9), sandbox()
    local ok, e = session:spawn([[
      local s, list = ...
      for i = 1, 1e7 do s:acquire() end
    ]], s):join(LONG)
    assert.is_false(ok)
    assert.matches("not enough memory", tostring(e))
    assert.equal(1e9, s:available())
    session:close(LONG)
  end)

  it("gives no permits to tasks of others", function()
    local s, session = casting.semaphore(1), sandbox()
    local task = casting.spawn(casting.sleep, 1000)
    assert.is_false(session:spawn([[
      local s, task = ...
      return (pcall(s:acquire().give, s, task))
    ]], s, task):await(LONG))
    task:cancel()
    session:close(LONG)
  end)
end)

describe("programs with semaphores", function()
  it("are told of deadlocks", function()
    local result = helper.run [[
      local casting = require "casting"
      local s = casting.semaphore(1)
      local permit = s:acquire()
      s:acquire()
    ]]
    assert.equal(1, result.status)
    assert.matches("deadlock", result.err)
    assert.matches("waiting for semaphore", result.err)
  end)

  it("leave as they are", function()
    assert.equal("done\n", helper.output [[
      local casting = require "casting"
      local s = casting.semaphore(2)
      held = s:acquire()
      local session = casting.session()
      for i = 1, 4 do
        session:spawn(function() local permit = s:acquire(2) end)
        casting.spawn(function() s:acquire(2) casting.sleep(100) end)
      end
      casting.yield()
      print "done"
    ]])
  end)
end)
