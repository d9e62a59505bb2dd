-- 107: a task that waited in a coroutine of its own, in place, left nothing but
-- a slot of the stack of coroutine.resume to keep that: debug.setlocal could
-- take it from there, and the coroutine was freed while it waited. On 5.2,
-- whoever resumed one in vain made it fail later, with a "C stack overflow".
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local function compute()
  local t = {}
  for i = 1, 100 do t[i] = {i} end
  return #t
end

-- Ways to have f wait in coroutines.
local ways = {
  function(f) return select(2, coroutine.resume(coroutine.create(f))) end,
  function(f) return coroutine.wrap(f)() end,
  function(f)
    return select(2, coroutine.resume(coroutine.create(function()
      return coroutine.wrap(function()
        return select(2, coroutine.resume(coroutine.create(f)))
      end)()
    end)))
  end,
  function(f) -- deep in calls of C functions
    local function down(n)
      local got
      if n == 0 then return f() end
      table.sort({2, 1}, function(a, b)
        got = got or down(n - 1)
        return a < b
      end)
      return got
    end
    return down(20)
  end,
}

local known = {}

-- Takes the coroutines from its stack.
local function spoil(co)
  for level = 0, 60 do
    local ok, info = pcall(debug.getinfo, co, level, "l")
    if not ok or not info then break end
    for i = 1, 50 do
      local name, value = debug.getlocal(co, level, i)
      if not name then break end
      if type(value) == "thread" then debug.setlocal(co, level, i, false) end
    end
  end
end

-- Has tasks wait in all ways, while `attack` is made upon them.
local function try(attack)
  local tasks, go = {}, casting.channel()
  for i, way in ipairs(ways) do
    tasks[i] = casting.spawn(function()
      known[#known + 1] = coroutine.running()
      return way(function()
        known[#known + 1] = coroutine.running()
        go:receive()
        return compute()
      end)
    end)
  end
  casting.yield()
  attack()
  go:close()
  for i, task in ipairs(tasks) do
    local ok, n = task:join(20)
    assert(ok and n == 100, i .. ": " .. tostring(n))
  end
  known = {}
end

try(function()
  for _, co in ipairs(known) do spoil(co) end
  known = {}
  collectgarbage()
  collectgarbage()
  for _ = 1, 300 do coroutine.create(compute) end
end)

local me = coroutine.running()
try(function()
  for _, co in ipairs(known) do
    for _ = 1, 3 do assert(not coroutine.resume(co)) end
  end
end)

-- The main program waits, and one of its tasks resumes it.
if me then
  local function down(n)
    if n == 0 then
      return casting.run(function()
        assert(not coroutine.resume(me))
        return compute()
      end)
    end
    return (select(2, pcall(down, n - 1)))
  end
  assert(down(10) == 100)
end
