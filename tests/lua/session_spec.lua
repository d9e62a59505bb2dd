-- session_spec.lua - sessions: options, spawn, wait, close, many of them.
-- still: tasks start in the order of their spawns.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

describe("casting.session", function()
  it("has a name", function()
    local s = casting.session {name = "library"}
    assert.equal("library", s:name())
    assert.matches("session", tostring(s))
    s:close()
    s = casting.session()
    assert.equal("string", type(s:name()))
    s:close()
  end)

  it("opens all libraries unless told", function()
    local probe = function()
      local list = {}
      for name, value in pairs(_G) do
        if type(value) == "table" then list[name] = true end
      end
      return list
    end
    for _, libs in ipairs {"default", "all"} do
      local s = casting.session {libs = libs == "all" and libs or nil}
      local ok, there = s:spawn(probe):join(LONG)
      assert.is_true(ok)
      for _, name in ipairs {"string", "table", "math", "io", "os",
        "coroutine", "package", "debug"} do
        assert.is_true(there[name])
      end
      s:close()
    end
  end)

  it("opens the libraries of a list", function()
    local s = casting.session {libs = {"string", "table"}}
    local ok, a, b, c, d, e = s:spawn(function()
      return type(string), type(table), type(io), type(os), type(pcall)
    end):join(LONG)
    assert.is_true(ok)
    assert.same({"table", "table", "nil", "nil", "function"}, {a, b, c, d, e})
    s:close()
  end)

  it("runs init first", function()
    local s = casting.session {init = function()
      rawset(_G, "greeting", "set by init")
    end}
    assert.same(pack(true, "set by init"),
      pack(s:spawn(function() return rawget(_G, "greeting") end):join(LONG)))
    s:close()
  end)

  it("gives init its upvalues", function()
    local ch, number = casting.channel(1), 12
    local s = casting.session {init = function() ch:send(number) end}
    assert.equal(12, ch:receive(LONG))
    s:close()
  end)

  it("tells of an init that fails", function()
    local ok, message = pcall(function()
      local s = casting.session {name = "broken", init = function()
        error "init went wrong"
      end}
      -- At the latest, the first use tells.
      s:spawn(function() end):await(LONG)
    end)
    assert.is_false(ok)
    assert.matches("init went wrong", tostring(message))
  end)

  it("takes a memory limit", function()
    local s = casting.session {memory = 64 * 1024 * 1024}
    assert.same(pack(true, 1), pack(s:spawn(function() return 1 end)
      :join(LONG)))
    s:close()
  end)

  it("has globals of its own", function()
    local name = "session_spec_global"
    rawset(_G, name, "outer")
    local a, b = casting.session(), casting.session()
    a:spawn(function(name) rawset(_G, name, "a") end, name):await(LONG)
    local function read(name) return rawget(_G, name) end
    assert.same(pack("a"), pack(a:spawn(read, name):await(LONG)))
    assert.same(pack(nil), pack(b:spawn(read, name):await(LONG)))
    assert.equal("outer", rawget(_G, name))
    rawset(_G, name, nil)
    a:close()
    b:close()
  end)

  it("keeps its globals from task to task", function()
    local s = casting.session()
    for i = 1, 3 do
      local count = s:spawn(function()
        local count = (rawget(_G, "count") or 0) + 1
        rawset(_G, "count", count)
        return count
      end):await(LONG)
      assert.equal(i, count)
    end
    s:close()
  end)

  it("inherits package.path, cpath and preload", function()
    local path, cpath = package.path, package.cpath
    package.path = path .. ";/nowhere/?.lua"
    package.cpath = cpath .. ";/nowhere/?.so"
    package.preload["session_spec.preloaded"] = function(...)
      return {name = (...), kind = "preloaded"}
    end
    local s = casting.session()
    package.path, package.cpath = path, cpath
    package.preload["session_spec.preloaded"] = nil
    local there, cthere, kind, name = s:spawn(function()
      local m = require "session_spec.preloaded"
      return package.path, package.cpath, m.kind, m.name
    end):await(LONG)
    assert.equal(path .. ";/nowhere/?.lua", there)
    assert.equal(cpath .. ";/nowhere/?.so", cthere)
    assert.equal("preloaded", kind)
    assert.equal("session_spec.preloaded", name)
    s:close()
  end)

  it("can require casting, and make sessions", function()
    local s = casting.session()
    local value, known = s:spawn(function()
      local casting = require "casting"
      local inner = casting.session {name = "inner"}
      local value = inner:spawn(function(x) return x * 2 end, 21):await()
      inner:close()
      return value, package.loaded.casting == casting
    end):await(LONG)
    assert.equal(42, value)
    assert.is_true(known)
    s:close()
  end)
end)

describe("session:spawn", function()
  local s
  before_each(function() s = casting.session() end)
  after_each(function() s:close() end)

  it("copies the function, its upvalues and the arguments", function()
    local n, t = 5, {1}
    local task = s:spawn(function(u, ...)
      n = n + 1
      t[1] = t[1] + 1
      u[1] = u[1] + 1
      return n, t[1], u[1], select("#", ...), ...
    end, {10}, nil, "x", nil)
    assert.same(pack(true, 6, 2, 11, 3, nil, "x", nil), pack(task:join(LONG)))
    assert.equal(5, n)
    assert.equal(1, t[1])
  end)

  it("takes source text", function()
    assert.same(pack(true, 3), pack(s:spawn("return 1 + 2"):join(LONG)))
    assert.same(pack(true, 2, "a", "b"),
      pack(s:spawn("return select('#', ...), ...", "a", "b"):join(LONG)))
    local ok, message = s:spawn("error 'in the text'"):join(LONG)
    assert.is_false(ok)
    assert.matches("in the text", message)
  end)

  it("tells of a text that does not compile", function()
    local ok, message = pcall(function()
      s:spawn("this is not Lua"):await(LONG)
    end)
    assert.is_false(ok)
    assert.matches("near", message)
    -- And the session is none the worse for it.
    assert.same(pack(true, 1), pack(s:spawn("return 1"):join(LONG)))
  end)

  it("takes library functions", function()
    assert.same(pack(true, 7), pack(s:spawn(math.max, 1, 7, 3):join(LONG)))
  end)

  it("refuses what cannot cross, and changes nothing", function()
    helper.misuse(function()
      s:spawn(function() end, 1, coroutine.create(function() end))
    end, "coroutine")
    local co = coroutine.create(function() end)
    helper.misuse(function()
      s:spawn(function() return co end)
    end, "coroutine", "co")
    assert.is_true(s:wait(LONG))
  end)

  it("starts tasks in the order of the calls", function()
    local out = casting.channel(math.huge)
    for i = 1, 50 do
      s:spawn(function(out, n) out:send(n) end, out, i)
    end
    for i = 1, 50 do assert.equal(i, out:receive(LONG)) end
  end)

  it("can be called by tasks of the session itself", function()
    local sum = s:spawn(function()
      local casting = require "casting"
      local here = casting.self():session()
      local tasks, sum = {}, 0
      for i = 1, 10 do
        tasks[i] = here:spawn(function(n) return n end, i)
      end
      for i = 1, 10 do sum = sum + tasks[i]:await() end
      return sum
    end):await(LONG)
    assert.equal(55, sum)
  end)

  it("runs in parallel with the main program", function()
    -- Neither waits for the other's computation.
    local ch = casting.channel(math.huge)
    s:spawn(function(ch) ch:send "alive" end, ch)
    local deadline = casting.now() + LONG
    local got
    repeat got = ch:try_receive() until got or casting.now() > deadline
    assert.equal("alive", got)
  end)
end)

describe("session:tasks", function()
  it("gives the tasks that are left", function()
    local s = casting.session()
    local gate = casting.channel()
    local mine = {}
    for i = 1, 3 do
      mine[i] = s:spawn(function(gate) gate:receive() end, gate)
    end
    for i = 1, 3 do helper.until_waiting(mine[i]) end
    local list = s:tasks()
    assert.equal("table", type(list))
    assert.equal(3, #list)
    local found = {}
    for _, task in ipairs(list) do found[task] = true end
    for i = 1, 3 do assert.is_true(found[mine[i]]) end
    gate:close()
    assert.is_true(s:wait(LONG))
    assert.equal(0, #s:tasks())
    s:close()
  end)
end)

describe("session:wait", function()
  it("is true when no task is left", function()
    local s = casting.session()
    assert.is_true(s:wait())
    local out = casting.channel(math.huge)
    for i = 1, 10 do
      s:spawn(function(out, n)
        local casting = require "casting"
        casting.sleep(0.005)
        casting.spawn(function()
          casting.yield()
          out:send(n)
        end)
      end, out, i)
    end
    assert.is_true(s:wait(LONG))
    assert.equal(10, out:len())
    s:close()
  end)

  it("ends at its timeout", function()
    local s = casting.session()
    local gate = casting.channel()
    s:spawn(function(gate) gate:receive() end, gate)
    local began = casting.now()
    assert.same(pack(nil, "timeout"), pack(s:wait(0.03)))
    assert.is_true(casting.now() - began >= 0.03)
    assert.same(pack(nil, "timeout"), pack(s:wait(0)))
    gate:close()
    assert.is_true(s:wait(LONG))
    s:close()
  end)

  it("is true when tasks fail, too", function()
    local s = casting.session()
    local task = s:spawn(function() error "on purpose" end)
    assert.is_true(s:wait(LONG))
    assert.is_false((task:join(LONG)))
    s:close()
  end)

  it("works in tasks, and for many", function()
    local s = casting.session()
    local gate = casting.channel()
    s:spawn(function(gate) gate:receive() end, gate)
    local other = casting.session()
    local waiters = {}
    for i = 1, 5 do
      waiters[i] = casting.spawn(function() return s:wait() end)
      waiters[5 + i] = other:spawn(function(s) return s:wait() end, s)
    end
    for i = 1, 10 do helper.until_waiting(waiters[i]) end
    gate:close()
    for i = 1, 10 do
      assert.same(pack(true, true), pack(waiters[i]:join(LONG)))
    end
    other:close()
    s:close()
  end)
end)

describe("session:close", function()
  it("ends tasks that wait", function()
    local s = casting.session()
    local ch = casting.channel()
    local tasks = {
      s:spawn(function(ch) ch:receive() end, ch),
      s:spawn(function(ch) ch:send(1) end, ch and casting.channel()),
      s:spawn(function() require "casting".sleep(1000) end),
      s:spawn(function(ch) require "casting".select{ch} end, ch),
      s:spawn(function(ch)
        local ok, message = pcall(function() ch:receive() end)
        return ok, message
      end, ch),
    }
    for i = 1, #tasks do helper.until_waiting(tasks[i]) end
    s:close()
    for i = 1, 4 do
      assert.is_false((tasks[i]:join(LONG)))
      assert.equal("cancelled", tasks[i]:status())
    end
    assert.is_false(tasks[5]:status() == "waiting")
    -- The dead do not take messages.
    assert.same(pack(nil, "full"), pack(ch:try_send(1)))
  end)

  it("makes further use an error", function()
    local s = casting.session()
    s:close()
    helper.misuse(function() s:spawn(function() end) end, "spawn", "closed")
    helper.misuse(function() s:spawn("return 1") end, "spawn", "closed")
    assert.equal("string", type(tostring(s)))
    assert.equal("string", type(s:name()))
  end)

  it("leaves the results of what has ended", function()
    local s = casting.session()
    local done = s:spawn(function() return {1, "kept"} end)
    local failed = s:spawn(function() error({"kept"}) end)
    s:wait(LONG)
    s:close()
    assert.same(pack(true, {1, "kept"}), pack(done:join(LONG)))
    assert.same(pack(false, {"kept"}), pack(failed:join(LONG)))
    assert.equal("done", done:status())
    assert.equal("failed", failed:status())
  end)

  it("can be called again, and by many at once", function()
    local s = casting.session()
    local gate = casting.channel()
    local waiting = s:spawn(function(gate) gate:receive() end, gate)
    helper.until_waiting(waiting)
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = casting.spawn(function() return pcall(s.close, s) end)
    end
    for i = 1, 5 do assert.is_true((tasks[i]:join(LONG))) end
    assert.is_false((waiting:join(LONG)))
    pcall(s.close, s)
  end)

  it("lets those who wait for it go", function()
    local s = casting.session()
    local gate = casting.channel()
    local inside = s:spawn(function(gate) gate:receive() end, gate)
    helper.until_waiting(inside)
    local waiter = casting.spawn(function() return pcall(s.wait, s) end)
    local joiner = casting.spawn(function() return inside:join() end)
    helper.until_waiting(waiter)
    helper.until_waiting(joiner)
    s:close()
    assert.is_true((waiter:join(LONG)))
    local ok, joined = joiner:join(LONG)
    assert.is_true(ok)
    assert.is_false(joined)
  end)

  it("runs the finalizers of its state", function()
    local ch = casting.channel(math.huge)
    local s = casting.session()
    s:spawn(function(ch)
      local function finish() ch:try_send "finalized" end
      local newproxy = rawget(_G, "newproxy")
      if newproxy then
        local p = newproxy(true)
        getmetatable(p).__gc = finish
        rawset(_G, "kept", p)
      else
        rawset(_G, "kept", setmetatable({}, {__gc = finish}))
      end
    end, ch):await(LONG)
    s:close()
    -- A finalizer that runs while the state closes may or may not be able to
    -- send; that it does no harm is what counts.
    local word = ch:try_receive()
    assert.is_true(word == nil or word == "finalized")
  end)

  it("is done by <close>", function()
    if helper.version < "5.4" then
      pending "<close> needs Lua 5.4"
      return
    end
    local s, value = assert(load [[
      local casting = require "casting"
      local s <close> = casting.session()
      return s, s:spawn("return 5"):await()
    ]])()
    assert.equal(5, value)
    helper.misuse(function() s:spawn("return 1") end, "closed")
  end)
end)

describe("a session whose handle is collected", function()
  it("goes on until its tasks have ended, then closes", function()
    local gate, out = casting.channel(), casting.channel(math.huge)
    local path = os.tmpname()
    do
      local s = casting.session()
      s:spawn(function(gate, out, path)
        -- Says in a file that the state was closed.
        local function finish()
          local file = io.open(path, "w")
          file:write "closed"
          file:close()
        end
        local newproxy = rawget(_G, "newproxy")
        if newproxy then
          local p = newproxy(true)
          getmetatable(p).__gc = finish
          rawset(_G, "kept", p)
        else
          rawset(_G, "kept", setmetatable({}, {__gc = finish}))
        end
        gate:receive()
        out:send "still running"
      end, gate, out, path)
    end
    for _ = 1, 4 do collectgarbage() end
    assert.equal("", helper.slurp(path))
    gate:close()
    assert.equal("still running", out:receive(LONG))
    helper.until_true(function()
      return helper.slurp(path) == "closed"
    end, "that the session closed")
    os.remove(path)
  end)

  it("is kept by the handles of its tasks' results", function()
    local task
    do
      local s = casting.session()
      task = s:spawn(function() return "a result" end)
    end
    for _ = 1, 4 do collectgarbage() end
    assert.same(pack(true, "a result"), pack(task:join(LONG)))
    for _ = 1, 4 do collectgarbage() end
    assert.same(pack(true, "a result"), pack(task:join(LONG)))
  end)
end)

describe("a session as a value", function()
  it("crosses and comes back as itself", function()
    local a, b = casting.session {name = "a"}, casting.session()
    local task = b:spawn(function(a)
      local value = a:spawn(function() return "from a" end):await()
      return a, a:name(), value
    end, a)
    local ok, got, name, value = task:join(LONG)
    assert.is_true(ok)
    assert.is_true(got == a)
    assert.equal("a", name)
    assert.equal("from a", value)
    a:close()
    b:close()
  end)
end)

describe("many sessions", function()
  it("live at the same time", function()
    local n = helper.slow > 1 and 100 or 1000
    local sessions = {}
    local out = casting.channel()
    local gate = casting.channel()
    for i = 1, n do
      sessions[i] = casting.session()
      sessions[i]:spawn(function(gate, out, number)
        gate:receive()
        out:send(number)
      end, gate, out, i)
    end
    gate:close()
    local sum = 0
    for _ = 1, n do sum = sum + (out:receive(LONG) or 0) end
    assert.equal(n * (n + 1) / 2, sum)
    for i = 1, n do sessions[i]:close() end
  end)

  it("form a chain", function()
    local n = helper.slow > 1 and 20 or 100
    local first = casting.channel()
    local last = first
    local sessions = {}
    for i = 1, n do
      local next_one = casting.channel()
      sessions[i] = casting.session()
      sessions[i]:spawn(function(from, to)
        for v in from do to:send(v + 1) end
        to:close()
      end, last, next_one)
      last = next_one
    end
    casting.spawn(function()
      for i = 1, 10 do first:send(i) end
      first:close()
    end)
    local count = 0
    for v in last do
      count = count + 1
      assert.equal(count + n, v)
    end
    assert.equal(10, count)
    for i = 1, n do sessions[i]:close() end
  end)

  it("come and go", function()
    local n = helper.slow > 1 and 50 or 500
    for i = 1, n do
      local s = casting.session()
      local v = s:spawn(function(x) return x end, i):await(LONG)
      if v ~= i then error("wrong result " .. tostring(v)) end
      if i % 2 == 0 then s:close() end
    end
    collectgarbage()
  end)
end)

describe("casting.threads", function()
  it("gives and sets the bounds", function()
    local min, max = casting.threads()
    assert.is_true(min >= 1)
    assert.is_true(max >= min)
    assert.same(pack(1, max), pack(casting.threads(1)))
    assert.same(pack(1, 3), pack(casting.threads(1, 3)))
    assert.same(pack(1, 3), pack(casting.threads()))
    assert.same(pack(2, 3), pack(casting.threads(2)))
    assert.same(pack(min, max), pack(casting.threads(min, max)))
  end)

  it("may be one for many sessions", function()
    local min, max = casting.threads()
    casting.threads(1, 1)
    local a, b = casting.channel(), casting.channel()
    local one, two = casting.session(), casting.session()
    one:spawn(function(a, b)
      for v in a do b:send(v + 1) end
      b:close()
    end, a, b)
    local task = two:spawn(function(a, b)
      local v = 0
      for _ = 1, 200 do
        a:send(v)
        v = b:receive()
      end
      a:close()
      return v
    end, a, b)
    assert.same(pack(true, 200), pack(task:join(LONG)))
    one:close()
    two:close()
    casting.threads(min, max)
  end)
end)
