-- 066: what a state makes when it is first needed (metatables, tables in which
-- C believes something to be) was made twice if a finalizer that ran meanwhile
-- needed it, too. What it had put there was lost, and came as nil or as another
-- value; cancellations were no cancellations; functions came as others.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

-- Sets one of the collector's parameters, which 5.5 spells differently.
local function tune(name, value)
  if _VERSION > "Lua 5.4" then return collectgarbage("param", name, value) end
  return collectgarbage("set" .. name, value)
end

-- Does one thing for the first time in its session, while the collector runs at
-- each allocation; its k-th run finds a finalizer that does the same.
local function first_time(what, k)
  local casting = require "casting"
  local long, feed = ("long "):rep(2000), casting.channel(math.huge)
  local runs, bad, done = nil, nil, false
  local a, b = 1, {2}
  local things = {
    record = function()
      feed:send {name = "n", list = {1, 2, key = "value"}}
      local v = feed:receive()
      assert(v.name == "n" and v.list.key == "value" and v.list[2] == 2)
    end,
    string = function()
      feed:send(long)
      assert(feed:receive() == long)
      feed:send(long, 1)
      assert(feed:receive() == long)
    end,
    closure = function()
      for _ = 1, 3 do
        feed:send(function() return a, b[1] end)
        local x, y = feed:receive()()
        assert(x == 1 and y == 2)
      end
    end,
    pure = function()
      for _ = 1, 2 do
        feed:send(function(x) return x + 1 end)
        assert(feed:receive()(1) == 2)
      end
    end,
    name = function()
      feed:send(string.format, string)
      local format, module = feed:receive()
      assert(format == string.format and module == string)
    end,
    cancellation = function()
      local task = casting.spawn(function() casting.sleep(100) end)
      casting.yield()
      task:cancel "why"
      local ok, e = task:join()
      assert(not ok and casting.is_cancelled(e) and e.reason == "why")
    end,
    guard = function()
      assert(casting.with_timeout(100, casting.yield))
    end,
    results = function()
      local value = {}
      assert(casting.spawn(function() return value end):await() == value)
    end,
    task = function()
      assert(tostring(casting.self()) == tostring(casting.self()))
      assert(casting.spawn(function() return 1 end):await() == 1)
    end,
    scope = function()
      local all = {casting.scope(function(scope)
        return casting.all {scope:spawn(function() return 3 end)}
      end)}
      assert(all[1] == 3)
    end,
    pack = function()
      assert(casting.pack(1, b):unpack() == 1)
      assert(#casting.pack(b, b) == 2)
    end,
    module = function()
      assert(require "casting" == casting and package.loaded.casting == casting)
    end,
  }
  local thing = things[what]
  local function sentinel()
    local function finalize()
      if done then return end
      sentinel()
      if not runs then return end
      runs = runs + 1
      if runs ~= k then return end
      runs = nil
      local ok, e = pcall(thing)
      -- Between tasks one cannot wait, nor in the task that is cancelled.
      if not ok and not tostring(e):find "not in a task" and
        not casting.is_cancelled(e) then
        bad = tostring(e)
      end
    end
    if newproxy then
      getmetatable(newproxy(true)).__gc = finalize
    else
      setmetatable({}, {__gc = finalize})
    end
  end
  sentinel()
  if _VERSION > "Lua 5.4" then
    collectgarbage "incremental"
    tune("stepsize", 1)
    tune("stepmul", 10000)
    tune("pause", 0)
  elseif _VERSION == "Lua 5.4" then
    collectgarbage("incremental", 100, 1000, 40)
    tune("pause", 0)
  else
    tune("pause", 0)
    tune("stepmul", newproxy and 0 or 1e6)
  end
  collectgarbage "restart"
  runs = 0
  thing()
  local reached = runs == nil
  runs = nil
  if bad then error("in the finalizer: " .. bad, 0) end
  thing()
  done = true
  tune("pause", 200)
  tune("stepmul", 200)
  return reached
end

local reached = 0
for _, what in ipairs {"record", "string", "closure", "pure", "name",
  "cancellation", "guard", "results", "task", "scope", "pack", "module"} do
  for k = 1, 60 do
    local session = casting.session()
    local task = session:spawn(first_time, what, k)
    local ok, more = task:join(60)
    assert(ok, ("%s, %d: %s"):format(what, k, tostring(more)))
    session:close()
    if not more then break end
    reached = reached + 1
  end
end
assert(reached > 50, reached)
