-- jit_spec.lua - the option `jit`, and what computes on LuaJIT.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG
local jit = rawget(_G, "jit")

-- What f returns in a new session.
local function inside(options, f)
  local session = casting.session(options)
  local results = pack(session:spawn(f):join(LONG))
  session:close()
  return results
end

describe("the option jit", function()
  it("is a boolean, or not there", function()
    for _, bad in ipairs {0, 1, "off", {}} do
      helper.misuse(function() casting.session {jit = bad} end,
        "jit must be a boolean")
    end
    for _, options in ipairs {{}, {jit = true}, {jit = false},
      {jit = true, cpu = 100}, {jit = false, tasks = 2}} do
      assert.same(pack(true, 1), inside(options, function() return 1 end))
    end
  end)

  if not jit then return end

  it("says whether anything is compiled", function()
    local function status() return (rawget(_G, "jit").status()) end
    for _, case in ipairs {
      {true, {}}, {true, {jit = true}}, {false, {jit = false}},
      {false, {cpu = 10}}, {true, {cpu = 10, jit = true}},
      {true, {cpu = math.huge}}, {true, {tasks = 5}},
      {false, {cpu = math.huge, jit = false}},
      {false, {memory = 4e6}}, {true, {memory = 4e6, jit = true}},
      {true, {memory = math.huge}},
    } do
      assert.same(pack(true, case[1]), inside(case[2], status))
    end
  end)

  it("cannot be undone in the session", function()
    assert.same(pack(true, false, false, nil), inside({jit = false}, function()
      local j = require "jit"
      j.on()
      j.on(nil)
      local first = j.status()
      j.on(true)
      j.on(true, true)
      j.opt.start(3)
      local function f() return function() end end
      j.on(f)
      j.on(f, true)
      j.off(f, false)
      j.on(f, false)
      for _ = 1, 1000 do f() end
      return first, j.status() or require "jit.util".traceinfo(1) ~= nil,
        (debug.getupvalue(j.on, 1))
    end))
    for _, bad in ipairs {"1", "'f'", "{}", "print"} do
      assert.same(pack(true, false), inside({jit = false},
        ("return (pcall(jit.on, %s))"):format(bad)))
    end
  end)
end)

if not jit then return end

describe("on LuaJIT", function()
  local endless = helper.loops "while true do end"
  local spin = loadstring(endless)
  jit.off(spin)

  -- A function that is interpreted wherever it is called.
  local function interpreted()
    local j = require "jit"
    local f = loadstring(endless)
    j.off(f)
    return f
  end

  it("interpreted code is stopped in any session", function()
    local session = casting.session()
    for _, body in ipairs {
      function() return interpreted()() end,
      function() coroutine.wrap(interpreted())() end,
      function() table.sort({2, 1}, interpreted()) end,
    } do
      local started = casting.channel(1)
      local task = session:spawn(function()
        for i = 1, 1000 do started:try_send(i) end -- is compiled
        return body()
      end)
      started:receive(LONG)
      task:cancel "enough"
      local ok, e = task:join(LONG)
      assert.is_false(ok)
      assert.is_true(casting.is_cancelled(e))
    end
    assert.same(pack(true, true, nil, "timeout"), pack(session:spawn(function()
      local c = require "casting"
      return require "jit".status(), c.with_timeout(0.01, interpreted())
    end):join(LONG)))
    session:close()
  end)

  it("interpreted code gives way in any session", function()
    casting.threads(1, 1)
    local session, other = casting.session(), casting.session()
    local busy = session:spawn(function() return interpreted()() end)
    assert.is_true(other:spawn(function()
      for _ = 1, 3 do require "casting".sleep(0.001) end
    end):join(LONG))
    busy:cancel()
    assert.is_false((busy:join(LONG)))
    casting.threads(1, 256)
    session:close()
    other:close()
  end)

  it("tasks of the main program are stopped, too", function()
    local task = casting.spawn(spin)
    casting.session():spawn(function(t)
      require "casting".sleep(0.01)
      t:cancel()
    end, task)
    assert.is_false((task:join(LONG)))
    assert.equal("cancelled", task:status())
  end)

  it("the program keeps its debug hook", function()
    local function hook() end
    local task = casting.spawn(function()
      debug.sethook(hook, "l", 10000019)
      spin()
    end)
    casting.session():spawn(function(t)
      require "casting".sleep(0.01)
      t:cancel()
    end, task)
    assert.is_false((task:join(LONG)))
    local got, mask, count = debug.gethook()
    debug.sethook()
    assert.equal(hook, got)
    assert.same(pack("l", 10000019), pack(mask, count))

    -- The error of a wait is raised by a hook.
    task = casting.spawn(function()
      debug.sethook(hook, "c", 10000019)
      casting.sleep(1000)
    end)
    casting.yield()
    task:cancel()
    assert.is_false((task:join(LONG)))
    got, mask, count = debug.gethook()
    debug.sethook()
    assert.equal(hook, got)
    assert.same(pack("c", 10000019), pack(mask, count))
  end)
end)
