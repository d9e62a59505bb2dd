-- pool_spec.lua - threads that the pool adds, slices that it ends.
-- SPDX-License-Identifier: MIT
--
-- Nothing here looks at the clock: where the pool failed to give other sessions
-- their turn, a test would never end.

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

-- What computes, and never waits, until the channel is closed.
local function compute(stop)
  repeat
    for _ = 1, 1e6 do end
  until stop:closed()
end

local function compute_in_coroutine(stop)
  local function nested()
    local inner = coroutine.create(compute)
    assert(coroutine.resume(inner, stop))
    assert(coroutine.status(inner) == "dead")
  end
  coroutine.wrap(nested)()
end

-- Another session has its turn n times, with sleeps in between.
local function others_go_on(n)
  local session = casting.session()
  local task = session:spawn(function(rounds)
    local lib = require "casting"
    for _ = 1, rounds do lib.sleep(0.001) end
    return rounds
  end, n)
  assert.are.same({true, n}, {task:join(LONG)})
  session:close()
end

describe("casting.threads", function()
  after_each(function() casting.threads(1, 256) end)

  it("sets and reports", function()
    assert.are.same({1, 256}, {casting.threads()})
    assert.are.same({2, 4}, {casting.threads(2, 4)})
    assert.are.same({3, 4}, {casting.threads(3)})
    assert.are.same({5, 5}, {casting.threads(5)})
    assert.are.same({2, 2}, {casting.threads(nil, 2)})
  end)

  it("says what is wrong", function()
    helper.misuse(function() casting.threads(0) end, "threads", "1 to 1024")
    helper.misuse(function() casting.threads(1, 5000) end, "1 to 1024")
    helper.misuse(function() casting.threads(1.5) end, "threads")
    helper.misuse(function() casting.threads(3, 2) end, "below the minimum")
    helper.misuse(function() casting.threads("x") end, "number expected")
  end)

  it("can change while sessions are at work", function()
    local stop = casting.channel()
    local sessions, tasks = {}, {}
    for i = 1, 4 do
      sessions[i] = casting.session()
      tasks[i] = sessions[i]:spawn(function(ch)
        local n = 0
        repeat
          for _ = 1, 1000 do n = n + 1 end
          local _, why = ch:try_receive()
        until why == "closed"
        return n
      end, stop)
    end
    for i = 1, 20 do
      casting.threads(1, 1 + i % 4)
      casting.sleep(0.001)
    end
    stop:close()
    for i = 1, 4 do
      assert.is_true(tasks[i]:join(LONG))
      sessions[i]:close()
    end
  end)
end)

describe("a task that computes", function()
  after_each(function() casting.threads(1, 256) end)

  -- LuaJIT's compiled loops see no hooks, so nothing is compiled here.
  local function gives_way(f)
    local stop = casting.channel()
    local session = casting.session {jit = false}
    local task = session:spawn(f, stop)
    others_go_on(5)
    stop:close()
    assert.are.same({true}, {task:join(LONG)})
    session:close()
  end

  it("gives way to other sessions", function()
    casting.threads(1, 1)
    gives_way(compute)
  end)

  it("gives way in coroutines of its own", function()
    -- What resumes a coroutine cannot yield in between on 5.1 and LuaJIT: so it
    -- takes another thread.
    casting.threads(1, helper.version == "5.1" and 2 or 1)
    gives_way(compute_in_coroutine)
  end)

  it("is made up for with a thread in callbacks of C", function()
    gives_way(function(stop)
      table.sort({2, 1}, function() compute(stop) return false end)
    end)
    gives_way(function(stop)
      string.gsub("x", "x", function() compute(stop) end)
    end)
  end)

  it("is made up for with a thread in a long C function", function()
    gives_way(function(stop)
      local s = string.rep("a", 900)
      repeat string.find(s, ".-.-b") until stop:closed()
    end)
  end)

  it("keeps a debug hook of its own", function()
    local session = casting.session {jit = false}
    local task = session:spawn(function()
      local n = 0
      debug.sethook(function() n = n + 1 end, "", 1000)
      for _ = 1, 3e6 do end
      local hook = debug.gethook()
      debug.sethook()
      return n > 100 and hook ~= nil
    end)
    others_go_on(3)
    assert.are.same({true, true}, {task:join(LONG)})
    session:close()
  end)

  it("goes on before other tasks of its session", function()
    casting.threads(1, 1)
    local noise = casting.session {jit = false}
    local session = casting.session {jit = false}
    local stop = casting.channel()
    noise:spawn(compute, stop)
    local done = casting.channel(4)
    session:spawn(function(ch)
      local spawn = require "casting".spawn
      local busy = false
      for i = 1, 4 do
        spawn(function()
          assert(not busy, "two tasks of a session at once")
          busy = true
          local x = 0
          for k = 1, 2e6 do x = x + k % 7 end -- some slices
          busy = false
          ch:send(i)
        end)
      end
    end, done)
    local sum = 0
    for _ = 1, 4 do sum = sum + done:receive(LONG) end
    assert.are.equal(10, sum)
    stop:close()
    noise:close()
    session:close()
  end)

  it("computes the same as without being interrupted", function()
    casting.threads(1, 1)
    local function digest()
      local t, co = {}, coroutine.wrap(function()
        for i = 1, math.huge do coroutine.yield(i) end
      end)
      for i = 1, 20000 do
        t[#t + 1] = setmetatable({}, {__index = function(_, k)
          return k .. i
        end})[tostring(co())]
      end
      local s = table.concat(t):gsub("%d", function(d) return d + 1 end)
      local sum = 0
      for i = 1, #s do sum = (sum * 31 + s:byte(i)) % 1000003 end
      local ok, err = pcall(function() error("x" .. sum, 0) end)
      return tostring(ok) .. err
    end
    local expected = digest()
    local tasks, sessions = {}, {}
    for i = 1, 4 do
      sessions[i] = casting.session {jit = false}
      tasks[i] = sessions[i]:spawn(digest)
    end
    for i = 1, 4 do
      assert.are.same({true, expected}, {tasks[i]:join(LONG)})
      sessions[i]:close()
    end
  end)
end)

describe("coroutines in sessions", function()
  -- What the library's own functions do, in the main state.
  local function behaviour()
    local log = {}
    local function note(...)
      for i = 1, select("#", ...) do
        log[#log + 1] = tostring((select(i, ...)))
      end
      log[#log + 1] = ";"
    end
    local resume, create = coroutine.resume, coroutine.create
    local co = create(function(a, b)
      note(a, b)
      note(coroutine.yield(a + b, nil))
      return "end", nil
    end)
    note(resume(co, 1, 2))
    note(coroutine.status(co))
    note(resume(co, "x", nil, "y"))
    note(coroutine.status(co))
    note(resume(co))
    co = create(function() error("bad", 0) end)
    note(resume(co))
    note(resume(co))
    co = create(function() error({}) end)
    note(type((select(2, resume(co)))))
    co = create(function() return resume(co) end)
    note(resume(co))
    co = create(function()
      local outer = co
      return resume(create(function() return resume(outer) end))
    end)
    note(resume(co))
    local gen = coroutine.wrap(function(...)
      note(...)
      for i = 1, 3 do coroutine.yield(i) end
      return "last"
    end)
    for _ = 1, 4 do note(gen("a")) end
    note(pcall(gen))
    note(pcall(coroutine.wrap(function() error "text" end)))
    note(type((select(2, pcall(coroutine.wrap(function() error {} end))))))
    note((pcall(resume)), (pcall(resume, 1)), (pcall(coroutine.wrap, 1)))
    co = create(function() end)
    note(#{select(2, resume(co))})
    co = create(function() return resume(coroutine.running()) end)
    note(resume(co))
    note(pcall(coroutine.wrap(function() return helper end)) == true)
    co = create(function() return select("#", ("x"):rep(200):byte(1, -1)) end)
    note(resume(co))
    return (table.concat(log, " "):gsub("0x%x+", "address"))
  end

  it("behave as they do elsewhere", function()
    local session = casting.session()
    local source = casting.session and behaviour
    local _, there = session:spawn(source):join(LONG)
    assert.are.equal(behaviour(), there)
    session:close()
  end)

  it("cross by name", function()
    local session = casting.session()
    local wrap, resume = coroutine.wrap, coroutine.resume
    assert.are.same({true, 3, true}, {session:spawn(function()
      local _, v = resume(coroutine.create(function() return 3 end))
      return v, wrap == coroutine.wrap
    end):join(LONG)})
    session:close()
  end)
end)

describe("a task in foreign C code that blocks", function()
  local fifo
  before_each(function()
    if not helper.has_children() then
      pending "no other program can be started here"
    end
    fifo = os.tmpname()
    os.remove(fifo)
    assert(os.execute("mkfifo " .. fifo))
  end)
  after_each(function()
    os.remove(fifo)
    casting.threads(1, 256)
  end)

  -- Opening it to read blocks until somebody opens it to write.
  local function read_fifo(path)
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    return text
  end
  local function write_fifo(path, text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return true
  end

  it("holds up no other session", function()
    casting.threads(1, 2)
    local one, other = casting.session(), casting.session()
    local reader = one:spawn(read_fifo, fifo)
    others_go_on(3)
    assert.is_true(other:spawn(write_fifo, fifo, "hello"):join(LONG))
    assert.are.same({true, "hello"}, {reader:join(LONG)})
    one:close()
    other:close()
  end)

  it("holds up no other session, by the dozen", function()
    local sessions, readers = {}, {}
    for i = 1, 12 do
      assert(os.execute("mkfifo " .. fifo .. i))
      sessions[i] = casting.session()
      readers[i] = sessions[i]:spawn(read_fifo, fifo .. i)
    end
    others_go_on(3)
    for i = 12, 1, -1 do write_fifo(fifo .. i, "text " .. i) end
    for i = 1, 12 do
      assert.are.same({true, "text " .. i}, {readers[i]:join(LONG)})
      sessions[i]:close()
      os.remove(fifo .. i)
    end
  end)

  it("says so with casting.blocking, and others go on at once", function()
    casting.threads(1, 2)
    local one, other = casting.session(), casting.session()
    local reader = one:spawn(function(path, read)
      local lib = require "casting"
      return lib.blocking(read, path), lib.blocking(select, "#", nil, nil)
    end, fifo, read_fifo)
    assert.is_true(other:spawn(write_fifo, fifo, "bye"):join(LONG))
    assert.are.same({true, "bye", 2}, {reader:join(LONG)})
    one:close()
    other:close()
  end)
end)

describe("casting.blocking", function()
  it("calls a function, wherever it is called", function()
    for _, place in ipairs(helper.places) do
      local run = place[2]
      assert.are.same({1, 2, 3}, {run(function()
        return require "casting".blocking(function(...) return ... end, 1, 2, 3)
      end)}, place[1])
      assert.are.same({false, "oops"}, {run(function()
        return pcall(require "casting".blocking, error, "oops", 0)
      end)}, place[1])
      -- What it calls may wait in casting's own way, too.
      assert.are.equal("through", run(function()
        local lib = require "casting"
        local ch = lib.channel()
        lib.spawn(function() ch:send "through" end)
        return lib.blocking(function() return (ch:receive()) end)
      end), place[1])
    end
  end)

  it("says what is wrong", function()
    helper.misuse(function() casting.blocking() end, "blocking", "function")
    helper.misuse(function() casting.blocking(1) end, "blocking", "function")
  end)
end)
