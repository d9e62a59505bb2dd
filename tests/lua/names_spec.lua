-- names_spec.lua - what crosses by name, and what is copied.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

-- Sends a value through a channel of this state.
local function through(...)
  local ch = casting.channel(1)
  ch:send(...)
  return ch:receive()
end

-- Has it crossed by name?
local function named(v) return through(v) == v end

-- Modules that are in package.loaded by hand, until clear() is called.
local names = {}
local function load(name, module)
  names[#names + 1] = name
  package.loaded[name] = module
  return module
end
local function clear()
  for _, name in ipairs(names) do
    package.loaded[name], package.preload[name] = nil, nil
  end
  names = {}
end

describe("by name", function()
  after_each(clear)

  it("cross modules of all kinds, wherever they are", function()
    for _, module in ipairs {{}, {1, 2, 3}, {size = 3}, {f = function() end},
      {["__x"] = 1}, setmetatable({}, {__index = {}})} do
      load("names.module", module)
      assert.is_true(named(module))
      assert.is_true(through({x = {module}}).x[1] == module)
      assert.is_true(next(through({[module] = 1})) == module)
      assert.is_true(through(function() return module end)() == module)
      assert.is_true(getmetatable(through(setmetatable({}, module))) == module)
      local _, again = through({module}, module)
      assert.is_true(again == module)
    end
    assert.is_true(named(casting))
    assert.is_true(named(string))
  end)

  it("cross metatables in a module, one level deep at most", function()
    local two = ("__"):rep(30) -- a long string
    local module = load("names.module", {
      eq = {__eq = function() return true end},
      index = {__index = {}},
      own = {["__any"] = 1},
      empty = {["__"] = false},
      long = {[two] = 1, 1, 2, 3},
      many = {a = 1, b = 2, c = 3, d = {}, e = "e", __gc = 1, f = 4},
      group = {deep = {__lt = print}},
    })
    for _, key in ipairs {"eq", "index", "own", "empty", "long", "many"} do
      local mt = module[key]
      assert.is_true(named(mt))
      assert.is_true(getmetatable(through(setmetatable({}, mt))) == mt)
      local bare, object = through(mt, setmetatable({}, mt))
      assert.is_true(bare == mt and getmetatable(object) == mt)
      local first, second = through(setmetatable({}, mt), {{{mt}}})
      assert.is_true(getmetatable(first) == mt and second[1][1][1] == mt)
    end
    assert.is_true(named(module.group.deep))
    assert.is_true(named(casting.cancelled))
  end)

  it("cross C functions in a module", function()
    local resume = coroutine.wrap(function() end) -- some C function
    if helper.jit then resume = io.tmpfile().read end
    assert.has_error(function() through(resume) end)
    load("names.module", {f = resume})
    assert.is_true(named(resume))
    package.loaded["names.module"] = {inner = {f = resume}}
    assert.is_true(named(resume))
    package.loaded["names.module"] = resume
    assert.is_true(named(resume))
    package.loaded["names.module"] = {inner = {inner = {f = resume}}}
    assert.has_error(function() through(resume) end)
    assert.is_true(named(string.format))
    assert.is_true(named(print))
    assert.is_true(named(casting.sleep))
  end)

  it("do not cross other tables", function()
    local module = load("names.module", {
      servers = {"a", "b"},
      marker = {},
      group = {inner = {deeper = {__index = {}}}},
      [1] = {__index = {}},
      ["a\0b"] = {__index = {}},
    })
    for _, t in ipairs {module.servers, module.marker, module.group,
      module.group.inner, module.group.inner.deeper, module[1],
      module["a\0b"]} do
      assert.is_false(named(t))
      assert.is_false(getmetatable(through(setmetatable({}, t))) == t)
    end
    assert.same({"a", "b"}, through(module.servers))
    module.servers[3] = "c"
    assert.same({"a", "b", "c"}, through(module.servers))
    -- Those among the globals and in the standard libraries are the program's.
    rawset(_G, "names_class", {__index = {}})
    rawset(string, "names_class", {__index = {}})
    assert.is_false(named(rawget(_G, "names_class")))
    assert.is_false(named(rawget(string, "names_class")))
    rawset(_G, "names_class", nil)
    rawset(string, "names_class", nil)
    assert.is_false(named(package.loaded))
  end)

  it("do not cross what has a name that cannot be said", function()
    local module = {__index = {}}
    load("names\0module", module)
    assert.is_false(named(module))
    load(("x"):rep(70000), module)
    assert.is_false(named(module))
    package.loaded[7] = module
    assert.is_false(named(module))
    package.loaded[7] = nil
    load("names.module", module)
    assert.is_true(named(module))
  end)
end)

-- Run in a new session: sends messages in that order, and returns what became
-- of each.
local function run(order)
  local casting = require "casting"
  local ch = casting.channel(1)
  local module = {mt = {__eq = rawequal}, class = {}, plain = {}, list = {1}}
  module.class.__index = module.class
  module.group = {mt = {__lt = rawequal}, plain = {}}
  module.format = string.format
  package.loaded["history.module"] = module
  local data = {size = 1}
  package.loaded["history.data"] = data
  local own = {__index = {}}
  local function copied(v, w) return v == w and "named" or "copied" end
  local function through(...)
    ch:send(...)
    return ch:receive()
  end
  local messages = {
    function() return copied(module.mt, through(module.mt)) end,
    function()
      local object = through(setmetatable({}, module.mt))
      return copied(module.mt, getmetatable(object))
    end,
    function()
      local a, b = through(module.class, setmetatable({}, module.class))
      return copied(module.class, a) .. copied(module.class, getmetatable(b))
    end,
    function()
      local t = through({module.plain, module.list, data, module})
      return copied(module.plain, t[1]) .. copied(module.list, t[2]) ..
        copied(data, t[3]) .. copied(module, t[4])
    end,
    function()
      local o = through(setmetatable({data}, module.plain))
      return copied(module.plain, getmetatable(o)) .. copied(data, o[1])
    end,
    function()
      local mt, format = module.group.mt, string.format
      local a, b, c, d = through(function()
        return mt, own, format, data
      end)()
      return copied(mt, a) .. copied(own, b) .. copied(format, c) ..
        copied(data, d)
    end,
    function()
      local a, b, c = through(setmetatable({}, own), own, module.group)
      return copied(own, b) .. copied(getmetatable(a), b) ..
        copied(module.group.mt, c.mt) .. copied(module.group.plain, c.plain)
    end,
  }
  local results = {}
  for round = 1, 2 do
    for _, i in ipairs(order) do
      local result = messages[i]()
      if round == 2 and results[i] ~= result then
        error(("message %d: %s, then %s"):format(i, results[i], result))
      end
      results[i] = result
    end
  end
  return table.concat(results, " ")
end

describe("whether something crosses by name", function()
  after_each(clear)

  it("does not depend on what has crossed before", function()
    local want = "named named namednamed copiedcopiednamednamed " ..
      "copiednamed namedcopiednamednamed copiednamednamedcopied"
    local function try(...)
      local session = casting.session()
      local result = session:spawn(run, {...}):await(LONG)
      session:close()
      assert.equal(want, result)
    end
    -- Each one first, and each pair in both orders.
    for i = 1, 7 do
      for k = 1, 7 do
        local order = {i}
        if k ~= i then order[2] = k end
        for m = 7, 1, -1 do
          if m ~= i and m ~= k then order[#order + 1] = m end
        end
        try(helper.unpack(order))
      end
    end
    try(1, 2, 3, 4, 5, 6, 7)
  end)

  it("follows package.loaded", function()
    local old, new, mt = {}, {}, {__index = {}}
    assert.is_false(named(old))
    load("names.module", old)
    assert.is_true(named(old))
    package.loaded["names.module"] = new -- while the old one was known
    assert.is_true(named(new))
    assert.is_false(named(old))
    package.loaded["names.module"] = nil
    assert.is_false(named(new))
    rawset(package.loaded, "names.module", old)
    assert.is_true(named(old))
    package.loaded["names.module"] = nil
    load("names.other", old) -- under another name
    assert.is_true(named(old))
    load("names.module", {mt = mt})
    assert.is_true(named(mt))
    package.loaded["names.module"] = {}
    assert.is_false(named(mt))
    assert.is_false(getmetatable(through(setmetatable({}, mt))) == mt)
    package.loaded["names.module"] = {inner = {mt = mt}}
    assert.is_true(named(mt))
    assert.is_true(getmetatable(through(setmetatable({}, mt))) == mt)
  end)

  it("follows what is in the modules", function()
    local mt, plain = {__index = {}}, {x = 1}
    local module = load("names.module", {a = {}, plain = plain})
    for _ = 1, 2 do
      assert.is_false(named(mt))
      module.mt = mt
      assert.is_true(named(mt))
      module.mt = nil
      assert.is_false(named(mt))
      module.a.mt = mt
      assert.is_true(named(mt))
      module.a = {}
      assert.is_false(named(mt))
      module.b = module.a
      module.b.mt = mt
      assert.is_true(named(mt))
      module.a, module.b = {}, nil
      assert.is_false(named(plain))
      plain.__index = plain
      assert.is_true(named(plain))
      plain.__index = nil
      assert.is_false(named(plain))
      plain["__mine"] = true
      assert.is_true(named(plain))
      plain["__mine"] = nil
    end
  end)

  it("is right for a table where another one was", function()
    for i = 1, 200 do
      package.loaded["names.module"] = {n = i}
      local module = load("names.module", package.loaded["names.module"])
      assert.is_true(named(module))
      package.loaded["names.module"] = nil
      module = nil -- luacheck: ignore
      if i % 10 == 0 then collectgarbage() end
    end
    local session = casting.session()
    assert.is_true(session:spawn(function()
      local casting = require "casting"
      local ch = casting.channel(1)
      for i = 1, 500 do
        local t = {n = i}
        package.loaded.m = t
        ch:send(t)
        assert(ch:receive() == t, i)
        package.loaded.m, t = nil, nil -- luacheck: ignore 311
        collectgarbage()
        t = {n = i}
        ch:send(t)
        assert(ch:receive() ~= t, i)
        t = nil -- luacheck: ignore
        collectgarbage()
      end
      return true
    end):await(LONG))
    session:close()
  end)

  it("does not depend on a function that could not be copied", function()
    local hidden = coroutine.create(function() end)
    local module = load("names.module", {f = function() return hidden end})
    assert.is_true(named(module.f))
    hidden = nil
    assert.is_false(named(module.f))
    hidden = coroutine.create(function() end)
    assert.is_true(named(module.f))
  end)

  it("is found out without calling __save twice", function()
    local calls = 0
    local class = {__save = function() calls = calls + 1 return type, 1 end}
    local module = load("names.module", {mt = {__index = {}, __le = print}})
    local saved = setmetatable({}, class)
    local _, mt, o = through(saved, module.mt, setmetatable({}, module.mt))
    assert.equal(1, calls)
    assert.is_true(mt == module.mt and getmetatable(o) == module.mt)
    module.second = {__index = {}}
    through({module.second, saved, module.second, saved})
    assert.equal(2, calls)
    -- One that has a __save itself goes by name.
    module.third = setmetatable({__index = {}}, class)
    assert.is_true(named(module.third))
    assert.equal(2, calls)
    through(setmetatable({}, class), module.third)
    assert.equal(3, calls)
  end)

  it("is looked at again after a __save", function()
    local module, mt = {}, {__index = {}}
    local saver = setmetatable({}, {__save = function()
      load("names.module", module).mt = mt
      return function(m) return {m} end, module
    end})
    local t, m, object = through(saver, module, setmetatable({}, mt))
    assert.is_true(t[1] == module and m == module)
    assert.is_true(getmetatable(object) == mt)
    module.mt = nil
    local leaver = setmetatable({}, {__save = function()
      package.loaded["names.module"] = nil
      return type, 1
    end})
    local _, copy = through(leaver, module)
    assert.is_false(copy == module)
  end)

  it("is right with modules that finalizers load", function()
    local n = 0
    local function pile()
      if helper.version == "5.1" then
        local proxy = newproxy(true) -- luacheck: ignore
        getmetatable(proxy).__gc = function()
          n = n + 1
          package.loaded["names.gc" .. n % 50] = {n, mt = {__index = {}}}
          if n % 7 == 0 then package.loaded["names.gc" .. n % 31] = nil end
        end
      else
        setmetatable({}, {__gc = function()
          n = n + 1
          package.loaded["names.gc" .. n % 50] = {n, mt = {__index = {}}}
          if n % 7 == 0 then package.loaded["names.gc" .. n % 31] = nil end
        end})
      end
    end
    local module = load("names.module", {mt = {__index = {}}})
    for i = 1, 300 do
      for _ = 1, 5 do pile() end
      local t = load("names.new" .. i % 3, {x = {}})
      local a, b, c = through(t, {module.mt}, setmetatable({t.x}, module.mt))
      assert.is_true(a == t and b[1] == module.mt)
      assert.is_true(getmetatable(c) == module.mt)
      if i % 20 == 0 then collectgarbage() end
    end
    assert.is_true(n > 0)
    for i = 0, 50 do package.loaded["names.gc" .. i] = nil end
  end)

  it("does not take long where there are many", function()
    local records = {}
    for i = 1, 20000 do records[i] = {["__type"] = "x", n = i} end
    local big = load("names.big", {})
    for i = 1, 20000 do big["k" .. i] = {v = i} end
    big.k7.mt = {__index = {}}
    assert.equal(20000, #through(records))
    assert.is_true(named(big.k7.mt))
    local own = {__index = {}}
    for _ = 1, 20 do
      assert.is_false(getmetatable(through(setmetatable({}, own))) == own)
    end
  end)

  it("does not depend on package.loaded.casting", function()
    local sleep, cancelled = casting.sleep, casting.cancelled
    package.loaded.casting = nil
    local results = {pcall(function()
      return named(casting), named(sleep), named(cancelled)
    end)}
    package.loaded.casting = casting
    assert.same({true, true, true, true}, results)
  end)
end)

describe("a name", function()
  after_each(clear)

  -- What f returns in a session where `name` is what `make` returns, or an
  -- error without it.
  local function there(make, f)
    local session = casting.session {init = function()
      if make then package.loaded["names.module"] = make() end
    end}
    local ok, result = session:spawn(f):join(LONG)
    session:close()
    return ok, ok and result or tostring(result)
  end

  it("has its module required where it arrives", function()
    package.preload["names.module"] = function()
      local module = {mt = {__index = {}}, sub = {mt = {__index = {}}}}
      module.find = string.find
      return module
    end
    local module = require "names.module"
    load("names.module", module)
    local mt, deep = module.mt, module.sub.mt
    local object = setmetatable({}, deep)
    local ok, result = there(nil, function()
      local was = package.loaded["names.module"]
      local module = require "names.module"
      return was == module and mt == module.mt and deep == module.sub.mt and
        getmetatable(object) == module.sub.mt
    end)
    assert.same({true, true}, {ok, result})
  end)

  it("that nobody has there is an error", function()
    local module = load("names.module", {mt = {__eq = rawequal}})
    local mt = module.mt
    local ok, e = there(nil, function() return mt end)
    assert.is_false(ok)
    assert.matches("cannot receive 'names%.module%.mt' %(value 1: upvalue " ..
      "'mt'%): module 'names%.module' not found", e)
    ok, e = there(function() return {} end, function() return mt end)
    assert.is_false(ok)
    assert.matches("the module has no such member", e)
    ok, e = there(function() return {mt = 5} end, function() return mt end)
    assert.is_false(ok)
    assert.matches("it is a number here", e)
    ok, e = there(function() return true end, function() return mt end)
    assert.is_false(ok)
    assert.matches("cannot receive 'names%.module%.mt'", e)
    ok, e = there(function() return true end, function() return module end)
    assert.is_false(ok)
    assert.matches("it is a boolean here", e)
    ok, e = there(function() return print end, function() return module end)
    assert.is_false(ok)
    assert.matches("it is a function here", e)
  end)

  it("of a table is no function there, nor the other way round", function()
    local module = load("names.module", {mt = {__eq = rawequal}})
    local object = setmetatable({}, module.mt)
    local ok, e = there(function() return {mt = print} end,
      function() return object end)
    assert.is_false(ok)
    assert.matches("upvalue 'object' metatable", e)
    assert.matches("it is a function here", e)
    -- A C function that is in no library.
    local f = helper.jit and io.tmpfile().read or coroutine.wrap(function() end)
    module.f = f
    ok, e = there(function() return {f = {}} end, function() return f end)
    assert.is_false(ok)
    assert.matches("it is a table here", e)
    -- Another function may have its place.
    ok, e = there(function()
      return {f = function() return "other" end}
    end, function() return f() end)
    assert.same({true, "other"}, {ok, e})
  end)

  it("is that of the module where it holds in most states", function()
    local format = string.format
    rawset(string, "f", format) -- shorter, but nobody else's
    load("s", string)
    rawset(_G, "names_format", format)
    local ok, result = there(nil, function() return format("%d", 1) end)
    rawset(string, "f", nil)
    rawset(_G, "names_format", nil)
    clear()
    assert.same({true, "1"}, {ok, result})
    load("s", string)
    local lib = string
    ok, result = there(nil, function() return lib.rep("x", 2) end)
    assert.same({true, "xx"}, {ok, result})
  end)

  it("of a cancellation keeps its identity in both directions", function()
    local session = casting.session()
    local cancelled = casting.cancelled
    assert.is_true(session:spawn(function()
      return cancelled == require "casting".cancelled
    end):await(LONG))
    assert.is_true(session:spawn(function()
      return require "casting".cancelled
    end):await(LONG) == casting.cancelled)
    local task = session:spawn(function() require "casting".sleep(1000) end)
    task:cancel "why"
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(e))
    assert.is_true(session:spawn(function(e)
      local casting = require "casting"
      return casting.is_cancelled(e) and
        getmetatable(e) == casting.cancelled
    end, e):await(LONG))
    session:close()
  end)
end)
