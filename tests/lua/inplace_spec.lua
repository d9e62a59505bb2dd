-- inplace_spec.lua - blocking calls wherever Lua code can be.
-- SPDX-License-Identifier: MIT
--
-- Each scenario blocks where some VM cannot yield: under pcall, metamethods,
-- iterators, callbacks of C functions, loaders, nested coroutines. It runs in
-- the main program, in a task of the main state and in a session's task, and
-- is fed by a task of the same session (which must go on meanwhile) or by
-- another session.

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

local has_52 = helper.version > "5.1"

-- {name, body(ch), what it returns}. The channel gives 1, 2, 3, ...
local scenarios = {
  {"no boundary", function(ch)
    return ch:receive() + ch:receive()
  end, 3},

  {"pcall", function(ch)
    local ok, a = pcall(ch.receive, ch)
    local ok2, b = pcall(function() return ch:receive() end)
    local ok3, err = pcall(function()
      error("error " .. ch:receive(), 0)
    end)
    return tostring(ok and ok2 and not ok3) .. a .. b .. err
  end, "true12error 3"},

  {"nested pcall", function(ch)
    local function nest(n)
      if n == 0 then return ch:receive() end
      local ok, v = pcall(nest, n - 1)
      return ok and v + ch:receive()
    end
    return nest(10)
  end, 66},

  {"xpcall and its handler", function(ch)
    local ok, a = xpcall(function() return ch:receive() end, tostring)
    local failed, b = xpcall(function() error({ch:receive()}) end,
      function(e) return e[1] + ch:receive() end)
    return tostring(ok) .. a .. tostring(failed) .. b
  end, "true1false5"},

  {"__index and __newindex", function(ch)
    local log = {}
    local t = setmetatable({}, {
      __index = function(_, k) return k .. ch:receive() end,
      __newindex = function(_, k, v) log[k] = v + ch:receive() end,
    })
    t.x = 10
    return t.a .. t.b .. log.x
  end, "a2b311"},

  {"arithmetic metamethods", function(ch)
    local function event() return ch:receive() end
    local t = setmetatable({}, {__add = event, __sub = event, __mul = event,
      __div = event, __mod = event, __pow = event, __unm = event,
      __concat = event})
    local list = {t + 1, 1 - t, t * t, t / 2, t % 3, t ^ 2, -t, t .. "x",
      "x" .. t, 1 .. "y" .. t}
    return table.concat(list, " ")
  end, "1 2 3 4 5 6 7 8 9 110"},

  {"comparison metamethods", function(ch)
    local function event() return ch:receive() % 2 == 1 end
    local mt = {__eq = event, __lt = event, __le = event}
    local a, b = setmetatable({}, mt), setmetatable({}, mt)
    local list = {a == b, a ~= b, a < b, a <= b, a > b, a >= b}
    for i = 1, #list do list[i] = tostring(list[i]) end
    if a < b then list[#list + 1] = "seventh" end
    if a <= b then return "wrong" end
    list[#list + 1] = "eighth"
    return table.concat(list, " ")
  end, "true true true false true false seventh eighth"},

  {"__call", function(ch)
    local t = setmetatable({}, {__call = function(_, a, b)
      return a + b + ch:receive(), ch:receive()
    end})
    local x, y = t(10, 20)
    return x + y
  end, 33},

  {"__len", function(ch)
    local newproxy = rawget(_G, "newproxy")
    local t
    if newproxy then
      t = newproxy(true)
      getmetatable(t).__len = function() return ch:receive() end
    else
      t = setmetatable({}, {__len = function() return ch:receive() end})
    end
    return #t + #t
  end, 3},

  {"__tostring", function(ch)
    local t = setmetatable({}, {__tostring = function()
      return "text " .. ch:receive()
    end})
    return tostring(t) .. tostring(t)
  end, "text 1text 2"},

  {"an iterator", function(ch)
    local sum = 0
    local function upto(n)
      return function(_, i)
        if i < n then return i + 1, ch:receive() end
      end, nil, 0
    end
    for i, v in upto(5) do sum = sum + i * v end
    return sum
  end, 55},

  {"for ... in ch", function(ch)
    local sum = 0
    for v in ch do
      sum = sum + v
      if v == 10 then break end
    end
    return sum
  end, 55},

  {"nested loops", function(ch)
    local list = {}
    for v in ch do
      for w in ch do
        list[#list + 1] = w
        if w % 3 == 0 then break end
      end
      list[#list + 1] = "/" .. v
      if v > 6 then break end
    end
    return table.concat(list, " ")
  end, "2 3 /1 5 6 /4 8 9 /7"},

  {"table.sort", function(ch)
    local t, waits = {5, 3, 8, 1, 9, 2, 7}, 0
    table.sort(t, function(a, b)
      ch:receive()
      waits = waits + 1
      return a < b
    end)
    return table.concat(t) .. tostring(waits > 5)
  end, "1235789true"},

  {"an error through table.sort", function(ch)
    local ok, err = pcall(table.sort, {3, 2, 1}, function()
      error("from sort " .. ch:receive(), 0)
    end)
    return tostring(ok) .. err
  end, "falsefrom sort 1"},

  {"string.gsub", function(ch)
    return (("a-b-c"):gsub("%a", function(c) return c .. ch:receive() end))
  end, "a1-b2-c3"},

  {"sort in gsub in sort in pcall", function(ch)
    local ok, result = pcall(function()
      local out
      table.sort({2, 1}, function(a, b)
        ("x"):gsub(".", function()
          table.sort({2, 1}, function(c, d)
            out = ch:receive()
            return c < d
          end)
        end)
        return a < b
      end)
      return out
    end)
    return ok and type(result)
  end, "number"},

  {"require", function(ch)
    local name = "inplace_spec.module"
    package.preload[name] = function() return {ch:receive(), ch:receive()} end
    local m = require(name)
    package.preload[name], package.loaded[name] = nil, nil
    return m[1] + m[2]
  end, 3},

  {"dofile", function(ch)
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write "local ch = rawget(_G, 'inplace_channel')\n"
    file:write "return ch:receive() + ch:receive()\n"
    file:close()
    rawset(_G, "inplace_channel", ch)
    local sum = dofile(path)
    rawset(_G, "inplace_channel", nil)
    os.remove(path)
    return sum
  end, 3},

  {"a module file", function(ch)
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write "local ch = rawget(_G, 'inplace_channel')\n"
    file:write "return {value = ch:receive(), name = (...)}\n"
    file:close()
    rawset(_G, "inplace_channel", ch)
    local before = package.path
    package.path = path
    local m = require "inplace_spec.file"
    package.path, package.loaded["inplace_spec.file"] = before, nil
    rawset(_G, "inplace_channel", nil)
    os.remove(path)
    return m.name .. m.value
  end, "inplace_spec.file1"},

  {"load's reader function", function(ch)
    local f = load(function()
      local v = ch:receive()
      if v == 1 then return "return " end
      if v == 2 then return "40" end
      if v == 3 then return " + 2" end
      return nil
    end)
    return f()
  end, 42},

  {"coroutine.wrap", function(ch)
    local f = coroutine.wrap(function() return ch:receive() + ch:receive() end)
    return f()
  end, 3},

  {"a generator", function(ch)
    local list = {}
    for v in coroutine.wrap(function()
      for _ = 1, 5 do coroutine.yield(ch:receive() * 10) end
    end) do
      list[#list + 1] = v
    end
    return table.concat(list, " ")
  end, "10 20 30 40 50"},

  {"coroutines in coroutines", function(ch)
    local function nest(n)
      if n == 0 then return ch:receive() end
      local co = coroutine.create(function(x)
        local y = coroutine.yield(nest(n - 1))
        return x + y + ch:receive()
      end)
      local _, v = coroutine.resume(co, 100)
      local _, w = coroutine.resume(co, v)
      return w - 100
    end
    return nest(4)
  end, 15},

  {"a coroutine's values and status", function(ch)
    local co
    co = coroutine.create(function(a, b)
      local inside = coroutine.status(co)
      local v = ch:receive()
      local c = coroutine.yield(a + b + v, inside)
      error({c + ch:receive()})
    end)
    local ok, sum, inside = coroutine.resume(co, 10, 20)
    local suspended = coroutine.status(co)
    local failed, err = coroutine.resume(co, 5)
    return table.concat({tostring(ok), sum, inside, suspended,
      tostring(failed), err[1], coroutine.status(co)}, " ")
  end, "true 31 running suspended false 7 dead"},

  {"two coroutines by turns", function(ch)
    local function make(name)
      return coroutine.wrap(function()
        while true do coroutine.yield(name .. ch:receive()) end
      end)
    end
    local a, b = make "a", make "b"
    return a() .. b() .. b() .. a()
  end, "a1b2b3a4"},

  {"a coroutine that is moved to another task", function(ch)
    local casting = require "casting"
    local co = coroutine.wrap(function()
      local a = ch:receive()
      coroutine.yield()
      return a + ch:receive()
    end)
    co()
    return casting.spawn(function() return co() end):await()
  end, 3},

  {"every blocking call in gsub", function(ch)
    local casting = require "casting"
    local other, log = casting.channel(), {}
    local calls = {
      function() return ch:receive() end,
      function()
        casting.spawn(function() other:receive() end)
        return tostring(other:send(1))
      end,
      function()
        local i, v = casting.select{other, ch}
        return i .. ":" .. v
      end,
      function()
        casting.sleep(0.002)
        return "slept"
      end,
      function()
        casting.yield()
        return "yielded"
      end,
      function()
        return casting.spawn(function() return ch:receive() end):await()
      end,
      function()
        return select(2, other:receive(0.002))
      end,
    }
    ;("1234567"):gsub(".", function(i) log[#log + 1] = calls[tonumber(i)]() end)
    return table.concat(log, " ")
  end, "1 true 2:2 slept yielded 3 timeout"},

  {"deep recursion", function(ch)
    local function down(n)
      if n == 0 then return ch:receive() end
      return 1 + down(n - 1)
    end
    return down(5000)
  end, 5001},

  {"self and identity", function(ch)
    local casting = require "casting"
    local before, same = casting.self(), true
    ;("abc"):gsub(".", function()
      ch:receive()
      same = same and casting.self() == before
    end)
    return same
  end, true},
}

if has_52 or helper.jit then
  -- Where a coroutine.yield itself can leave a pcall.
  scenarios[#scenarios + 1] = {"pcall in a coroutine in pcall", function(ch)
    local ok, v = pcall(function()
      local f = coroutine.wrap(function()
        local _, a = pcall(function()
          local x = ch:receive()
          coroutine.yield(x)
          return x + ch:receive()
        end)
        return a
      end)
      return f() + f()
    end)
    return ok and v
  end, 4}
end

if has_52 then
  scenarios[#scenarios + 1] = {"__pairs", function(ch)
    local t = setmetatable({}, {__pairs = function()
      return next, {[ch:receive()] = ch:receive()}
    end})
    local sum = 0
    for k, v in pairs(t) do sum = sum + k + v end
    return sum
  end, 3}
end

if helper.version >= "5.4" then
  scenarios[#scenarios + 1] = {"__close", assert(load [[
    local ch = ...
    local log = {}
    local function make()
      return setmetatable({}, {__close = function(_, e)
        log[#log + 1] = tostring(e) .. ch:receive()
      end})
    end
    do
      local a <close> = make()
      local b <close> = make()
    end
    pcall(function()
      local c <close> = make()
      error("e", 0)
    end)
    for i in function(_, i) if i < 2 then return i + 1 end end, nil, 0, make()
    do
      log[#log + 1] = i
    end
    return table.concat(log, " ")
  ]]), "nil1 nil2 e3 1 2 nil4"}
  scenarios[#scenarios + 1] = {"coroutine.close", assert(load [[
    local ch = ...
    local got
    local co = coroutine.create(function()
      local x <close> = setmetatable({}, {__close = function()
        got = ch:receive()
      end})
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)
    return got
  ]]), 1}
end

-- Runs a body here, fed by a task of the session or by another session.
local function fed(body, from_elsewhere)
  local casting = require "casting"
  local ch = casting.channel()
  local function feed(ch)
    local i = 0
    repeat i = i + 1 until not ch:send(i)
  end
  local other
  if from_elsewhere then
    other = casting.session()
    other:spawn(feed, ch)
  else
    casting.spawn(feed, ch)
  end
  local result = body(ch)
  ch:close()
  if other then other:close() end
  return result
end

for _, place in ipairs(helper.places) do
  describe("blocking in " .. place[1] .. " under", function()
    for _, scenario in ipairs(scenarios) do
      it(scenario[1], function()
        assert.equal(scenario[3], place[2](fed, scenario[2], false))
        assert.equal(scenario[3], place[2](fed, scenario[2], true))
      end)
    end
  end)

  describe("in " .. place[1], function()
    it("twenty chained loops work", function()
      local function chain(stages, n)
        local casting = require "casting"
        local first = casting.channel()
        local last = first
        for _ = 1, stages do
          local from, to = last, casting.channel()
          casting.spawn(function()
            for v in from do to:send(v + 1) end
            to:close()
          end)
          last = to
        end
        casting.spawn(function()
          for i = 1, n do first:send(i) end
          first:close()
        end)
        local count = 0
        for v in last do
          count = count + 1
          if v ~= count + stages then return "wrong value" end
        end
        return count
      end
      assert.equal(50, place[2](chain, 20, 50))
      assert.equal(3, place[2](chain, 150, 3))
    end)

    it("hundreds of tasks block in place at once", function()
      local function many(n)
        local casting = require "casting"
        local gate, tasks, inside = casting.channel(), {}, 0
        for i = 1, n do
          tasks[i] = casting.spawn(function()
            local t = {2, 1}
            table.sort(t, function(a, b)
              inside = inside + 1
              gate:receive()
              return a < b
            end)
            return t[1]
          end)
        end
        while inside < n do casting.yield() end
        gate:close()
        local sum = 0
        for i = 1, n do sum = sum + tasks[i]:await() end
        return sum
      end
      local n = helper.slow > 1 and 50 or 300
      assert.equal(n, place[2](many, n))
    end)

    it("tasks that block in place still run one at a time", function()
      local function exclusive()
        local casting = require "casting"
        local ch, tasks, inside, most = casting.channel(1), {}, 0, 0
        local function critical()
          inside = inside + 1
          if inside > most then most = inside end
          local x = 0
          for i = 1, 200 do x = x + i end
          inside = inside - 1
          return x
        end
        for i = 1, 10 do
          tasks[i] = casting.spawn(function()
            for _ = 1, 20 do
              ("xy"):gsub(".", function()
                critical()
                ch:send(i)
                critical()
                ch:receive()
                critical()
              end)
            end
          end)
        end
        for i = 1, 10 do tasks[i]:await() end
        return most
      end
      assert.equal(1, place[2](exclusive))
    end)

    it("tasks hand values to and fro in callbacks", function()
      local function talk(rounds)
        local casting = require "casting"
        local there, back = casting.channel(), casting.channel()
        casting.spawn(function()
          (("x"):rep(rounds)):gsub(".", function()
            back:send(there:receive() + 1)
          end)
        end)
        local v = 0
        ;(("y"):rep(rounds)):gsub(".", function()
          there:send(v)
          v = back:receive()
        end)
        return v
      end
      assert.equal(100, place[2](talk, 100))
    end)
  end)
end

describe("sessions that block in place", function()
  it("talk to each other", function()
    local there, back = casting.channel(), casting.channel()
    local a, b = casting.session(), casting.session()
    local echo = a:spawn(function(there, back)
      (("x"):rep(100)):gsub(".", function()
        back:send(there:receive() + 1)
      end)
      return "end"
    end, there, back)
    local count = b:spawn(function(there, back)
      local v = 0
      ;(("y"):rep(100)):gsub(".", function()
        there:send(v)
        v = back:receive()
      end)
      return v
    end, there, back)
    assert.same(pack(true, 100), pack(count:join(LONG)))
    assert.same(pack(true, "end"), pack(echo:join(LONG)))
    a:close()
    b:close()
  end)

  it("can be closed", function()
    local s = casting.session()
    local ch, tasks = casting.channel(), {}
    for i, source in ipairs {
      "local ch = ... ('x'):gsub('.', function() ch:receive() end)",
      "local ch = ... table.sort({2, 1}, function() ch:receive() end)",
      "local ch = ... pcall(function() ch:receive() end)",
      "local ch = ... coroutine.wrap(function() ch:receive() end)()",
      "local ch = ... for v in ch do end",
      "local ch = ... local t = setmetatable({}, {__index = function() " ..
        "return ch:receive() end}) return t.x",
      "local ch = ... pcall(table.sort, {2, 1}, function() " ..
        "pcall(ch.receive, ch) ch:receive() end)",
    } do
      tasks[i] = s:spawn((source:gsub("^local ch = %.%.%.",
        "%0;", 1)), ch)
    end
    for i = 1, #tasks do helper.until_waiting(tasks[i]) end
    s:close()
    for i = 1, #tasks do
      assert.is_false(tasks[i]:status() == "waiting")
    end
    assert.same(pack(nil, "full"), pack(ch:try_send(1)))
  end)

  it("work with one thread", function()
    local min, max = casting.threads()
    casting.threads(1, 1)
    local s = casting.session()
    local sum = s:spawn(function()
      local casting = require "casting"
      local ch, tasks, sum = casting.channel(), {}, 0
      for i = 1, 20 do
        tasks[i] = casting.spawn(function()
          local v
          ;("x"):gsub(".", function() v = ch:receive() end)
          return v
        end)
      end
      for i = 1, 20 do ch:send(i) end
      for i = 1, 20 do sum = sum + tasks[i]:await() end
      return sum
    end):await(LONG)
    assert.equal(210, sum)
    s:close()
    casting.threads(min, max)
  end)

  it("have statuses and timeouts as others", function()
    local s = casting.session()
    local gate, late = casting.channel(), casting.channel(1)
    local task = s:spawn(function(gate, late)
      local r
      ;("x"):gsub(".", function()
        local a, b = gate:receive(0.01)
        late:send(true)
        local c, d = gate:receive()
        r = {tostring(a), b, c, tostring(d)}
      end)
      return r
    end, gate, late)
    helper.until_waiting(task)
    late:receive()
    gate:send "now"
    assert.same(pack(true, {"nil", "timeout", "now", "nil"}),
      pack(task:join(LONG)))
    s:close()
  end)
end)
