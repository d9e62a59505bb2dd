-- 106: the coroutine of a task that had ended, which the program still had,
-- was used again as it was: with the debug hook, and on 5.1 and LuaJIT the
-- globals, that somebody had given it; or while values lay in it for a task
-- that had not begun, or for one that waited, and whoever resumed it called
-- these.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local unpack = table.unpack or unpack -- luacheck: ignore
local seen, known = {}, {}
local function note()
  local co = coroutine.running()
  if not known[co] then seen[#seen + 1] = co end
  known[co] = true
end

-- Some coroutines in which tasks have ended: so many at a time.
local function fill()
  local tasks = {}
  for i = 1, 20 do
    tasks[i] = casting.spawn(function() note() casting.yield() end)
  end
  for _, task in ipairs(tasks) do task:join() end
end

local me = coroutine.running()
local function attack()
  for _, co in ipairs(seen) do
    if co ~= me and co ~= coroutine.running() then
      assert(coroutine.resume(co, 1, 2, 3) == false)
      assert(coroutine.resume(co) == false)
      if coroutine.close and coroutine.status(co) ~= "dead" then
        assert(not pcall(coroutine.close, co))
      end
    end
  end
end

-- Tasks that have not begun, with few and with many arguments.
local function count(...) note() return select("#", ...) end
for n = 1, 40 do
  fill()
  attack()
  local tasks, arguments = {}, {}
  for i = 1, n do arguments[i] = i end
  for i = 1, 3 do tasks[i] = casting.spawn(count, unpack(arguments)) end
  attack()
  for _, task in ipairs(tasks) do
    local ok, got = task:join(20)
    assert(ok and got == n, tostring(got))
  end
end

-- A wait that ends with what is not plain.
local ch = casting.channel()
for i = 1, 20 do
  fill()
  local task = casting.spawn(function() note() return ch:receive()[1] end)
  casting.yield()
  attack()
  ch:send {i}
  attack()
  local ok, got = task:join(20)
  assert(ok and got == i, tostring(got))
end

-- A hook, set while a task runs there, or when it has ended. (LuaJIT has one
-- for all coroutines.)
if not jit then
  local lines = 0
  local function hook() lines = lines + 1 end
  for _, co in ipairs(seen) do
    if co ~= me then debug.sethook(co, hook, "l") end
  end
  local task = casting.spawn(function()
    debug.sethook(hook, "l")
    casting.yield()
  end)
  assert(task:join(20))
  lines = 0
  for _ = 1, 30 do
    assert(casting.spawn(function()
      assert((select(2, debug.gethook()) or "") == "") -- 5.1 keeps the first
      casting.yield()
    end):join(20))
  end
  assert(lines == 0)
end

-- Globals.
if setfenv then -- luacheck: ignore
  for _, co in ipairs(seen) do
    if co ~= me then debug.setfenv(co, {}) end -- luacheck: ignore
  end
  assert(casting.spawn(function() setfenv(0, {}) end):join(20)) -- luacheck: ignore
  for _ = 1, 30 do
    local ok, value = casting.spawn(function()
      return loadstring("return type")() -- luacheck: ignore
    end):join(20)
    assert(ok and value == type)
  end
end
