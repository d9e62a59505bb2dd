-- account_spec.lua - what a sandbox and all that it makes may use together.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

local MEMORY = 3e6

local function box(options)
  options.sandbox = true
  return casting.session(options)
end

-- Calls f in a sandbox with little memory; returns what join does, and the
-- sandbox's figures at its end.
local function try(f, ...)
  local session = box{memory = MEMORY, tasks = 50}
  local task = session:spawn(f, ...)
  local ok, e, more = task:join(LONG)
  local stats = session:stats()
  return ok, tostring(e), stats, session, more
end

local function fails_at_limit(f, ...)
  local ok, e, stats, session = try(f, ...)
  assert.is_false(ok)
  assert.matches("not enough memory", e)
  assert.is_true(stats.memory <= MEMORY + 300000, stats.memory)
  assert.is_true(session:close(LONG))
end

describe("memory of a sandbox", function()
  local ways = {
    strings = function()
      keep = {} -- luacheck: ignore
      for i = 1, 1e6 do keep[i] = ("x"):rep(1000) .. i end -- luacheck: ignore
    end,
    ["long strings"] = function() return #("x"):rep(1e8) end,
    ["the work of patterns"] = function()
      local s = ("x"):rep(10000)
      return #s:gsub("x", s)
    end,
    ["content of channels"] = function()
      local c = require "casting"
      keep = c.channel(math.huge) -- luacheck: ignore
      local x = ("x"):rep(50000)
      for i = 1, 4000 do keep:send(x .. i) end -- luacheck: ignore
    end,
    ["small messages"] = function()
      local c = require "casting"
      keep = c.channel(math.huge) -- luacheck: ignore
      for i = 1, 1e6 do keep:send(i) end -- luacheck: ignore
    end,
    ["a message sent again and again"] = function()
      local c = require "casting"
      keep = c.channel(math.huge) -- luacheck: ignore
      local m = c.pack(1)
      for _ = 1, 1e6 do keep:send(m) end -- luacheck: ignore
    end,
    ["one string many times in a message"] = function()
      local c = require "casting"
      local t, s = {}, ("x"):rep(4000)
      for i = 1, 50000 do t[i] = s end
      keep = c.pack(t) -- luacheck: ignore
    end,
    ["sends of select"] = function()
      local c = require "casting"
      keep = c.channel(math.huge) -- luacheck: ignore
      for i = 1, 1e6 do c.select{{keep, i}} end -- luacheck: ignore
    end,
    ["packed messages"] = function()
      local c = require "casting"
      keep = {} -- luacheck: ignore
      local x = ("x"):rep(50000)
      for i = 1, 4000 do keep[i] = c.pack(x .. i) end -- luacheck: ignore
    end,
    channels = function()
      local c = require "casting"
      keep = {} -- luacheck: ignore
      for i = 1, 1e6 do keep[i] = c.channel() end -- luacheck: ignore
    end,
    timers = function()
      local c = require "casting"
      keep = {} -- luacheck: ignore
      for i = 1, 1e6 do keep[i] = c.after(1000) end -- luacheck: ignore
    end,
    ["ended tasks"] = function()
      local c = require "casting"
      keep = {} -- luacheck: ignore
      for i = 1, 1e6 do -- luacheck: ignore
        keep[i] = c.spawn(function() end) -- luacheck: ignore
        c.yield()
      end
    end,
    ["results that nobody takes"] = function()
      local c = require "casting"
      keep = {} -- luacheck: ignore
      local s = c.session{tasks = 5}
      for i = 1, 1e6 do -- luacheck: ignore
        local t = s:spawn("return ('x'):rep(20000) .. ...", i)
        keep[i] = t -- luacheck: ignore
        s:wait()
        assert(t:status() == "done", "not enough memory")
      end
    end,
    monitors = function()
      local c = require "casting"
      keep = c.channel(math.huge) -- luacheck: ignore
      local t = c.spawn(function() c.sleep(1000) end)
      for _ = 1, 1e6 do t:monitor(keep) end -- luacheck: ignore
    end,
    ["cases of select"] = function()
      local c = require "casting"
      local cases, one = {}, c.channel()
      for i = 1, 20000 do cases[i] = one end
      for _ = 1, 40 do c.spawn(c.select, cases) end
      c.yield()
      error "not enough memory"
    end,
    ["nested sessions"] = function()
      local c = require "casting"
      keep = {} -- luacheck: ignore
      for i = 1, 1e6 do -- luacheck: ignore
        keep[i] = c.session{libs = {}} -- luacheck: ignore
      end
    end,
    ["a session that it makes"] = function()
      local c = require "casting"
      return c.session():spawn([[local t = {}
        for i = 1, 200 do t[i] = ('x'):rep(1e6) .. i end keep = t]]):await()
    end,
  }
  for name, f in pairs(ways) do
    it("bounds " .. name, function() fails_at_limit(f) end)
  end

  it("counts what tasks that wait in C take", function()
    if helper.jit or helper.version == "5.1" then return end
    local _, _, stats = try(function()
      local c = require "casting"
      local gate = c.channel()
      for _ = 1, 20 do
        c.spawn(function()
          ("x"):gsub("x", function() gate:receive() end)
        end)
      end
      c.yield()
      return 1
    end)
    assert.is_true(stats.memory > 20 * 65536, stats.memory)
  end)

  it("comes back when others have taken what it has sent", function()
    local session = box{memory = MEMORY}
    local ch = casting.channel(math.huge)
    local task = session:spawn(function(c)
      for i = 1, 200 do c:send(("x"):rep(100000) .. i) end
      return "sent all"
    end, ch)
    local n = 0
    while n < 200 do
      local v = ch:receive(0.001)
      if v then n = n + 1 end
      if task:status() == "failed" then break end
    end
    -- Nothing waits for room: it may fail before that is taken. But then it can
    -- go on.
    while ch:try_receive() do n = n + 1 end
    collectgarbage()
    session:spawn("collectgarbage()"):await(LONG)
    assert.is_true(session:stats().memory < 1e6, session:stats().memory)
    session:close(LONG)
  end)

  it("is not asked for what others send to it", function()
    local session = box{memory = MEMORY}
    local ch = session:spawn(function()
      return require "casting".channel(math.huge)
    end):await(LONG)
    session:spawn(function()
      local c = require "casting"
      keep = c.channel(math.huge) -- luacheck: ignore
      for i = 1, 1e6 do keep:send(i) end -- luacheck: ignore
    end):join(LONG)
    for i = 1, 1000 do assert.is_true(ch:send(i)) end
    assert.equal(1000, #ch)
    assert.equal(1, ch:receive())
    session:close(LONG)
    for i = 2, 1000 do assert.equal(i, ch:receive()) end
  end)

  it("is left to those that it makes", function()
    local session = box{memory = MEMORY}
    local tight, all = session:spawn(function()
      local c = require "casting"
      local s = c.session{memory = 5e5, libs = {"string"}}
      local tight = pcall(function()
        s:spawn("return #('x'):rep(600000)"):await()
      end)
      s:close()
      s = c.session{libs = {"string"}}
      return tight, s:spawn("return #('x'):rep(600000)"):await()
    end):await(LONG)
    assert.is_false(tight)
    assert.equal(600000, all)
    session:close(LONG)
  end)
end)

describe("tasks of a sandbox", function()
  it("are 1000 unless its maker says otherwise", function()
    local session = box{}
    local n, e = session:spawn(function()
      local c = require "casting"
      local n = 0
      local _, e = pcall(function()
        while true do
          c.spawn(function() c.sleep(1000) end)
          n = n + 1
        end
      end)
      return n, e
    end):await(LONG)
    assert.equal(999, n)
    assert.matches("has its limit of 1000 tasks", e)
    assert.equal(1000, session:stats().tasks_max)
    session:close(LONG)
    session = box{tasks = math.huge}
    assert.is_nil(session:stats().tasks_max)
    session:close(LONG)
  end)

  it("are counted with those of sessions that it makes", function()
    local session = box{tasks = 5}
    local n, e = session:spawn(function()
      local c = require "casting"
      local a, b, n = c.session(), c.session{tasks = 100}, 0
      local _, e = pcall(function()
        for _ = 1, 100 do
          a:spawn("require 'casting'.sleep(1000)")
          n = n + 1
          b:spawn("require 'casting'.sleep(1000)")
          n = n + 1
        end
      end)
      return n, e
    end):await(LONG)
    assert.equal(4, n)
    assert.matches("shares the limit of 5 tasks", e)
    session:close(LONG)
  end)
end)

describe("cpu of a sandbox", function()
  it("is used by all that it makes", function()
    local session = box{cpu = 0.3}
    local loop = helper.loops "while true do end"
    local task = session:spawn(function()
      local c = require "casting"
      for _ = 1, 4 do
        c.session():spawn(loop)
      end
      c.sleep(1000)
    end)
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.matches("has used up its 0.3 seconds of cpu", tostring(e))
    assert.is_true(session:stats().cpu < 5, session:stats().cpu)
    assert.is_true(session:close(LONG))
  end)

  it("ends tasks that wait in sessions that it has made", function()
    local session = box{cpu = 0.2}
    local ch = casting.channel(math.huge)
    local task = session:spawn(helper.loops [[
      local report = ...
      local c = require "casting"
      local s = c.session()
      local t = s:spawn("require 'casting'.sleep(1000)")
      report:send(t)
      while true do end]], ch)
    local waits = ch:receive(LONG)
    local ok, e = waits:join(LONG)
    assert.is_false(ok)
    assert.matches("used up its 0.2 seconds", tostring(e))
    assert.is_false((task:join(LONG)))
    assert.is_true(session:close(LONG))
  end)

  local close = {
    ["a handler of xpcall"] = [[
      xpcall(function() while true do end end, function() while true do end end)
      while true do end]],
    ["a handler after a text that fails"] = [[
      pcall(xpcall, function() error "x" end, function() while true do end end)
      while true do pcall(function() while true do end end) end]],
    ["a __gc"] = [[
      pcall(setmetatable, {}, {__gc = function() while true do end end})
      local mt = {} local t = setmetatable({}, mt)
      mt.__gc = function() while true do end end
      t = nil collectgarbage() collectgarbage()
      while true do end]],
  }
  if helper.version >= "5.4" then
    close["a __close"] = [[
      local a <close> = setmetatable({}, {__close = function()
        while true do end end})
      local b <close> = setmetatable({}, {__close = function()
        while true do end end})
      while true do end]]
    close["a __close of a coroutine that was stopped"] = [[
      local co = coroutine.create(function()
        local x <close> = setmetatable({}, {__close = function()
          while true do end end})
        while true do end end)
      pcall(coroutine.resume, co)
      pcall(coroutine.close, co)
      while true do end]]
    close["a __close under wrap"] = [[
      local f = coroutine.wrap(function()
        local x <close> = setmetatable({}, {__close = function()
          while true do end end})
        while true do end end)
      pcall(f)
      while true do end]]
    close["a __close of a coroutine that waits"] = [[
      local co = coroutine.create(function()
        local x <close> = setmetatable({}, {__close = function()
          while true do end end})
        coroutine.yield() end)
      coroutine.resume(co)
      coroutine.close(co)
      while true do end]]
  end
  for name, text in pairs(close) do
    text = helper.loops(text)
    it("ends " .. name, function()
      local session = box{cpu = 0.1}
      local ok, e = session:spawn(text):join(LONG)
      assert.is_false(ok)
      assert.matches("used up", tostring(e))
      assert.is_true(session:close(LONG))
    end)
    it("ends " .. name .. " when the session closes", function()
      local session = box{}
      local gate = casting.channel(1)
      session:spawn("(...):send(1) " .. text, gate)
      gate:receive(LONG)
      assert.is_true(session:close(LONG))
    end)
  end
end)

describe("what a sandbox tells", function()
  it("has short names of its sessions", function()
    local session = box{}
    local ok, e = session:spawn(function()
      return require "casting".session{name = ("x"):rep(1000)}
    end):join(LONG)
    assert.is_false(ok)
    assert.matches("name must have at most 100 bytes", tostring(e))
    session:close(LONG)
  end)

  it("is cut in reports, and waits for room", function()
    local ch = casting.channel(math.huge)
    casting.on_error(ch)
    local session = box{memory = MEMORY, name = "loud"}
    session:spawn(function()
      local c = require "casting"
      for _ = 1, 2000 do
        pcall(c.spawn, function() error(("x"):rep(100000), 0) end)
        c.yield()
      end
    end):join(LONG)
    local report = ch:receive(LONG)
    assert.is_table(report)
    assert.is_true(#report.traceback <= 16384)
    session:close(LONG)
    casting.on_error(nil)
    local n = 0
    while ch:try_receive() do n = n + 1 end
    assert.is_true(n < 2000, n)
  end)

  it("has short reasons", function()
    local session = box{}
    local text = session:spawn(function()
      local c = require "casting"
      local t = c.spawn(function() c.sleep(1000) end)
      c.yield()
      t:cancel(("x"):rep(100000))
      local _, e = t:join()
      return tostring(e)
    end):await(LONG)
    assert.is_true(#text < 300, #text)
    session:close(LONG)
  end)
end)

describe("channels that hold themselves", function()
  -- What a sandbox around it counts when a session in it has closed.
  local function left_by(f)
    local outer = box{memory = 2e7}
    local before, after = outer:spawn(function(g)
      local c = require "casting"
      local s = c.session()
      s:spawn("return"):await()
      s:close()
      s = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      c.self():session()
      local before = c.self():session():stats().memory
      s = c.session{memory = 8e6}
      s:spawn(g):await()
      s:close()
      s = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      return before, c.self():session():stats().memory
    end, f):await(LONG)
    outer:close(LONG)
    return after - before
  end

  local ways = {
    ["one in itself"] = function()
      local c = require "casting"
      local ch = c.channel(math.huge)
      ch:send(ch)
      ch:send(("x"):rep(2e6), ch)
    end,
    ["two in each other"] = function()
      local c = require "casting"
      local a, b = c.channel(math.huge), c.channel(math.huge)
      a:send(b, ("x"):rep(1e6))
      b:send({deep = {a}}, ("x"):rep(1e6))
    end,
    ["one in a packed message in itself"] = function()
      local c = require "casting"
      local ch = c.channel(math.huge)
      ch:send{c.pack(ch, ("x"):rep(2e6))}
    end,
    ["one in the results of a task that it has"] = function()
      local c = require "casting"
      local ch = c.channel(math.huge)
      local s = c.session()
      local t = s:spawn("return ...", ch, ("x"):rep(1e6))
      t:await()
      ch:send(t)
      s:close()
    end,
  }
  for name, f in pairs(ways) do
    it("do not outlive the session: " .. name, function()
      local left = left_by(f)
      assert.is_true(left < 500000, left)
    end)
  end

  it("stay while somebody has them", function()
    local session = box{}
    local ch = session:spawn(function()
      local c = require "casting"
      local a, b = c.channel(math.huge), c.channel(math.huge)
      a:send(b)
      b:send(a, "here")
      return a
    end):await(LONG)
    session:close(LONG)
    local b = ch:receive(0)
    assert.equal("channel", tostring(b):match "%a+")
    local a, text = b:receive(0)
    assert.equal(ch, a)
    assert.equal("here", text)
  end)
end)
