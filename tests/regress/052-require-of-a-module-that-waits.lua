-- A module that waits while it is loaded, required by two tasks of a session:
-- from 5.2 on it was loaded twice, and each had a module of its own; on 5.1 and
-- LuaJIT the second one failed ("loop or previous error").
-- still: loads begin in the order of the spawns.
-- SPDX-License-Identifier: MIT
local require = require -- as it is before casting is loaded
local _, missing = pcall(function() return (require "no.such.module") end)
local casting = require "casting"
local v51 = _VERSION == "Lua 5.1"

-- What each kind of state has to do; it is copied into a session, too.
local function work(v51)
  local casting = require "casting"
  local LOOP = "loop or previous error loading module '%s'"
  local loads = {}

  -- A module that counts its loads and then does what `body` does.
  local function define(name, body)
    loads[name] = 0
    package.loaded[name] = nil
    package.preload[name] = function(...)
      loads[name] = loads[name] + 1
      return body(...)
    end
  end

  local function count(name, n)
    assert(loads[name] == n, name .. ": " .. loads[name] .. " loads")
  end

  local function fails_with(task, text)
    local ok, e = task:join()
    assert(not ok and tostring(e):find(text, 1, true), tostring(e))
  end

  -- One load, and the same for all.
  define("slow", function()
    for _ = 1, 3 do casting.yield() end
    casting.sleep(0.001)
    return {}
  end)
  local tasks = {}
  for i = 1, 20 do
    tasks[i] = casting.spawn(i % 2 == 0 and require or function()
      return (require "slow")
    end, "slow")
  end
  local slow = require "slow"
  for i = 1, 20 do assert(select(2, tasks[i]:join()) == slow) end
  count("slow", 1)
  assert(package.loaded.slow == slow)

  -- What it returns, or does not.
  for name, value in pairs {none = false, number = 7, text = "t"} do
    define(name, function()
      casting.yield()
      if value then return value end
    end)
    local a, b = casting.spawn(require, name), casting.spawn(require, name)
    local expected = value or true
    assert(select(2, a:join()) == expected and select(2, b:join()) == expected)
    assert(package.loaded[name] == expected)
    count(name, 1)
  end

  -- An error: 5.1 remembers it, later versions try again.
  define("broken", function()
    casting.yield()
    error "it is broken"
  end)
  tasks = {}
  for i = 1, 3 do tasks[i] = casting.spawn(require, "broken") end
  fails_with(tasks[1], "it is broken")
  for i = 2, 3 do
    fails_with(tasks[i], v51 and LOOP:format "broken" or "it is broken")
  end
  count("broken", v51 and 1 or 3)
  -- One that is caught while the task goes on.
  define("caught", function()
    casting.yield()
    if loads.caught == 1 then error "for once" end
    return "loaded"
  end)
  local go = casting.channel()
  local function deep(n) -- deeper than the call of require was
    if n > 0 then return (deep(n - 1)) end
    return go:receive()
  end
  local first = casting.spawn(function()
    local ok = pcall(require, "caught")
    assert(not ok)
    return (deep(20))
  end)
  local second = casting.spawn(require, "caught")
  if v51 then
    fails_with(second, LOOP:format "caught")
  else
    assert(second:await() == "loaded")
  end
  go:close()
  first:join()

  -- In a coroutine, which dies of it.
  define("coroutine", function()
    casting.yield()
    if loads.coroutine == 1 then error "for once" end
    return "loaded"
  end)
  go = casting.channel()
  first = casting.spawn(function()
    local co = coroutine.create(function() return require "coroutine" end)
    assert(not coroutine.resume(co))
    go:receive()
    return coroutine.status(co)
  end)
  second = casting.spawn(require, "coroutine")
  local ok = second:join()
  assert(ok == not v51)
  go:close()
  assert(first:await() == "dead")

  -- Who loads is cancelled, or past its deadline: then the next one loads it.
  define("stopped", function()
    if loads.stopped == 1 then casting.sleep(1000) end
    return "loaded"
  end)
  first = casting.spawn(require, "stopped")
  second = casting.spawn(require, "stopped")
  casting.yield()
  first:cancel()
  assert(second:await() == "loaded")
  assert(first:status() == "cancelled")
  count("stopped", 2)
  define("late", function()
    if loads.late == 1 then casting.sleep(1000) end
    return "loaded"
  end)
  second = casting.spawn(function()
    repeat casting.yield() until loads.late == 1
    return (require "late")
  end)
  local none, why = casting.with_timeout(0.02, require, "late")
  assert(none == nil and why == "timeout")
  assert(require "late" == "loaded")
  assert(second:await() == "loaded")
  count("late", 2)

  -- Who waits is cancelled, or past its deadline.
  go = casting.channel()
  define("gate", function()
    go:receive()
    return "open"
  end)
  first = casting.spawn(require, "gate")
  second = casting.spawn(require, "gate")
  local third = casting.spawn(casting.with_timeout, 0.01, require, "gate")
  casting.yield()
  second:cancel "enough"
  fails_with(second, "enough")
  none, why = third:await()
  assert(none == nil and why == "timeout")
  go:close()
  assert(first:await() == "open" and require "gate" == "open")
  count("gate", 1)

  -- In a circle. Alone:
  define("self", function() return (require "self") end)
  fails_with(casting.spawn(require, "self"),
    v51 and LOOP:format "self" or "overflow")
  -- Two of them, and three: all hear of it, at once.
  for n = 2, 3 do
    for i = 1, n do
      define("circle" .. i, function()
        casting.sleep(0.001)
        return (require("circle" .. i % n + 1))
      end)
    end
    tasks = {}
    for i = 1, n do tasks[i] = casting.spawn(require, "circle" .. i) end
    for i = 1, n do fails_with(tasks[i], "loop or previous error loading") end
    for i = 1, n do count("circle" .. i, 1) end
  end
  -- One who can do without.
  define("left", function()
    casting.yield()
    return {right = require "right"}
  end)
  define("right", function()
    casting.yield()
    local ok, e = pcall(require, "left")
    assert(not ok and e:find(LOOP:format "left", 1, true))
    return "alone"
  end)
  first = casting.spawn(require, "left")
  second = casting.spawn(require, "right")
  assert(first:await().right == "alone" and second:await() == "alone")

  -- A module that waits for the end of who requires it, sooner or later.
  for name, wait in pairs {
    joins = function(task) return select(2, task:join()) end,
    awaits = function(task) return select(2, pcall(task.await, task)) end,
    yields = function(task)
      casting.yield()
      return select(2, task:join())
    end,
    runs = function(task)
      casting.yield()
      return select(2, pcall(casting.run, task.await, task))
    end,
    between = function(task)
      local other = casting.spawn(task.await, task)
      casting.yield()
      return select(2, other:join())
    end,
  } do
    define(name, function()
      return tostring(wait(casting.spawn(function()
        return (require(name))
      end)))
    end)
    local e = require(name)
    assert(e:find(LOOP:format(name), 1, true), e)
    assert(require(name) == e)
  end
  -- But not for ever.
  define("patient", function()
    local task = casting.spawn(function() return (require "patient") end)
    casting.yield()
    local ok, why = task:join(0.001)
    assert(ok == nil and why == "timeout")
    return {task = task}
  end)
  local patient = require "patient"
  assert(patient.task:await() == patient)

  -- What a module has put into package.loaded itself is there for all.
  go = casting.channel()
  define("early", function(name)
    package.loaded[name] = "early"
    go:receive()
    return "late"
  end)
  first = casting.spawn(require, "early")
  casting.yield()
  assert(require "early" == "early")
  go:close()
  assert(first:await() == "late" and package.loaded.early == "late")

  -- A searcher that waits; searchers are the program's own as ever.
  local searchers = package.searchers or package.loaders -- luacheck: ignore
  local asked = 0
  package.loaded.searched = nil
  table.insert(searchers, 1, function(name)
    if name ~= "searched" then return "\n\tit is not 'searched'" end
    asked = asked + 1
    casting.yield()
    return function(...) return {...} end, "data"
  end)
  first, second = casting.spawn(require, "searched"),
    casting.spawn(require, "searched")
  local ok1, module1, data = first:join()
  assert(ok1 and second:await() == module1 and asked == 1)
  assert(module1[1] == "searched" and (v51 or module1[2] == "data"))
  assert(data == nil or data == "data")
  table.remove(searchers, 1)

  -- Where require is called, and by whom, is as ever.
  package.loaded.looks = nil
  function package.preload.looks()
    return {debug.getinfo(2, "f").func, debug.getinfo(3, "f").func}
  end
  local function call() return (require "looks") end
  local looks = call()
  assert(looks[1] == require and looks[2] == call)
  package.loaded.fails = nil
  function package.preload.fails()
    casting.yield()
    error "here"
  end
  local _, trace = xpcall(function() require "fails" end, debug.traceback)
  local line = debug.getinfo(package.preload.fails, "S").linedefined + 2
  assert(trace:find(":" .. line .. ": in "), trace)
  return true
end

assert(casting.session():spawn(work, v51):await())
assert(casting.spawn(work, v51):await())
work(v51) -- the main program loads, tasks wait

-- A module that is not there: the error is word for word what it was.
local _, now = pcall(function() return (require "no.such.module") end)
local function plain(text) return (text:gsub(":%d+:", ":N:")) end
assert(plain(now) == plain(missing), now .. "\n" .. missing)

-- Without searchers.
local field = v51 and "loaders" or "searchers"
local searchers = package[field]
package[field] = 3
local _, e = pcall(function() return (require "no.such.module") end)
assert(e:find("[/\\]052.-:%d+: 'package." .. field .. "' must be a table"), e)
package[field] = searchers

-- A program's own require.
local session = casting.session()
assert(session:spawn(function()
  local casting = require "casting"
  local asked = 0
  package.preload.own = function() casting.yield() return {} end
  local function own(name)
    asked = asked + 1
    return (require(name))
  end
  rawset(_G, "require", own)
  local a, b = casting.spawn(own, "own"), casting.spawn(own, "own")
  return a:await() == b:await() and asked == 2
end):await())

-- The main program waits for a task's load, and a task for the main program's.
package.preload.mine = function() casting.sleep(0.01) return {} end
local task = casting.spawn(require, "mine")
casting.yield()
assert(require "mine" == select(2, task:join()))
package.preload.main = function() casting.sleep(0.01) return {} end
task = casting.spawn(require, "main")
local main = require "main"
assert(select(2, task:join()) == main)

-- A program within a module, whose tasks require it.
for _, early in ipairs {true, false} do
  package.loaded.app = nil
  function package.preload.app()
    local task = casting.spawn(function() return (require "app") end)
    if early then casting.yield() end
    casting.run()
    return select(2, task:join())
  end
  local app = require "app"
  assert(app:find("loop or previous error loading module 'app'", 1, true), app)
end

-- Messages that name such a module, received by two tasks.
package.preload.point = function()
  local casting = require "casting"
  rawset(_G, "points", (rawget(_G, "points") or 0) + 1)
  casting.sleep(0.01)
  local Point = {}
  Point.__index = Point
  return Point
end
session = casting.session()
local Point = require "point"
local ch = casting.channel()
local function receive(ch) return getmetatable((ch:receive())) end
local a, b = session:spawn(receive, ch), session:spawn(receive, ch)
for _ = 1, 2 do ch:send(setmetatable({}, Point)) end
a:join() b:join()
assert(session:spawn(function() return rawget(_G, "points") end):await() == 1)
