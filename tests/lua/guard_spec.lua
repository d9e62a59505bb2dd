-- guard_spec.lua - cancellation, deadlines, shields.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG
local closes = _VERSION >= "Lua 5.4" -- luacheck: ignore

-- Source text, for syntax that older versions do not have.
local function compile(text)
  return assert((loadstring or load)(text)) -- luacheck: ignore
end

describe("casting.with_timeout", function()
  for _, place in ipairs(helper.places) do
    local name, run = place[1], place[2]

    it("gives what the function returns, in " .. name, function()
      assert.same(pack(true, 1, nil, 3), pack(run(function()
        local c = require "casting"
        return c.with_timeout(20, function(...) return ... end, 1, nil, 3)
      end)))
      assert.same(pack(true), pack(run(function()
        local c = require "casting"
        return c.with_timeout(math.huge, function() c.sleep(0.001) end)
      end)))
    end)

    it("ends what waits, in " .. name, function()
      assert.same(pack(nil, "timeout"), pack(run(function()
        local c = require "casting"
        return c.with_timeout(0.01, function() c.channel():receive() end)
      end)))
      assert.same(pack(nil, "timeout"), pack(run(function()
        local c = require "casting"
        return c.with_timeout(0, function() c.channel():receive() end)
      end)))
    end)

    it("is not to be kept off by pcall, in " .. name, function()
      local caught, value, word = run(function()
        local c = require "casting"
        local n = 0
        return n, c.with_timeout(0.01, function()
          local e
          while n < 1000 do
            local ok, problem = pcall(c.sleep, 100)
            if not ok then n, e = n + 1, problem end
            if not c.is_cancelled(problem) then break end
          end
          return n, e
        end)
      end)
      assert.same({0, nil, "timeout"}, {caught, value, word})
    end)

    it("lets errors pass, in " .. name, function()
      local ok, e = run(function()
        local c = require "casting"
        return pcall(c.with_timeout, 20, function() error("own", 0) end)
      end)
      assert.same({false, "own"}, {ok, e})
    end)

    it("takes the earliest of nested deadlines, in " .. name, function()
      local log = run(function()
        local c = require "casting"
        local function wait() c.channel():receive() end
        local t = {}
        t[1] = pcall(function()
          t[2], t[3] = c.with_timeout(0.01, function()
            t[4], t[5] = c.with_timeout(50, wait)
            return "not reached"
          end)
        end)
        t[6], t[7], t[8] = c.with_timeout(50, function()
          return select("#", c.with_timeout(0.01, wait)), "reached"
        end)
        return t
      end)
      assert.same({true, nil, "timeout", nil, nil, true, 2, "reached"}, log)
    end)
  end

  it("keeps the timeouts of single calls", function()
    local task = casting.spawn(function()
      local ch = casting.channel()
      return casting.with_timeout(LONG, function()
        local v, word = ch:receive(0.005)
        return v, word, casting.select{ch, timeout = 0.005}
      end)
    end)
    assert.same(pack(true, true, nil, "timeout", nil, "timeout"),
      pack(task:join(LONG)))
  end)

  it("gives the results of what had ended when the time came", function()
    local task = casting.spawn(function()
      return casting.with_timeout(1e-6, function()
        local till = casting.now() + 1e-5 -- and not so long as to be stopped
        while casting.now() < till do end
        return "in time"
      end)
    end)
    assert.same(pack(true, true, "in time"), pack(task:join(LONG)))
  end)

  it("takes no message that comes too late", function()
    local ch = casting.channel()
    assert.same(pack(nil, "timeout"), pack(casting.with_timeout(0.001,
      ch.receive, ch)))
    assert.same(pack(nil, "full"), pack(ch:try_send(1)))
  end)

  it("does not hold for what it has spawned", function()
    local task
    assert.same(pack(nil, "timeout"), pack(casting.with_timeout(0.005,
      function()
        task = casting.spawn(function()
          casting.sleep(0.02)
          return "whole"
        end)
        casting.sleep(LONG)
      end)))
    assert.same(pack(true, "whole"), pack(task:join(LONG)))
  end)

  it("does not hold while its coroutine is suspended", function()
    local task = casting.spawn(function()
      local co = coroutine.wrap(function()
        return casting.with_timeout(0.005, function()
          coroutine.yield "inside"
          casting.sleep(LONG)
        end)
      end)
      local first = co()
      casting.sleep(0.01) -- its time passes here
      return first, co()
    end)
    if helper.version == "5.1" and not helper.jit then
      -- There, nothing can be yielded through pcall.
      assert.is_false((task:join(LONG)))
      return
    end
    assert.same(pack(true, "inside", nil, "timeout"), pack(task:join(LONG)))
  end)

  it("is forgotten with the coroutine that was dropped in it", function()
    local task = casting.spawn(function()
      for _ = 1, 100 do
        local co = coroutine.create(function()
          casting.with_timeout(0, function() coroutine.yield() end)
        end)
        coroutine.resume(co)
      end
      for _ = 1, 3 do
        collectgarbage()
        casting.sleep(0.001)
      end
      return "on"
    end)
    assert.same(pack(true, "on"), pack(task:join(LONG)))
  end)

  it("crosses like any function", function()
    local session = casting.session()
    local with_timeout, sleep = casting.with_timeout, casting.sleep
    assert.same(pack(true, nil, "timeout"), pack(session:spawn(function()
      return with_timeout(0.001, sleep, 100)
    end):join(LONG)))
    session:close()
  end)

  it("tells of misuse", function()
    for _, bad in ipairs {-1, 0 / 0, -math.huge, "1", false} do
      helper.misuse(function()
        casting.with_timeout(bad, function() end)
      end, "guard_spec.lua", "#1", "'with_timeout'", "zero or more")
    end
    helper.misuse(function() casting.with_timeout(1) end,
      "#2", "'with_timeout'", "function expected, got n")
    helper.misuse(function() casting.with_timeout(1, {}) end,
      "function expected, got table")
  end)
end)

describe("casting.shield", function()
  it("calls a function", function()
    assert.same(pack(1, nil, 3), pack(casting.shield(function(...)
      return ...
    end, 1, nil, 3)))
    assert.same(pack(false, "own"), pack(pcall(casting.shield, error, "own",
      0)))
    helper.misuse(function() casting.shield() end, "guard_spec.lua", "#1",
      "'shield'", "function expected")
  end)

  for _, place in ipairs {{"its own session", casting},
    {"another session", casting.session()}} do
    local where = place[2]
    local function spawn(f, ...)
      if where == casting then return casting.spawn(f, ...) end
      return where:spawn(f, ...)
    end

    it("keeps a cancellation off, in " .. place[1], function()
      local ready, ch = casting.channel(1), casting.channel()
      local task = spawn(function()
        local c = require "casting"
        local ok, e = pcall(function()
          ready:send "waits"
          c.sleep(1000)
        end)
        local cancelled = not ok and c.is_cancelled(e)
        local got = c.shield(function()
          ready:send "cleans up"
          return (ch:receive())
        end)
        local again = pcall(c.sleep, 0.001)
        ready:send(cancelled, got, again)
      end)
      assert.equal("waits", ready:receive(LONG))
      task:cancel "enough"
      assert.equal("cleans up", ready:receive(LONG))
      ch:send "message"
      -- The last send is a blocking call outside.
      local ok, e = task:join(LONG)
      assert.is_false(ok)
      assert.equal("enough", e.reason)
      assert.equal("cancelled: enough", tostring(e))
      assert.equal(nil, (ready:try_receive()))
      assert.equal("cancelled", task:status())
    end)

    it("keeps a cancellation off that comes within, in " .. place[1],
      function()
        local ch, done = casting.channel(), casting.channel(1)
        local task = spawn(function()
          local c = require "casting"
          local got = c.shield(function() return (ch:receive()) end)
          done:try_send(got)
          c.sleep(1000)
        end)
        helper.until_waiting(task)
        task:cancel()
        assert.equal("waiting", task:status())
        ch:send "message"
        assert.equal("message", done:receive(LONG))
        assert.is_false((task:join(LONG)))
        assert.equal("cancelled", task:status())
      end)
  end

  it("keeps outer deadlines off, and not inner ones", function()
    local ok, word, inner, inner_word
    ok, word = casting.with_timeout(0.005, function()
      inner, inner_word = casting.shield(function()
        casting.sleep(0.01)
        return casting.with_timeout(0.001, casting.sleep, 100)
      end)
      casting.sleep(100)
    end)
    assert.same({nil, "timeout"}, {ok, word})
    assert.same({nil, "timeout"}, {inner, inner_word})
  end)

  it("has its own calls' timeouts", function()
    local result
    local task = casting.spawn(function()
      casting.shield(function()
        result = pack(casting.channel():receive(0.02))
      end)
      casting.sleep(1000)
    end)
    casting.yield()
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.same(pack(nil, "timeout"), result)
  end)

  it("holds for a bounded time", function()
    local caught
    local task = casting.spawn(function()
      caught = pack(pcall(casting.shield, casting.sleep, 1000))
      casting.sleep(1000)
    end)
    casting.yield()
    local began = casting.now()
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.is_true(casting.now() - began >= 0.9)
    assert.is_false(caught[1])
    assert.is_true(casting.is_cancelled(caught[2]))
  end)
end)

describe("a cancelled task", function()
  it("meets it in each blocking call", function()
    local ch, n = casting.channel(), 0
    local calls = {
      function() ch:receive() end, function() ch:send(1) end,
      function() casting.sleep(0) end, function() casting.sleep(1) end,
      function() casting.yield() end, function() casting.select{ch} end,
      function() casting.select{} end,
      function() casting.spawn(function() end):join() end,
      function() casting.spawn(function() end):await() end,
      function() casting.session():wait() end,
      function() casting.session():close() end,
      function() for _ in ch do end end, -- luacheck: ignore
      function() casting.session{init = function() end} end,
      function() casting.with_timeout(1, ch.receive, ch) end,
    }
    local task = casting.spawn(function()
      pcall(casting.sleep, 1000)
      for _, call in ipairs(calls) do
        local ok, e = pcall(call)
        if not ok and casting.is_cancelled(e) then n = n + 1 end
      end
      error("other", 0)
    end)
    casting.yield()
    task:cancel()
    assert.same(pack(false, "other"), pack(task:join(LONG)))
    assert.equal(#calls, n)
    assert.equal("failed", task:status())
  end)

  it("loses no message that it was given before", function()
    local ch, got = casting.channel(), nil
    local task = casting.spawn(function()
      got = ch:receive()
      casting.sleep(1000)
    end)
    casting.yield()
    ch:send "given"
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.equal("given", got)
  end)

  it("may cancel itself, and be cancelled again", function()
    local after = false
    local task = casting.spawn(function()
      assert(casting.self():cancel "mine")
      assert(casting.self():cancel "later")
      after = true
      casting.sleep(1000)
    end)
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.is_true(after)
    assert.equal("mine", e.reason)
    assert.is_false(task:cancel())
    local done = casting.spawn(function() return 1 end)
    done:join()
    assert.is_false(done:cancel())
    assert.same(pack(true, 1), pack(done:join()))
  end)

  it("may fail in its clean-up", function()
    local task = casting.spawn(function()
      local ok = pcall(casting.sleep, 1000)
      if not ok then error("clean-up went wrong", 0) end
    end)
    casting.yield()
    task:cancel()
    assert.same(pack(false, "clean-up went wrong"), pack(task:join(LONG)))
    assert.equal("failed", task:status())
  end)

  if closes then
    it("may wait in its __close handlers", function()
      for _, text in ipairs {
        -- as the block ends
        [[local casting, enter, log = ...
          do
            local x <close> = enter()
            pcall(casting.sleep, 1000)
          end
          log("after the block")]],
        -- in an error's way out, caught or not
        [[local casting, enter, log = ...
          pcall(function()
            local x <close> = enter()
            casting.sleep(1000)
          end)
          log("after the block")]],
        [[local casting, enter, log = ...
          local x <close> = enter()
          casting.sleep(1000)]],
        [[local casting, enter, log = ...
          coroutine.wrap(function()
            local x <close> = enter()
            casting.sleep(1000)
          end)()]],
        [[local casting, enter, log = ...
          for i in function(_, i) return not i and 1 or nil end, nil, nil,
            enter() do
            casting.sleep(1000)
          end]],
      } do
        local seen = {}
        local function log(what) seen[#seen + 1] = what end
        local function enter()
          return setmetatable({}, {__close = function()
            casting.sleep(0.01)
            log "slept"
            casting.yield()
            log "closed"
          end})
        end
        local chunk = compile(text)
        local task = casting.spawn(function()
          chunk(casting, enter, log)
          casting.sleep(1000)
        end)
        helper.until_waiting(task)
        task:cancel()
        assert.is_false((task:join(LONG)))
        assert.equal("cancelled", task:status())
        assert.equal("slept", seen[1], text)
        assert.equal("closed", seen[2], text)
      end
    end)

    it("waits for sessions that it closes so", function()
      local chunk = compile [[
        local casting, seen = ...
        local s <close> = casting.session()
        seen[1] = s
        seen[2] = s:spawn(function()
          local c = require "casting"
          pcall(c.sleep, 1000)
          c.shield(c.sleep, 0.02)
        end)
        casting.sleep(0.01)
        casting.sleep(1000)]]
      local seen = {}
      local task = casting.spawn(chunk, casting, seen)
      helper.until_true(function() return seen[2] end)
      helper.until_waiting(seen[2])
      task:cancel()
      assert.is_false((task:join(LONG)))
      assert.equal("done", seen[2]:status())
      helper.misuse(function() seen[1]:spawn("return") end, "closed")
    end)
  end
end)

describe("session:cancel", function()
  it("cancels all its tasks, and leaves it open", function()
    local session = casting.session()
    local ready = casting.channel(10)
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = session:spawn(function()
        ready:send(true)
        require "casting".sleep(1000)
      end)
    end
    for _ = 1, 10 do ready:receive(LONG) end
    assert.is_true(session:cancel "all of you")
    for i = 1, 10 do
      local ok, e = tasks[i]:join(LONG)
      assert.is_false(ok)
      assert.equal("all of you", e.reason)
    end
    assert.is_true(session:wait(LONG))
    assert.same(pack(true, "on"), pack(session:spawn("return 'on'")
      :join(LONG)))
    assert.is_true(session:cancel())
    session:close()
    helper.misuse(function() session:cancel() end, "cancel", "closed")
    helper.misuse(function() session.cancel(1) end, "session expected")
  end)

  it("reaches the tasks of the main program, and who calls it", function()
    local other = casting.spawn(function() casting.sleep(1000) end)
    local task = casting.spawn(function()
      casting.self():session():cancel "us"
      casting.sleep(1000)
    end)
    assert.is_false((task:join(LONG)))
    assert.is_false((other:join(LONG)))
    assert.equal("cancelled", other:status())
    casting.sleep(0.001) -- the main program is not a task
  end)

  it("says why a closing session cancels", function()
    local session = casting.session()
    local task = session:spawn(function() require "casting".sleep(1000) end)
    helper.until_waiting(task)
    session:close()
    local _, e = task:join()
    assert.equal("cancelled: the session closes", tostring(e))
  end)
end)

describe("a task that computes", function()
  local session
  local compute = helper.compute
  before_each(function() session = casting.session() end)
  after_each(function() session:close() end)

  -- Starts f, cancels it if told so, and gives what join says.
  local function outcome(f, cancels)
    local started = casting.channel(1)
    local task = session:spawn(function()
      started:send(true)
      return f()
    end)
    started:receive(LONG)
    if cancels then task:cancel "x" end
    return task:join(LONG)
  end
  local function stops(f)
    local ok, e = outcome(f, true)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(e))
  end

  it("and catches each error of its calls is stopped", function()
    stops(function()
      local c = require "casting"
      while true do pcall(c.sleep, 1) end
    end)
    stops(function()
      local c = require "casting"
      while true do pcall(function() c.channel():receive() c.yield() end) end
    end)
    stops(function()
      local c = require "casting"
      while true do
        coroutine.wrap(function()
          while true do pcall(function() c.sleep(1) end) end
        end)()
      end
    end)
    assert.same(pack(true, nil, "timeout"), pack(outcome(function()
      local c = require "casting"
      return c.with_timeout(0.01, function()
        while true do pcall(c.sleep, 1) end
      end)
    end)))
  end)

  it("so is one of the main state, and the main program", function()
    local task = casting.spawn(function()
      while true do pcall(casting.sleep, 1) end
    end)
    casting.yield()
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.same(pack(nil, "timeout"), pack(casting.with_timeout(0.01,
      function()
        while true do pcall(casting.sleep, 1) end
      end)))
  end)

  -- LuaJIT's compiled loops see no hooks, so nothing is compiled there.
  describe("and calls nothing", function()
    before_each(function()
      session:close()
      session = casting.session {jit = false}
    end)

    it("is stopped by a hook", function()
      stops(compute)
      stops(function()
        while true do pcall(compute) end
      end)
      stops(function() coroutine.wrap(compute)() end)
      stops(function()
        while true do coroutine.resume(coroutine.create(compute)) end
      end)
    end)

    it("is stopped at a deadline, and only that far", function()
      assert.same(pack(true, nil, "timeout"), pack(outcome(function()
        return require "casting".with_timeout(0.01, function()
          compute()
        end)
      end)))
      assert.same(pack(true, nil, "timeout"), pack(outcome(function()
        return require "casting".with_timeout(0.01, function()
          while true do pcall(compute) end
        end)
      end)))
      assert.same(pack(true, nil, "timeout", "on"), pack(outcome(function()
        local c = require "casting"
        c.with_timeout(0.01, compute)
        local ok, word = c.with_timeout(0.05, compute)
        return ok, word, "on"
      end)))
    end)

    it("is left alone in a shield, for a while", function()
      local log = casting.channel(10)
      local ok = outcome(function()
        local c = require "casting"
        c.shield(function()
          local till = c.now() + 0.15
          while c.now() < till do end
          log:send "whole"
        end)
        compute()
      end, true)
      assert.is_false(ok)
      assert.equal("whole", log:try_receive())
      stops(function()
        require "casting".shield(compute)
      end)
    end)

    if closes then
      it("is left alone in its __close handlers", function()
        local log = casting.channel(10)
        local chunk = compile [[
          local log, compute = ...
          local c = require "casting"
          local x <close> = setmetatable({}, {__close = function()
            local till = c.now() + 0.15
            while c.now() < till do end
            log:send "whole"
          end})
          if compute then compute() end]]
        assert.is_true((outcome(function() chunk(log, false) end, true)))
        assert.equal("whole", log:try_receive())
        assert.is_false((outcome(function() chunk(log, compute) end, true)))
        assert.equal("whole", log:try_receive())
        outcome(function() pcall(chunk, log, compute) end, true)
        assert.equal("whole", log:try_receive())
      end)
    end
  end)
end)
