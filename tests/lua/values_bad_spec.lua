-- values_bad_spec.lua - values that cross only in part, or not at all, and what
-- the errors say.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

local function through(...)
  local ch = casting.channel(1)
  ch:send(...)
  return ch:receive()
end

-- The values, to a function in a session of its own; what its join gives.
local function there(options, f, ...)
  local session = casting.session(options)
  local task = session:spawn(f, ...)
  local results = pack(task:join(LONG))
  session:close()
  return helper.unpack(results, 1, results.n)
end

local function fails(pattern, ok, message)
  assert.is_false(ok)
  assert.matches(pattern, tostring(message))
end

describe("tables are read raw", function()
  it("whatever __pairs, __index and __len say", function()
    local meta = {
      __pairs = function() error "__pairs called" end,
      __index = function() error "__index called" end,
      __len = function() error "__len called" end,
    }
    local t = through(setmetatable({1, 2, x = 3}, meta))
    assert.same({1, 2, 3}, {rawget(t, 1), rawget(t, 2), rawget(t, "x")})
    assert.is_function(getmetatable(t).__pairs)
  end)

  it("with a metatable that is protected", function()
    local t = through(setmetatable({1}, {__metatable = "private"}))
    assert.equal(1, t[1])
    assert.equal("private", getmetatable(t))
  end)
end)

describe("an environment of its own", function()
  it("goes along by value; its globals are the receiver's", function()
    local env = setmetatable({y = 2}, {__index = _G})
    local f
    if rawget(_G, "setfenv") then
      f = setfenv(loadstring "x = y return x, where, type(string)", env)
    else
      f = load("x = y return x, where, type(string)", "=f", "t", env)
    end
    local session = casting.session()
    session:spawn("where = 'there'"):await(LONG)
    assert.same(pack(2, "there", "table"), pack(session:spawn(f):await(LONG)))
    assert.is_nil(rawget(env, "x"))
    session:close()
  end)
end)

describe("__save", function()
  local function saving(f) return setmetatable({}, {__save = f}) end

  it("may raise: the send does, with the place", function()
    local ch = casting.channel(1)
    helper.misuse(function()
      ch:send(1, {list = {0, saving(function() error "no luck" end)}})
    end, "cannot send a table", "argument 2: .list[2]", "no luck")
    local thrown = {}
    local _, got = pcall(function()
      ch:send(saving(function() error(thrown) end))
    end)
    assert.is_true(got == thrown)
    assert.equal(0, ch:len())
  end)

  it("must return a constructor", function()
    for _, f in ipairs {function() end, function() return nil, 1 end,
      function() return "x" end} do
      helper.misuse(function() through {a = saving(f)} end,
        "argument 1: .a", "no constructor")
    end
  end)

  it("may return what has a __save, but not for ever", function()
    local function nested(n)
      return saving(function()
        if n == 0 then return tostring, "end" end
        return helper.unpack, {nested(n - 1)}
      end)
    end
    local unpack = rawget(_G, "unpack") or table.unpack
    local function chain(n)
      if n == 0 then return saving(function() return tostring, "end" end) end
      return saving(function() return unpack, {chain(n - 1)} end)
    end
    assert.equal("end", through(chain(30)))
    helper.misuse(function() through(chain(100)) end, "too deep")
    assert.equal("end", through(nested(0)))
    local endless = {}
    setmetatable(endless, {__save = function() return print, endless end})
    helper.misuse(function() through(endless) end, "returns it again")
  end)

  it("works for userdata", function()
    local new = rawget(_G, "newproxy")
    if not new then return end -- 5.1 and LuaJIT only
    local u = new(true)
    getmetatable(u).__save = function() return string.rep, "u", 3 end
    assert.equal("uuu", through(u))
    assert.equal("uuu", through({u})[1])
  end)

  it("names the argument that cannot cross", function()
    local co = coroutine.create(function() end)
    helper.misuse(function()
      through {x = saving(function() return print, {co} end)}
    end, "cannot send a coroutine", "argument 1: .x", "__save")
  end)
end)

describe("what cannot be rebuilt", function()
  it("raises where it arrives, and the channel goes on", function()
    package.preload["values_bad.here"] = function()
      return {new = function(what) error("cannot make " .. what) end}
    end
    local module = require "values_bad.here"
    package.preload["values_bad.here"] = nil
    local saver = setmetatable({}, {__save = function()
      return function(x) error("cannot make " .. x) end, "it"
    end})
    local ch = casting.channel(5)
    local session = casting.session()
    ch:send({deep = {module}})
    ch:send("first", {y = saver})
    ch:send "good"
    local results = session:spawn(function(ch)
      local a, why = pcall(ch.receive, ch)
      local b, other = pcall(ch.receive, ch)
      return a, why, b, other, ch:receive()
    end, ch):await(LONG)
    assert.is_false(results)
    results = pack(session:spawn(function(ch)
      local list = {}
      for i = 1, 3 do list[i] = {pcall(ch.receive, ch)} end
      return list
    end, (function()
      ch:send({deep = {module}})
      ch:send("first", {y = saver})
      ch:send "good"
      return ch
    end)()):await(LONG))[1]
    assert.is_false(results[1][1])
    assert.matches("module 'values_bad.here'", results[1][2])
    assert.matches("value 1: %.deep%[1%]", results[1][2])
    assert.is_false(results[2][1])
    assert.matches("value 2: %.y", results[2][2])
    assert.matches("cannot make it", results[2][2])
    assert.same({true, "good"}, results[3])
    session:close()
    package.loaded["values_bad.here"] = nil
  end)

  it("names the upvalue", function()
    package.preload["values_bad.up"] = function() return {} end
    local hidden = require "values_bad.up"
    package.preload["values_bad.up"] = nil
    fails("value 1: upvalue 'hidden'",
      there(nil, function() return hidden end))
    package.loaded["values_bad.up"] = nil
  end)
end)

describe("a session's memory limit", function()
  local big = {}
  for i = 1, 50000 do big[i] = {i} end

  it("stops a huge message, not the session", function()
    -- LuaJIT's memory may not be casting's; 5.1 does not collect its garbage
    -- when it runs out of memory.
    if helper.version == "5.1" then return end
    local ch = casting.channel(3)
    local session = casting.session {memory = 2000000}
    ch:send(big)
    ch:send(("x"):rep(3000000))
    ch:send "small"
    local list = session:spawn(function(ch)
      local list = {}
      for i = 1, 3 do
        local ok, what = pcall(ch.receive, ch)
        list[i] = tostring(ok) .. " " .. tostring(what)
        collectgarbage()
      end
      return list
    end, ch):await(LONG)
    assert.same({"false not enough memory", "false not enough memory",
      "true small"}, list)
    fails("memory", session:spawn(function(t) return #t end, big):join(LONG))
    assert.equal(5, session:spawn(function() return 5 end):await(LONG))
    session:close()
  end)

  it("stops a function that is too big to load", function()
    if helper.version == "5.1" then return end
    local lines = {"return {"}
    for i = 1, 40000 do lines[#lines + 1] = i .. ".5," end
    lines[#lines + 1] = "}"
    local f = assert((loadstring or load)(table.concat(lines, "\n")))
    local session = casting.session {memory = 1000000}
    fails("memory", session:spawn(f):join(LONG))
    assert.equal(5, session:spawn(function() return 5 end):await(LONG))
    session:close()
  end)
end)

describe("results that hold their own task", function()
  it("cross, and let it go", function()
    local session = casting.session()
    local task = session:spawn(function()
      local self = require "casting".self()
      return self, {self = self}, "more"
    end)
    local a, b, c = task:await(LONG)
    assert.is_true(a == task and b.self == task)
    assert.equal("more", c)
    local gone = setmetatable({task}, {__mode = "v"})
    task, a, b = nil, nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_nil(gone[1])
    session:close()
  end)

  it("cross when the handle crosses after the end", function()
    local task = casting.spawn(function()
      return {casting.self(), "kept"}
    end)
    task:join(LONG)
    assert.same(pack(true, "kept", true), pack(there(nil, function(task)
      local t = task:await()
      return t[2], t[1] == task
    end, task)))
  end)
end)
