-- values_again_spec.lua - functions that are sent again and again: loaded twice
-- at most, and every copy is as good as the first.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

local unpack = helper.unpack
local setupvalue, getupvalue = debug.setupvalue, debug.getupvalue

-- Copies of f, each out of a message of its own.
local function copies(f, n)
  local ch, list = casting.channel(1), {}
  for i = 1, n do
    ch:send(f)
    list[i] = ch:receive()
  end
  return list
end

describe("a function sent again", function()
  it("has variables of its own in each copy", function()
    local count = 10
    local function up(by)
      count = count + by
      return count
    end
    local list = copies(up, 6)
    for i, f in ipairs(list) do assert.equal(10 + i, f(i)) end
    for i, f in ipairs(list) do assert.equal(11 + i, f(1)) end
    assert.equal(10, count)
    for i = 2, 6 do assert.is_false(list[i] == list[i - 1]) end
  end)

  it("gets the upvalues of the time", function()
    local n = 0
    local function get() return n end
    local ch = casting.channel(1)
    for i = 1, 5 do
      n = i
      ch:send(get)
      assert.equal(i, ch:receive()())
    end
  end)

  it("may have anything in it", function()
    local base, name = {1, 2, 3}, "up"
    local function all(a, b, ...)
      local list = {...}
      local function inner(x)
        local function deeper() return x + #list + base[1] end
        return deeper()
      end
      local text = "a string of more than forty bytes, so that it is a long one"
      if a == nil then return 1.5, 2, -7, true, false, nil, text, "short" end
      for i = 1, b do list[#list + 1] = i end
      for _, v in pairs(base) do list[#list + 1] = v end
      while b > 0 do b = b - 1 end
      return inner(a), #list, name, 1e300, 123456789, tostring(select("#", ...))
    end
    for _, f in ipairs(copies(all, 5)) do
      assert.same({all(1, 2, "x", "y")}, {f(1, 2, "x", "y")})
      assert.same({all()}, {f()})
      for i = 1, 10 do
        local n, m = getupvalue(all, i), getupvalue(f, i)
        assert.equal(n, m)
        if not n then break end
      end
    end
  end)

  it("keeps its place in errors", function()
    local what = "here"
    local function bad() error("failed " .. what) end
    local _, expected = pcall(bad)
    for _, f in ipairs(copies(bad, 4)) do
      local _, got = pcall(f)
      assert.equal(expected, got)
    end
  end)

  it("has any number of upvalues", function()
    for n = 1, 60 do
      if n < 8 or n % 13 == 0 or n > 57 then
        local names = {}
        for i = 1, n do names[i] = "v" .. i end
        local list = table.concat(names, ",")
        local f = assert((loadstring or load)(("local %s return function() " ..
          "return %s end"):format(list, list)))()
        for i = 1, n do setupvalue(f, i, i * 3) end
        for _, copy in ipairs(copies(f, 4)) do
          local got = {copy()}
          for i = 1, n do
            if got[i] ~= i * 3 then error(n .. " upvalues: " .. i) end
          end
        end
      end
    end
  end)

  it("may be recursive, and share its upvalues", function()
    local even, odd
    function even(n) return n == 0 or odd(n - 1) end
    function odd(n) return n ~= 0 and even(n - 1) end
    local value = 1
    local function set(v) value = v end
    local function get() return value end
    local ch = casting.channel(1)
    for i = 1, 5 do
      ch:send(even, odd, set, get)
      local e, o, s, g = ch:receive()
      assert.is_true(e(10) and o(7) and not e(3))
      s(i)
      if helper.version ~= "5.1" or helper.jit then assert.equal(i, g()) end
    end
  end)

  it("twice in a message is two functions", function()
    local function make(n) return function() return n end end
    local f, g = make(1), make(2)
    local ch = casting.channel(1)
    for _ = 1, 4 do
      ch:send(f, g)
      local a, b = ch:receive()
      assert.same({1, 2}, {a(), b()})
    end
  end)

  it("sees the globals of where it is", function()
    local up = 1
    local function f() return where, up end -- luacheck: ignore
    local session = casting.session()
    session:spawn("where = 'there'"):await(LONG)
    for _ = 1, 4 do
      assert.same({"there", 1}, {session:spawn(f):await(LONG)})
    end
    session:close()
  end)

  it("survives the collector", function()
    local n = 5
    local function f(...) return n + select("#", ...) end
    local ch = casting.channel(1)
    for i = 1, 300 do
      ch:send(f)
      local g = ch:receive()
      if i % 50 == 0 then collectgarbage() end
      assert.equal(7, g(unpack {1, 2}))
    end
  end)
end)

describe("a function that came", function()
  local load = rawget(_G, "loadstring") or load

  -- From 5.5 on its code and long strings may stay where the message had them.
  it("outlives its message, and so does what it has returned", function()
    local session, list = casting.session(), {}
    for i = 1, 100 do -- more than are left where they lie
      list[i] = session:spawn(function(f)
        local kept = rawget(_G, "kept") or {}
        rawset(_G, "kept", kept)
        kept[#kept + 1] = f
        kept[f()] = true
        return #kept
      end, assert(load(("return '%s'"):format(("%d "):format(i):rep(2000)))))
      assert.equal(i, list[i]:await(LONG))
    end
    list = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    local texts = session:spawn(function()
      local n, first, last = 0, rawget(_G, "kept")[1], rawget(_G, "kept")[100]
      first, last = first(), last()
      for i = 1, 100 do rawget(_G, "kept")[i] = nil end
      for _ = 1, 4 do collectgarbage() end
      for text in pairs(rawget(_G, "kept")) do n = n + #text end
      return {n, first, last}
    end):await(LONG)
    local n = 0
    for i = 1, 100 do n = n + #("%d "):format(i) * 2000 end
    assert.same({n, ("1 "):rep(2000), ("100 "):rep(2000)}, texts)
    session:close()
  end)

  it("can be called by the last finalizers of its session", function()
    local path, session = os.tmpname(), casting.session()
    session:spawn(function(path, text)
      local function finalize()
        local file = io.open(path, "w")
        file:write(text())
        file:close()
      end
      local newproxy = rawget(_G, "newproxy")
      if newproxy then
        rawset(_G, "last", newproxy(true))
        getmetatable(rawget(_G, "last")).__gc = finalize
      else
        rawset(_G, "last", setmetatable({}, {__gc = finalize}))
      end
    end, path, assert(load(("return '%s'"):format(("x"):rep(9000)))))
      :await(LONG)
    session:close()
    assert.equal(("x"):rep(9000), helper.slurp(path))
    os.remove(path)
  end)
end)
