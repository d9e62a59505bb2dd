-- errors_spec.lua - misuse and bad input: a clear error, nothing lost.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG, misuse = helper.pack, helper.LONG, helper.misuse

local nan = 0 / 0

describe("wrong arguments", function()
  it("of channel", function()
    for _, bad in ipairs {{-1, "capacity"}, {nan, "capacity"},
      {1.5, "capacity"}, {-math.huge, "capacity"}, {{}, "number"},
      {"many", "number"}, {true, "number"}, {print, "number"}} do
      misuse(function() casting.channel(bad[1]) end, "#1", "'channel'",
        bad[2])
    end
    misuse(function() casting.channel(-1) end, "-1")
  end)

  it("of named", function()
    misuse(function() casting.named() end, "#1", "'named'", "string")
    misuse(function() casting.named({}) end, "#1", "'named'", "string")
    misuse(function() casting.named("errors_spec", -1) end, "#2", "'named'",
      "capacity")
    misuse(function() casting.named("errors_spec", "x") end, "#2", "'named'",
      "number")
  end)

  it("of after, every and sleep", function()
    for _, name in ipairs {"after", "every", "sleep"} do
      local f = casting[name]
      misuse(function() f() end, "#1", "'" .. name .. "'", "number")
      misuse(function() f({}) end, "#1", "'" .. name .. "'", "number")
      misuse(function() f("x") end, "#1", "'" .. name .. "'", "number")
      misuse(function() f(-1) end, "#1", "'" .. name .. "'", "seconds")
      misuse(function() f(nan) end, "#1", "'" .. name .. "'", "seconds")
    end
    misuse(function() casting.every(0) end, "#1", "'every'")
  end)

  it("of receive", function()
    local ch = casting.channel()
    for _, bad in ipairs {-1, nan, -math.huge, {}, "x", true} do
      misuse(function() ch:receive(bad) end, "'receive'")
    end
    misuse(function() ch:receive(-0.5) end, "#1", "'receive'", "timeout")
    misuse(function() ch:receive({}) end, "#1", "'receive'", "number")
  end)

  it("of send", function()
    local ch = casting.channel(1)
    misuse(function() ch:send() end, "#1", "'send'")
    misuse(function() ch:send(nil) end, "#1", "'send'", "nil")
    misuse(function() ch:try_send(nil, 1) end, "#1", "'try_send'", "nil")
    assert.equal(0, ch:len())
  end)

  it("of join, await and wait", function()
    local task = casting.spawn(function() end)
    local s = casting.session()
    for _, bad in ipairs {-1, nan, {}, "x"} do
      misuse(function() task:join(bad) end, "#1", "'join'")
      misuse(function() task:await(bad) end, "#1", "'await'")
      misuse(function() s:wait(bad) end, "#1", "'wait'")
    end
    assert.is_true((task:join(LONG)))
    s:close()
  end)

  it("of spawn", function()
    local s = casting.session()
    misuse(function() casting.spawn() end, "#1", "'spawn'", "function")
    for _, bad in ipairs {1, {}, true} do
      misuse(function() casting.spawn(bad) end, "#1", "'spawn'", "function")
      misuse(function() s:spawn(bad) end, "#1", "'spawn'", "function")
    end
    misuse(function() s:spawn() end, "#1", "'spawn'", "function")
    assert.equal(0, #s:tasks())
    s:close()
  end)

  it("of session", function()
    misuse(function() casting.session(1) end, "#1", "'session'", "table")
    misuse(function() casting.session "name" end, "#1", "'session'", "table")
    misuse(function() casting.session {name = {}} end, "'session'", "name")
    misuse(function() casting.session {libs = 1} end, "'session'", "libs")
    misuse(function() casting.session {libs = "some"} end, "'session'", "libs")
    misuse(function() casting.session {libs = {"nosuch"}} end, "'session'",
      "nosuch")
    misuse(function() casting.session {init = 1} end, "'session'", "init")
    misuse(function() casting.session {memory = -1} end, "'session'",
      "memory")
    misuse(function() casting.session {memory = "x"} end, "'session'",
      "memory")
    misuse(function() casting.session {nmae = "typo"} end, "'session'",
      "nmae")
  end)

  it("of threads", function()
    for _, bad in ipairs {0, -1, nan, 1.5, {}, "x"} do
      misuse(function() casting.threads(bad) end, "#1", "'threads'")
      misuse(function() casting.threads(1, bad) end, "#2", "'threads'")
    end
    misuse(function() casting.threads(3, 2) end, "'threads'")
    local min, max = casting.threads()
    assert.is_true(min <= max)
  end)

  it("of on_error", function()
    misuse(function() casting.on_error(1) end, "#1", "'on_error'", "channel")
    misuse(function() casting.on_error({}) end, "#1", "'on_error'",
      "channel")
  end)

  it("of select", function()
    local ch = casting.channel()
    misuse(function() casting.select() end, "#1", "'select'", "table")
    misuse(function() casting.select(ch) end, "#1", "'select'", "table")
    misuse(function() casting.select{1} end, "'select'", "case 1")
    misuse(function() casting.select{ch, "x"} end, "'select'", "case 2")
    misuse(function() casting.select{ch, true} end, "'select'", "case 2")
    misuse(function() casting.select{false, {}} end, "'select'", "case 2")
    misuse(function() casting.select{{1, 2}} end, "'select'", "case 1")
    misuse(function() casting.select{{ch}} end, "'select'", "case 1")
    misuse(function() casting.select{{ch, nil, 2}} end, "'select'", "case 1",
      "nil")
    misuse(function() casting.select{io.stdout} end, "'select'", "case 1")
    misuse(function()
      casting.select{casting.spawn(function() end)}
    end, "'select'", "case 1")
    for _, bad in ipairs {-1, nan, "x", {}, true} do
      misuse(function() casting.select{ch, timeout = bad} end, "'select'",
        "timeout")
    end
    misuse(function() casting.select{ch, tiemout = 1} end, "'select'",
      "tiemout")
  end)

  it("leave a select's channels alone", function()
    local a, b = casting.channel(1), casting.channel(1)
    a:send "kept"
    assert.has_error(function() casting.select{a, {b, 1}, "bad"} end)
    assert.has_error(function() casting.select{a, {b, 1}, timeout = -1} end)
    assert.equal(1, a:len())
    assert.equal(0, b:len())
    assert.equal("kept", a:receive())
  end)

  it("of report", function()
    for _, bad in ipairs {-1, 1.5, nan, -math.huge, {}, "x"} do
      misuse(function() casting.report(bad) end, "#1", "'report'")
    end
    for _, good in ipairs {0, 7, 1e12, math.huge} do
      assert.is_string(casting.report(good))
    end
  end)

  it("on a handle of another kind", function()
    local ch, s = casting.channel(), casting.session()
    local task = casting.spawn(function() end)
    for _, bad in ipairs {1, "x", {}, io.stdout, task, s} do
      misuse(function() ch.receive(bad) end, "'receive'", "channel")
      misuse(function() ch.send(bad, 1) end, "'send'", "channel")
      misuse(function() ch.close(bad) end, "'close'", "channel")
      misuse(function() ch.len(bad) end, "'len'", "channel")
    end
    for _, bad in ipairs {1, "x", {}, io.stdout, ch, s} do
      misuse(function() task.join(bad) end, "'join'", "task")
      misuse(function() task.status(bad) end, "'status'", "task")
    end
    for _, bad in ipairs {1, "x", {}, io.stdout, ch, task} do
      misuse(function() s.spawn(bad, print) end, "'spawn'", "session")
      misuse(function() s.wait(bad) end, "'wait'", "session")
    end
    misuse(function() ch.receive() end, "'receive'", "channel")
    misuse(function() task.join() end, "'join'", "task")
    misuse(function() s.wait() end, "'wait'", "session")
    assert.is_true((task:join(LONG)))
    s:close()
  end)

  it("are reported at the caller's line", function()
    local ok, message = pcall(function() casting.channel(-1) end)
    assert.is_false(ok)
    assert.matches("errors_spec%.lua:%d+:", message)
  end)

  it("are reported in tasks and sessions as well", function()
    for _, place in ipairs(helper.places) do
      local ok, message = place[2](function()
        local casting = require "casting"
        return pcall(function() casting.channel():receive(-1) end)
      end)
      assert.is_false(ok)
      assert.matches("bad argument #1 to 'receive'", message)
    end
  end)

  it("never reach a finished method by metatable tricks", function()
    local ch = casting.channel()
    local mt = getmetatable(ch)
    -- Either protected, or harmless to call with anything.
    if type(mt) == "table" then
      for _, name in ipairs {"__gc", "__len", "__call", "__tostring", "__eq",
        "__close"} do
        local f = rawget(mt, name)
        if f then
          pcall(f)
          pcall(f, 1)
          pcall(f, {})
          pcall(f, io.stdout)
          pcall(f, io.stdout, io.stdout)
        end
      end
    end
    assert.equal(0, ch:len())
  end)
end)

describe("bad input", function()
  it("send on a closed channel", function()
    local ch = casting.channel(1)
    ch:close()
    assert.same(pack(nil, "closed"), pack(ch:send(1)))
    assert.same(pack(nil, "closed"), pack(ch:try_send(1)))
    assert.same(pack(nil, "closed"), pack(ch:send({}, "x")))
    -- Bad values are errors all the same.
    assert.has_error(function() ch:send(nil) end)
    assert.has_error(function() ch:send(coroutine.create(function() end)) end)
  end)

  it("use of a closed session", function()
    local s = casting.session()
    s:close()
    misuse(function() s:spawn(print) end, "spawn", "closed")
    local other = casting.session()
    local ok, message = other:spawn(function(s)
      return pcall(s.spawn, s, "return 1")
    end, s):await(LONG)
    assert.is_false(ok)
    assert.matches("closed", message)
    other:close()
  end)

  it("a spawned text that does not compile", function()
    local s = casting.session()
    for _, text in ipairs {"", "return", "x =", "\27Lua", "\27LJ", "\0",
      ("("):rep(1000), "for", "return 'unfinished"} do
      local ok, message = pcall(function()
        return s:spawn(text):await(LONG)
      end)
      if text == "" or text == "return" then
        assert.is_true(ok)
      else
        assert.is_false(ok)
        assert.equal("string", type(message))
      end
    end
    s:close()
  end)

  it("an init that fails", function()
    for _, init in ipairs {
      function() error "the init" end,
      function() error({"the init"}) end,
      function() local x = nil; return x.field end,
    } do
      local ok = pcall(function()
        casting.session({init = init}):spawn(function() end):await(LONG)
      end)
      assert.is_false(ok)
    end
  end)

  it("an init that waits", function()
    local ch = casting.channel()
    local task = casting.spawn(function()
      return casting.session {init = function() ch:receive() end}
    end)
    -- Whether the creator or the session waits, the session is usable then.
    local sender = casting.spawn(function() ch:send(1) end)
    local ok, s = task:join(LONG)
    assert.is_true(ok)
    assert.equal(1, s:spawn("return 1"):await(LONG))
    assert.is_true((sender:join(LONG)))
    s:close()
  end)

  it("errors that are not strings", function()
    local s = casting.session()
    for _, where in ipairs {"here", "there"} do
      local spawn = where == "here" and casting.spawn or function(...)
        return s:spawn(...)
      end
      assert.same(pack(false, {1}), pack(spawn(function()
        error({1})
      end):join(LONG)))
      assert.same(pack(false, 5), pack(spawn(function()
        error(5, 0)
      end):join(LONG)))
      assert.same(pack(false, false), pack(spawn(function()
        error(false)
      end):join(LONG)))
      assert.is_false((spawn(function() error(nil) end):join(LONG)))
      assert.is_false((spawn(function() error(error) end):join(LONG)))
      assert.is_false((spawn(function()
        error(setmetatable({}, {__tostring = function() error "twice" end}))
      end):join(LONG)))
    end
    s:close()
  end)

  it("errors in __gc", function()
    local result = helper.run [[
      local casting = require "casting"
      local function failing()
        local newproxy = rawget(_G, "newproxy")
        if newproxy then
          local p = newproxy(true)
          getmetatable(p).__gc = function() error "in gc" end
          return p
        end
        return setmetatable({}, {__gc = function() error "in gc" end})
      end
      casting.spawn(function()
        local _ = failing()
        _ = nil
        pcall(collectgarbage)
        pcall(collectgarbage)
      end):join()
      local s = casting.session()
      print(s:spawn(function(failing)
        rawset(_G, "kept", failing())
        local _ = failing()
        _ = nil
        pcall(collectgarbage)
        pcall(collectgarbage)
        return "still here"
      end, failing):await())
      s:close()
      print "end"
    ]]
    assert.equal("still here\nend\n", result.out)
    assert.equal(0, result.status)
  end)

  it("tell in a main program where they came from", function()
    local program = [[
      local casting = require "casting"
      local task = casting.session():spawn(function()
        local function raises_it() error("boom", 0) end
        raises_it()
        return 1
      end)
      local function awaits_it() task:await(60) end
      print(pcall(awaits_it))
      print(coroutine.resume(coroutine.create(awaits_it)))
      awaits_it()
    ]]
    local result = helper.run(program)
    assert.equal("false\tboom\nfalse\tboom\n", result.out)
    assert.equal(1, result.status)
    assert.matches("boom\nstack traceback:\n.-raises_it.-\n" ..
      "awaited by the main program\nstack traceback:.-awaits_it", result.err)
  end)

  it("errors in __close", function()
    if helper.version < "5.4" then
      pending "<close> needs Lua 5.4"
      return
    end
    local s = casting.session()
    local text = [[
      local x <close> = setmetatable({}, {__close = function()
        error("in close", 0)
      end})
      local ch = ...
      if ch then ch:receive() end
      return 1
    ]]
    assert.same(pack(false, "in close"), pack(s:spawn(text):join(LONG)))
    -- While a session closes, too.
    local task = s:spawn(text, casting.channel())
    helper.until_waiting(task)
    s:close()
    assert.is_false((task:join(LONG)))
  end)

  it("errors in on_error", function()
    assert.equal("end\n", helper.output [[
      local casting = require "casting"
      local ch = casting.channel()
      casting.on_error(ch)
      ch:close()
      casting.spawn(function() error "nobody can take this" end)
      casting.sleep(0.01)
      for i = 1, 4 do collectgarbage() end
      casting.sleep(0.01)
      print "end"
    ]])
  end)

  it("errors that cannot cross to on_error", function()
    assert.equal("userdata\tstring\nend\n", helper.output [[
      local casting = require "casting"
      local ch = casting.channel(math.huge)
      casting.on_error(ch)
      local task = casting.spawn(function()
        error(coroutine.create(function() end))
      end)
      local failure = ch:receive(15)
      assert(task:status() == "failed") -- and not collected before
      print(type(failure.task), type(failure.traceback))
      print "end"
    ]])
  end)

  it("errors in on_error without memory to pack them", function()
    local result = helper.run [[
      local casting = require "casting"
      local failures = casting.channel(math.huge)
      casting.on_error(failures)
      local function spawn_on()
        local casting = require "casting"
        while true do casting.spawn(casting.sleep, 100) end
      end
      for memory = 300000, 480000, 20001 do
        local session = casting.session{memory = memory}
        assert(not session:spawn(spawn_on):join())
        assert(session:close(60))
      end
      local failure = failures:try_receive()
      while failure do
        assert(failure.error:find("memory", 1, true), failure.error)
        assert(failure.traceback:find(failure.error, 1, true))
        assert(failure.session)
        failure = failures:try_receive()
      end
      print "end"
    ]]
    assert.equal("", result.err)
    assert.equal("end\n", result.out)
  end)

  it("a task that joins itself", function()
    local ok, message = casting.spawn(function()
      casting.self():join()
    end):join(LONG)
    assert.is_false(ok)
    assert.matches("join", message)
    assert.matches("itself", message)
    local s = casting.session()
    ok, message = s:spawn(function()
      require "casting".self():await()
    end):join(LONG)
    assert.is_false(ok)
    assert.matches("itself", message)
    s:close()
  end)

  it("a session that its own task waits for or closes", function()
    local s = casting.session()
    local task = s:spawn(function(s)
      local ok1 = pcall(s.wait, s, 0.01)
      local ok2 = pcall(s.close, s)
      return ok1, ok2
    end, s)
    -- Whatever it does, it ends.
    local ok = task:join(LONG)
    assert.is_true(ok ~= nil)
    pcall(s.close, s)
  end)

  it("endless recursion", function()
    local s = casting.session()
    local texts = {
      "local function f() return 1 + f() end return f()",
      "local function f() local ok = pcall(f) return ok end return f()",
      "local t = setmetatable({}, {}) getmetatable(t).__index = " ..
        "function(t, k) return t[k .. 'x'] end return t.x",
    }
    if not helper.jit then
      -- This crashes LuaJIT by itself, at any size of the C stack.
      texts[#texts + 1] = "local s = 'x' local function f() " ..
        "return (s:gsub('.', f)) end return f()"
    end
    for _, text in ipairs(texts) do
      local ok, message = s:spawn(text):join(LONG * 2)
      assert.is_true(ok ~= nil)
      assert.is_true(ok or message ~= nil)
    end
    assert.equal(1, s:spawn("return 1"):await(LONG))
    s:close()
  end)

  it("too many results or values", function()
    local s = casting.session()
    local n = s:spawn("return select('#', ...)",
      helper.unpack({}, 1, 200)):await(LONG)
    assert.equal(200, n)
    assert.equal(5000, select("#", s:spawn(
      "return (table.unpack or unpack)({}, 1, 5000)"):await(LONG)))
    s:close()
  end)
end)
