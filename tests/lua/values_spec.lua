-- values_spec.lua - what crosses between sessions, and what does not.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

local session
before_each(function() session = casting.session() end)
after_each(function() session:close() end)

-- The values, once into the session and back.
local function there_and_back(...)
  return session:spawn(function(...) return ... end, ...):await(LONG)
end

-- The values, through a channel in this session.
local function through(...)
  local ch = casting.channel(1)
  ch:send(...)
  return ch:receive()
end

describe("plain values", function()
  it("keep their number and their nils", function()
    assert.same(pack(true, nil, false, nil),
      pack(there_and_back(true, nil, false, nil)))
    assert.same(pack(), pack(there_and_back()))
    assert.same(pack(nil, nil), pack(there_and_back(nil, nil)))
    assert.same(pack(1, nil, nil), pack(through(1, nil, nil)))
  end)

  it("are floats of any kind", function()
    local floats = {0.0, 1.5, -1.5, 1e308, -1e308, 5e-324, 2^53, -2^53,
      2^63, -2^63, 2^64, 1 / 3, math.pi, math.huge, -math.huge}
    for _, x in ipairs(floats) do
      local y, z = there_and_back(x), through(x)
      assert.equal(x, y)
      assert.equal(x, z)
      if math.type then
        assert.equal("float", math.type(y))
        assert.equal("float", math.type(z))
      end
    end
    local zero = 0.0
    local minus = there_and_back(-zero)
    assert.equal(-math.huge, 1 / minus)
    local nan = there_and_back(0 / 0)
    assert.is_true(nan ~= nan)
    nan = through(0 / 0)
    assert.is_true(nan ~= nan)
  end)

  it("are integers of any size where there are integers", function()
    if not math.type then
      assert.equal(2^53, there_and_back(2^53))
      assert.equal(-123456789, there_and_back(-123456789))
      return
    end
    for _, x in ipairs {0, 1, -1, 127, 128, -128, -129, 255, 256, 32768,
      2147483647, -2147483648, 4294967296, math.maxinteger,
      math.mininteger} do
      local y, z = there_and_back(x), through(x)
      assert.equal("integer", math.type(y))
      assert.equal("integer", math.type(z))
      assert.equal(x, y)
      assert.equal(x, z)
    end
    local a, b = there_and_back(3, 3.0)
    assert.same({"integer", "float"}, {math.type(a), math.type(b)})
  end)

  it("are strings of any bytes and size", function()
    local all = {}
    for i = 0, 255 do all[i + 1] = string.char(i) end
    local bytes = table.concat(all)
    for _, s in ipairs {"", "a", "\0", "\0\0\0", "a\0b", bytes, "é€",
      bytes:rep(10), ("x"):rep(39), ("x"):rep(40), ("x"):rep(41),
      ("long "):rep(100000)} do
      assert.is_true(there_and_back(s) == s)
      assert.is_true(through(s) == s)
    end
    local list = {}
    for n = 0, 300 do list[n + 1] = ("y"):rep(n) end
    assert.same(list, there_and_back(list))
  end)

  it("are many at a time", function()
    local list = {}
    for i = 1, 200 do list[i] = i % 2 == 0 and i or "s" .. i end
    assert.same(list, {there_and_back(helper.unpack(list))})
  end)
end)

describe("tables", function()
  it("keep keys of any kind", function()
    local t = {1, 2, 3, nil, 5, [1.5] = "float", [-1] = "minus", [true] = "t",
      [false] = "f", x = {y = {z = "deep"}}, ["a b"] = 1, [2^40] = "large"}
    assert.same(t, there_and_back(t))
    assert.same(t, through(t))
    local ch = casting.channel()
    local by = there_and_back({[ch] = "a handle as a key"})
    assert.equal("a handle as a key", by[ch])
    local key = {}
    local copy, k = there_and_back({[key] = "value"}, key)
    assert.equal("value", copy[k])
  end)

  it("may be empty or large", function()
    assert.same({}, there_and_back({}))
    local array, hash = {}, {}
    for i = 1, 20000 do
      array[i] = i
      hash["k" .. i] = i
    end
    local a, h = there_and_back(array, hash)
    assert.equal(20000, #a)
    for i = 1, 20000 do
      if a[i] ~= i or h["k" .. i] ~= i then error("wrong at " .. i) end
    end
  end)

  it("share what is shared", function()
    local common = {"common"}
    local t = {common, common, {common}}
    local r, c = there_and_back(t, common)
    assert.is_true(r[1] == r[2])
    assert.is_true(r[1] == r[3][1])
    assert.is_true(r[1] == c)
    assert.is_false(r[1] == common)
  end)

  it("may have cycles", function()
    local t = {name = "t"}
    t.self, t[t] = t, "me"
    local u = {other = t}
    t.other = u
    local r = there_and_back(t)
    assert.equal("t", r.name)
    assert.is_true(r.self == r)
    assert.equal("me", r[r])
    assert.is_true(r.other.other == r)
  end)

  it("may be nested to any depth", function()
    local depth = helper.slow > 1 and 20000 or 200000
    local t = {}
    local inner = t
    for _ = 1, depth do
      inner[1] = {}
      inner = inner[1]
    end
    inner.bottom = "reached"
    local got = through(t)
    local count = 0
    while got[1] do got, count = got[1], count + 1 end
    assert.equal(depth, count)
    assert.equal("reached", got.bottom)
  end)

  it("may be nested through keys, metatables and upvalues", function()
    local t = {}
    local inner = t
    for i = 1, 3000 do
      local next_one = {}
      if i % 2 == 0 then
        inner[next_one] = "key"
      else
        setmetatable(inner, next_one)
      end
      inner = next_one
    end
    local got, count = through(t), 0
    while true do
      local next_one = getmetatable(got) or next(got)
      if not next_one then break end
      got, count = next_one, count + 1
    end
    assert.equal(3000, count)
    local f = function() return 0 end
    for _ = 1, 1000 do
      local g = f
      f = function() return g end
    end
    got, count = through(f), 0
    while true do
      got = got()
      if got == 0 then break end
      count = count + 1
    end
    assert.equal(1000, count)
  end)

  it("keep their metatables", function()
    local class = {}
    class.__index = class
    function class.new(x) return setmetatable({x = x}, class) end
    function class:double() return self.x * 2 end
    local a, b = class.new(4), class.new(5)
    local x, y = there_and_back(a, b)
    assert.equal(8, x:double())
    assert.equal(10, y:double())
    assert.is_true(getmetatable(x) == getmetatable(y))
    local sum = session:spawn(function(a, b)
      return a:double() + b:double()
    end, a, b):await(LONG)
    assert.equal(18, sum)
  end)

  it("are copied raw", function()
    local touched = 0
    local t = setmetatable({1}, {
      __index = function() touched = touched + 1 end,
      __newindex = function() touched = touched + 1 end,
      __len = function() touched = touched + 1 return 7 end,
      __pairs = function() touched = touched + 1 return next, {} end,
      __eq = function() touched = touched + 1 return true end,
    })
    local r = through(t)
    assert.equal(1, rawget(r, 1))
    assert.equal(0, touched)
  end)

  it("with a protected metatable cross", function()
    local t = setmetatable({1}, {__metatable = "protected",
      __index = {x = "found"}})
    local r = there_and_back(t)
    assert.equal(1, r[1])
    assert.equal("found", r.x)
    assert.equal("protected", getmetatable(r))
  end)

  it("of modules cross by name", function()
    package.preload["values_spec.class"] = function()
      local class = {}
      class.__index = class
      function class.new(x) return setmetatable({x = x}, class) end
      function class:get() return self.x end
      class.nested = {__index = {y = "nested"}}
      return class
    end
    local class = require "values_spec.class"
    local s = casting.session()
    local object, nested = s:spawn(function(o)
      local class = require "values_spec.class"
      assert(getmetatable(o) == class)
      assert(o:get() == "here")
      return class.new "there", setmetatable({}, class.nested)
    end, class.new "here"):await(LONG)
    assert.is_true(getmetatable(object) == class)
    assert.equal("there", object:get())
    assert.is_true(getmetatable(nested) == class.nested)
    assert.equal("nested", nested.y)
    s:close()
    package.loaded["values_spec.class"] = nil
    package.preload["values_spec.class"] = nil
  end)
end)

describe("functions", function()
  it("take their upvalues with them", function()
    local n, s, t = 1, "s", {x = 1}
    local f = function(y) return n + y, s, t.x end
    assert.same(pack(11, "s", 1), pack(session:spawn(f, 10):await(LONG)))
    local g = there_and_back(f)
    assert.same(pack(3, "s", 1), pack(g(2)))
    assert.is_false(f == g)
  end)

  it("may be recursive", function()
    local function factorial(n)
      return n <= 1 and 1 or n * factorial(n - 1)
    end
    assert.equal(120, session:spawn(factorial, 5):await(LONG))
    local copy = there_and_back(factorial)
    assert.equal(720, copy(6))
  end)

  it("may be mutually recursive", function()
    local even, odd
    function even(n) if n == 0 then return true end return odd(n - 1) end
    function odd(n) if n == 0 then return false end return even(n - 1) end
    assert.is_true(session:spawn(even, 10):await(LONG))
    assert.is_false(session:spawn(odd, 10):await(LONG))
    local e, o = there_and_back(even, odd)
    assert.is_true(e(4))
    assert.is_true(o(5))
  end)

  it("keep sharing upvalues", function()
    local count = 0
    local function add() count = count + 1 end
    local function get() return count end
    local a, g = there_and_back(add, get)
    a()
    a()
    if helper.version == "5.1" and not helper.jit then
      assert.is_true(g() == 2 or g() == 0)
    else
      assert.equal(2, g())
    end
    assert.equal(0, count)
  end)

  it("may have library functions and modules as upvalues", function()
    local insert, concat, fmt, max = table.insert, table.concat,
      string.format, math.max
    local str, own = string, casting
    local text, same = session:spawn(function()
      local list = {}
      insert(list, fmt("%d", max(1, 2, 3)))
      insert(list, str.upper "up")
      return concat(list, ","), own == require "casting" and str == string
        and insert == table.insert
    end):await(LONG)
    assert.equal("3,UP", text)
    assert.is_true(same)
    local f, m = there_and_back(string.format, math)
    assert.is_true(f == string.format)
    assert.is_true(m == math)
    assert.is_true(there_and_back(print) == print)
    assert.is_true(through(casting.channel) == casting.channel)
  end)

  it("may have modules written in Lua as upvalues", function()
    package.preload["values_spec.module"] = function()
      local m = {count = 0}
      function m.up() m.count = m.count + 1 return m.count end
      return m
    end
    local module = require "values_spec.module"
    module.up()
    local s = casting.session()
    local function body()
      return module.up(), module == require "values_spec.module"
    end
    -- The session's own instance of the module, not a copy of this one.
    assert.same(pack(1, true), pack(s:spawn(body):await(LONG)))
    assert.same(pack(2, true), pack(s:spawn(body):await(LONG)))
    assert.equal(1, module.count)
    s:close()
    package.loaded["values_spec.module"] = nil
    package.preload["values_spec.module"] = nil
  end)

  it("see the receiving session's globals", function()
    session:spawn("where = 'there'"):await(LONG)
    local f = assert((loadstring or load)("return where"))
    assert.equal("there", session:spawn(f):await(LONG))
    assert.is_nil((f()))
    local get = session:spawn("return function() return where end")
      :await(LONG)
    assert.is_nil((get()))
  end)

  it("may have many upvalues and nested functions", function()
    local a, b, c, d, e, f, g, h = 1, 2, 3, 4, 5, 6, 7, 8
    local function outer()
      local x = a + b + c + d
      return function()
        x = x + e + f + g + h
        return function() return x + a end
      end
    end
    assert.equal(37, session:spawn(function()
      return outer()()()
    end):await(LONG))
    local made = there_and_back(outer())
    assert.equal(37, made()())
  end)

  it("keep their names and lines for tracebacks", function()
    local ok, message = session:spawn(function() error "positioned" end)
      :join(LONG)
    assert.is_false(ok)
    assert.matches("values_spec%.lua:%d+: positioned", message)
  end)

  it("are in tables, keys and metatables", function()
    local f = function() return "f" end
    local t = setmetatable({f, [f] = "key", g = {f}}, {__call = f})
    local r = there_and_back(t)
    assert.equal("f", r[1]())
    assert.equal("key", r[r[1]])
    assert.is_true(r[1] == r.g[1])
    assert.equal("f", r())
  end)
end)

describe("handles", function()
  it("cross in any position", function()
    local ch, task = casting.channel(1), casting.spawn(function() end)
    local list = {ch, task, session, t = {[ch] = session}, f = function()
      return ch, session
    end}
    local r, direct = there_and_back(list, ch)
    assert.is_true(r[1] == ch and direct == ch)
    assert.is_true(r[2] == task)
    assert.is_true(r[3] == session)
    assert.is_true(r.t[ch] == session)
    local a, b = r.f()
    assert.is_true(a == ch and b == session)
    assert.is_true((task:join(LONG)))
  end)
end)

describe("__save", function()
  it("makes the receiver build the value", function()
    local point = {}
    local function rebuild(x, y)
      return {x = x, y = y, rebuilt = true}
    end
    point.__save = function(p) return rebuild, p.x, p.y end
    local p = setmetatable({x = 1, y = 2, secret = io.tmpfile()}, point)
    local r = through(p)
    assert.same({x = 1, y = 2, rebuilt = true}, r)
    local list = there_and_back({p, p})
    assert.is_true(list[1] == list[2])
    assert.equal(2, list[1].y)
  end)

  it("works for library functions", function()
    local p = setmetatable({}, {__save = function()
      return string.rep, "ab", 3
    end})
    assert.equal("ababab", there_and_back(p))
    assert.equal("ababab", through({p})[1])
  end)

  it("that fails tells so and sends nothing", function()
    local ch = casting.channel(1)
    local p = setmetatable({}, {__save = function() error "cannot save" end})
    assert.error_matches(function() ch:send(p) end, "cannot save")
    local q = setmetatable({}, {__save = function() return 5 end})
    assert.has_error(function() ch:send(q) end)
    assert.equal(0, ch:len())
  end)
end)

describe("what cannot cross", function()
  local function co() return coroutine.create(function() end) end

  it("is named with its path", function()
    local ch = casting.channel(1)
    local cases = {
      {{co()}, "coroutine", "argument 1"},
      {{1, co()}, "coroutine", "argument 2"},
      {{1, {handlers = {1, 2, {co = co()}}}}, "coroutine",
        "argument 2: .handlers[3].co"},
      {{{["odd key"] = co()}}, "coroutine", "argument 1", "odd key"},
      {{{[1] = {[2] = co()}}}, "coroutine", "[1][2]"},
      {{{[co()] = 1}}, "coroutine", "argument 1"},
      {{io.tmpfile()}, "userdata", "argument 1"},
      {{{file = io.tmpfile()}}, "userdata", ".file"},
      {{string.gmatch("a", "a")}, "function", "argument 1"},
    }
    for _, case in ipairs(cases) do
      helper.misuse(function() ch:send(helper.unpack(case[1])) end,
        "cannot send", helper.unpack(case, 2))
      assert.equal(0, ch:len())
    end
  end)

  it("is found in upvalues and metatables", function()
    local ch = casting.channel(1)
    local hidden = co()
    helper.misuse(function()
      ch:send(function() return hidden end)
    end, "coroutine", "hidden")
    helper.misuse(function()
      ch:send(setmetatable({}, {inside = hidden}))
    end, "coroutine", "inside")
    assert.equal(0, ch:len())
  end)

  it("changes nothing", function()
    local ch = casting.channel(2)
    ch:send "before"
    for _ = 1, 100 do
      assert.has_error(function() ch:send({1, {}, "x", co()}) end)
      assert.has_error(function() ch:try_send(1, co()) end)
      assert.has_error(function() casting.select{{ch, co()}} end)
    end
    assert.equal(1, ch:len())
    ch:send "after"
    assert.equal("before", ch:receive())
    assert.equal("after", ch:receive())
  end)

  it("does not disturb a receiver that waits", function()
    local ch = casting.channel()
    local task = casting.spawn(function() return ch:receive() end)
    helper.until_waiting(task)
    assert.has_error(function() ch:send({co()}) end)
    assert.equal("waiting", task:status())
    ch:send "good"
    assert.same(pack(true, "good"), pack(task:join(LONG)))
  end)
end)
