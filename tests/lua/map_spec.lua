-- map_spec.lua - casting.map: a function over many items in many sessions.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

local function range(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

local function error_of(f, ...)
  local ok, e = pcall(f, ...)
  if ok then error("no error was raised", 2) end
  return e
end

describe("casting.map", function()
  it("gives the results in the order of the items", function()
    local results = casting.map(range(200), function(x)
      if x % 7 == 0 then require("casting").sleep(0.0005) end
      return x * x
    end)
    assert.equal(200, results.n)
    assert.equal(200, #results)
    for i = 1, 200 do assert.equal(i * i, results[i]) end
  end)

  for _, place in ipairs(helper.places) do
    it("works in " .. place[1], function()
      assert.same({2, 4, 6, n = 3}, place[2](function()
        return require("casting").map({1, 2, 3}, function(x) return 2 * x end)
      end))
    end)
  end

  it("gives f the item and its number, and keeps its first result", function()
    local results = casting.map({"a", "b"}, function(item, i, ...)
      return item .. i .. select("#", ...), "dropped"
    end)
    assert.same({"a10", "b20", n = 2}, results)
  end)

  it("carries values of any kind, nil and false too", function()
    local results = casting.map({{1, {2}}, false, "x"}, function(v)
      if v == "x" then return nil end
      return v
    end)
    assert.same({{1, {2}}, false, nil, n = 3}, results)
    results = casting.map({nil, 2, nil, n = 3}, function(v, i)
      return v == nil and "none " .. i or v
    end)
    assert.same({"none 1", 2, "none 3", n = 3}, results)
  end)

  it("takes f's upvalues along once", function()
    local table_of = {}
    for i = 1, 1000 do table_of[i] = i * 3 end
    local results = casting.map(range(50), function(i) return table_of[i] end)
    for i = 1, 50 do assert.equal(3 * i, results[i]) end
  end)

  it("does nothing for no items", function()
    assert.same({n = 0}, casting.map({}, error))
    assert.same({n = 0}, casting.map(function() end, error, {sessions = 3}))
  end)

  -- The names of the sessions in which n items are, when all have begun.
  local function names_of(n, options)
    local arrived, go = casting.channel(n), casting.channel()
    local opener = casting.spawn(function()
      for _ = 1, n do arrived:receive() end
      go:close()
    end)
    local results = casting.map(range(n), function()
      arrived:send(true)
      go:receive()
      return require("casting").self():session():name()
    end, options)
    assert.is_true((opener:join(LONG)))
    table.sort(results)
    return results
  end

  it("works in so many sessions", function()
    for n = 1, 4 do
      local wanted = {n = n}
      for i = 1, n do wanted[i] = "map " .. i end
      assert.same(wanted, names_of(n, {sessions = n}))
    end
  end)

  it("works in no more sessions than there are items", function()
    assert.same({"map 1", "map 2", n = 2}, names_of(2, {sessions = 100}))
    assert.same({"map 1", n = 1}, names_of(1))
  end)

  it("works in given sessions, and leaves them open", function()
    local sessions = {}
    for i = 1, 2 do
      sessions[i] = casting.session {init = function()
        _G.counter = 0
      end}
    end
    casting.map(range(30), function()
      _G.counter = _G.counter + 1
    end, {sessions = sessions})
    local sum = 0
    for i = 1, 2 do
      assert.is_true(sessions[i]:wait(LONG)) -- nothing of the map is left
      sum = sum + sessions[i]:spawn("return counter"):await(LONG)
    end
    assert.equal(30, sum)
  end)

  it("sends items in batches", function()
    for _, batch in ipairs {1, 3, 50, 1000} do
      local results = casting.map(range(100), function(x, i)
        return x == i and -x
      end, {batch = batch})
      assert.equal(100, results.n)
      for i = 1, 100 do assert.equal(-i, results[i]) end
    end
  end)

  it("takes iterators and channels", function()
    local n = 0
    local results = casting.map(function()
      n = n + 1
      if n <= 20 then return n end
    end, function(x) return x + 1 end, {batch = 3})
    assert.equal(20, results.n)
    assert.equal(21, results[20])

    local ch = casting.channel()
    local feeder = casting.spawn(function()
      for i = 1, 30 do ch:send(i) end
      ch:close()
    end)
    results = casting.map(ch, function(x) return 2 * x end)
    assert.equal(30, results.n)
    for i = 1, 30 do assert.equal(2 * i, results[i]) end
    assert.is_true((feeder:join(LONG)))
  end)

  it("has at most a window of items on their way", function()
    for _, window in ipairs {1, 3, 10} do
      local taken, finished, most = 0, 0, 0
      casting.map(function()
        if taken == 60 then return nil end
        taken = taken + 1
        if taken - finished > most then most = taken - finished end
        return taken
      end, function(x) return x end, {window = window, sessions = 2,
        progress = function(done) finished = done end})
      assert.equal(60, finished)
      assert.is_true(most <= window, most .. " of " .. window)
    end
  end)

  it("ends with an endless source when f fails", function()
    local n = 0
    local e = error_of(casting.map, function()
      n = n + 1
      return n
    end, function(x)
      if x == 100 then error("enough", 0) end
      if x > 100 then require("casting").sleep(1000) end
    end)
    assert.equal("enough", e.error)
    assert.equal(100, e.index)
    assert.is_true(n < 1000)
  end)

  it("tells of progress", function()
    local log = {}
    casting.map(range(5), function() end, {progress = function(done, total)
      log[#log + 1] = done .. "/" .. total
    end})
    assert.same({"1/5", "2/5", "3/5", "4/5", "5/5"}, log)
    log = {}
    local ch = casting.channel(1)
    ch:send("x")
    ch:close()
    casting.map(ch, function() end, {progress = function(done, total)
      log[#log + 1] = done .. "/" .. tostring(total)
    end})
    assert.same({"1/nil"}, log)
  end)

  it("computes in parallel", function()
    -- Each item waits for another one, in another session.
    local ch = casting.channel()
    local results = casting.map({1, 2, 3, 4}, function(i)
      if i % 2 == 1 then return ch:send(i) and "sent" end
      return ch:receive() and "received"
    end, {sessions = 4})
    assert.same({"sent", "received", "sent", "received", n = 4}, results)
  end)

  it("raises the first error with item and traceback", function()
    local ended = 0
    local e = error_of(casting.map, range(50), function(x)
      if x == 25 then error({code = x}) end
      return x
    end, {progress = function(done) ended = done end})
    assert.equal(25, e.error.code)
    assert.equal(25, e.index)
    assert.matches("stack traceback:\n", e.traceback)
    assert.matches("map_spec", e.traceback)
    assert.matches("^item 25: ", tostring(e))
    assert.is_true(ended < 50)
  end)

  it("tells errors and results that cannot cross", function()
    local e = error_of(casting.map, {1}, function()
      return coroutine.create(function() end)
    end)
    assert.matches("cannot send a coroutine", tostring(e.error))
    e = error_of(casting.map, {1}, function()
      error(setmetatable({coroutine.create(function() end)},
        {__tostring = function() return "my error" end}))
    end)
    assert.equal("my error", e.error)
    assert.equal(1, e.index)
  end)

  it("raises what cannot be sent, and leaves nothing behind", function()
    local co = coroutine.create(function() end)
    assert.matches("cannot send a coroutine",
      tostring(error_of(casting.map, {co}, function() end)))
    assert.matches("cannot send a coroutine.*upvalue 'co'",
      tostring(error_of(casting.map, {1}, function() return co end)))
  end)

  it("takes nothing along that can be in one session only", function()
    local a, b = casting.net.pair()
    helper.misuse(function()
      casting.map({1, 2}, function() return a:stats().read end, {sessions = 2})
    end, "#2", "'map'", "upvalue 'a'")
    assert.is_true(a:write "x") -- it is where it was
    assert.equal("x", b:read(1, helper.LONG))
    a:close()
    b:close()
  end)

  it("raises the errors of source and progress", function()
    local e = error_of(casting.map, function() error("source", 0) end,
      function() end)
    assert.equal("source", e)
    e = error_of(casting.map, range(50), function() end,
      {progress = function() error("progress", 0) end})
    assert.equal("progress", e)
  end)

  it("is cancelled with its caller", function()
    local session = casting.session()
    local started = casting.channel(100)
    local task = casting.spawn(casting.map, range(10), function()
      started:send(true)
      require("casting").sleep(1000)
    end, {sessions = {session}})
    assert.is_true(started:receive(LONG))
    task:cancel("enough")
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.equal("enough", e.reason)
    assert.is_true((session:wait(LONG)))
  end)

  it("fails if a session is closed under it", function()
    local session = casting.session()
    local started = casting.channel(100)
    local task = casting.spawn(casting.map, range(10), function()
      started:send(true)
      require("casting").sleep(1000)
    end, {sessions = {session}})
    assert.is_true(started:receive(LONG))
    session:close(LONG)
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.matches("map: a worker was stopped: cancelled", tostring(e))
  end)

  it("can be used in what it calls", function()
    local results = casting.map({1, 2}, function(x)
      return require("casting").map({1, 2, 3}, function(y) return 10 * x + y
      end, {sessions = 1})
    end)
    assert.same({{11, 12, 13, n = 3}, {21, 22, 23, n = 3}, n = 2}, results)
  end)

  it("crosses by name", function()
    local map = casting.map
    assert.same({2, n = 1}, casting.session():spawn(function()
      return map({1}, function(x) return x + 1 end, {sessions = 1})
    end):await(LONG))
  end)

  it("says what is wrong with its arguments, and where", function()
    local function f() end
    helper.misuse(function() casting.map() end, "map_spec", "#1", "'map'",
      "got nil")
    helper.misuse(function() casting.map(5, f) end, "#1", "got number")
    helper.misuse(function() casting.map({}) end, "map_spec", "#2",
      "function expected, got nil")
    helper.misuse(function() casting.map({}, f, 5) end, "#3",
      "table expected, got number")
    helper.misuse(function() casting.map({}, f, {x = 1}) end, "map_spec",
      "unknown option 'x'")
    for _, bad in ipairs {0, -1, 1.5, 0 / 0, math.huge, "2", true} do
      for _, name in ipairs {"sessions", "window", "batch"} do
        helper.misuse(function() casting.map({}, f, {[name] = bad}) end,
          "map_spec", name .. " must be an integer from 1 on")
      end
    end
    helper.misuse(function() casting.map({}, f, {sessions = {}}) end,
      "map_spec", "the list is empty")
    helper.misuse(function() casting.map({}, f, {sessions = {1}}) end,
      "item 1 is not a session")
    helper.misuse(function() casting.map({}, f, {progress = 1}) end,
      "progress must be a function")
    local closed = casting.session()
    closed:close()
    assert.matches("is closed", error_of(casting.map, {1}, f,
      {sessions = {closed}}))
  end)
end)
