-- budget_spec.lua - what a session may use, and what it tells of that.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

describe("a limit of a session", function()
  it("must be a positive number", function()
    for _, name in ipairs {"memory", "cpu", "tasks"} do
      for _, bad in ipairs {0, -1, 0 / 0, -math.huge, "1", true, {}} do
        helper.misuse(function() casting.session{[name] = bad} end, name,
          "positive")
      end
      -- No limit.
      local session = casting.session{[name] = math.huge}
      assert.same(pack(true, 1), pack(session:spawn("return 1"):join(LONG)))
      session:close()
      session = casting.session{[name] = 2 ^ 60}
      assert.same(pack(true, 1), pack(session:spawn("return 1"):join(LONG)))
      session:close()
    end
    helper.misuse(function() casting.session{tasks = 1.5} end, "tasks",
      "positive integer")
    helper.misuse(function() casting.session{memory = 1.5} end, "memory")
    local ok, e = pcall(casting.session, {memory = 1})
    if ok then pending "a LuaJIT without limits of memory" end
    assert.matches("no Lua state can be made with 1 bytes", e)
  end)

  it("of memory is met in that session only", function()
    local session = casting.session{memory = 4e6}
    local task = session:spawn(function()
      local t = {} -- luacheck: ignore
      for i = 1, 1e9 do t[i] = ("x"):rep(100) .. i end
    end)
    local ok, e = task:join(LONG)
    if helper.jit and ok == nil then return end -- built without GC64
    assert.is_false(ok)
    assert.matches("not enough memory", tostring(e))
    assert.equal("failed", task:status())
    assert.same(pack(true, "goes on"), pack(session:spawn(
      "collectgarbage() return 'goes on'"):join(LONG)))
    assert.is_true(session:stats().memory <= 4e6)
    assert.equal(4e6, session:stats().memory_max)
    session:close()
  end)

  it("of tasks makes spawn fail", function()
    local session, gate = casting.session{tasks = 3}, casting.channel()
    local tasks = {} -- luacheck: ignore
    for i = 1, 3 do
      tasks[i] = session:spawn(function() gate:receive() end)
    end
    helper.misuse(function() session:spawn("return") end, "spawn",
      "limit of 3 tasks")
    local stats = session:stats()
    assert.equal(3, stats.tasks)
    assert.equal(3, stats.tasks_max)
    gate:close()
    assert.is_true(session:wait(LONG))
    local ok, message = session:spawn(function()
      local c = require "casting"
      local own = {}
      return pcall(function()
        while true do
          own[#own + 1] = c.spawn(function() c.sleep(1000) end)
        end
      end)
    end):await(LONG)
    assert.is_false(ok)
    assert.matches("limit of 3 tasks", message)
    assert.equal(6, session:stats().started)
    session:close()
  end)

  -- Nobody else wants the thread, so no slice ends.
  for name, loop in pairs {
    yield = "while true do pcall(casting.yield) end",
    sleep = "while true do casting.sleep(0) end",
    spawn = "while true do casting.spawn(function() end):join() end",
  } do
    it("of cpu ends tasks that block all the time: " .. name, function()
      local session = casting.session {cpu = 0.05}
      local idle = session:spawn "require 'casting'.sleep(1000)"
      local task = session:spawn("local casting = require 'casting' " .. loop)
      local ok, e = task:join(LONG)
      if name == "yield" then -- it catches the error
        assert.is_true(ok == nil or ok == false)
      else
        assert.is_false(ok)
        assert.matches("seconds of cpu", tostring(e))
      end
      ok, e = idle:join(LONG)
      assert.is_false(ok)
      assert.matches("seconds of cpu", e)
      session:close()
    end)
  end

  it("of cpu ends its tasks, as any error does", function()
    local session = casting.session{cpu = 0.05, name = "busy"}
    local sleeper = session:spawn(function()
      require "casting".sleep(1000)
    end)
    helper.until_waiting(sleeper)
    local task = session:spawn(helper.compute)
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.matches("'busy' has used up its 0%.05%d* seconds of cpu", e)
    assert.is_false(casting.is_cancelled(e))
    assert.equal("failed", task:status())
    ok, e = sleeper:join(LONG)
    assert.is_false(ok)
    assert.matches("seconds of cpu", e)
    helper.misuse(function() session:spawn("return 1") end, "spawn",
      "'busy' has used up")
    helper.until_true(function() return session:stats().cpu >= 0.05 end)
    assert.equal(0.05, session:stats().cpu_max)
    session:close()
  end)

  it("of cpu is not kept off by pcall", function()
    local session = casting.session{cpu = 0.02}
    local compute = helper.compute
    local task = session:spawn(function()
      while true do pcall(compute) end
    end)
    assert.is_false((task:join(LONG)))
    session:close()
  end)

  it("of cpu counts many short slices", function()
    local session = casting.session{cpu = 0.03}
    local task = session:spawn(function()
      local c = require "casting"
      while true do
        for _ = 1, 10000 do end
        c.sleep(0.0001)
      end
    end)
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.matches("seconds of cpu", e)
    session:close()
  end)
end)

describe("session:stats", function()
  it("gives figures", function()
    local session = casting.session{name = "s", cpu = math.huge}
    session:spawn("for i = 1, 1e5 do end"):join(LONG)
    session:wait(LONG)
    local stats = session:stats()
    assert.equal("s", stats.name)
    assert.equal(0, stats.tasks)
    assert.equal(1, stats.started)
    assert.is_nil(stats.tasks_max)
    assert.is_nil(stats.cpu_max)
    assert.is_true(stats.memory > 1000 or helper.jit)
    helper.until_true(function() return session:stats().cpu > 0 end)
    session:close()
    helper.misuse(function() session:stats() end, "stats", "closed")
    assert.is_nil(casting.session():stats().cpu)
  end)

  it("works in the main program's session", function()
    local task = casting.spawn(function()
      return casting.self():session():stats()
    end)
    local stats = task:await(LONG)
    assert.equal("main", stats.name)
    assert.is_true(stats.tasks >= 1)
  end)
end)
