-- 120: On 5.1 and LuaJIT a session that had met its memory limit stayed there:
-- a task that caught the error, let go of everything and went on met it at each
-- allocation, for nothing there looks for garbage when memory fails. And more
-- than half of the limit could not be used, since the collector waited for
-- twice of what is live.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local LIMIT = 2000000

-- Fills the memory, in the place that `guard` makes, and goes on.
local function fill_and_go_on(guard)
  local function fill()
    local list = {}
    for i = 1, 1e9 do list[i] = ("x"):rep(1000) .. i end
    return list
  end
  local ok, e = guard(fill)
  assert(not ok and tostring(e):find "not enough memory", tostring(e))
  local list = {} -- small ones at first, and not in a pcall
  for i = 1, 1000 do list[i] = {i} end
  for _ = 1, 3 do
    for i = 1, 1000 do list[i] = ("y"):rep(100) .. i end
    assert(not guard(fill))
  end
  return #list
end

local guards = {
  pcall = function(f) return pcall(f) end,
  xpcall = function(f) return xpcall(f, function(e) return e end) end,
  coroutine = function(f) return coroutine.resume(coroutine.create(f)) end,
  wrap = function(f) return pcall(coroutine.wrap(f)) end,
}

-- Without GC64 a LuaJIT state cannot be limited.
local function is_limited()
  local session = casting.session {memory = LIMIT}
  local ok = session:spawn("return ('x'):rep(4000000)"):join(60)
  session:close()
  return not ok
end
if not is_limited() then return end

for name, guard in pairs(guards) do
  local session = casting.session {memory = LIMIT, name = name}
  assert(session:spawn(fill_and_go_on, guard):await(100) == 1000)
  assert(session:stats().memory <= LIMIT)
  session:close()
end

-- On 5.1 a coroutine that memory had failed in left nothing for the hook of the
-- one that went on, some times out of ten.
for pad = 1, 30 do
  local session = casting.session {memory = LIMIT}
  session:spawn(function(n)
    kept = {("p"):rep(n)} -- luacheck: ignore
  end, pad * 15):await(100)
  assert(session:spawn(fill_and_go_on, guards.coroutine):await(100) == 1000)
  session:close()
end

-- Garbage goes although most of the limit is live.
local session = casting.session {memory = LIMIT}
assert(session:spawn(function()
  local live = {}
  for i = 1, 1300 do live[i] = ("z"):rep(1000) .. i end
  for i = 1, 50000 do
    live.other = {("u"):rep(100) .. i}
  end
  return #live
end):await(100) == 1300)

-- So it does between tasks.
session:spawn(function()
  kept = {} -- luacheck: ignore
  pcall(function()
    for i = 1, 1e9 do
      kept[i] = ("x"):rep(1000) .. i -- luacheck: ignore
    end
  end)
end):join(100)
session:spawn("kept = nil"):join(100)
local done = 0
for _ = 1, 3 do
  if session:spawn("return #('x'):rep(100000)"):join(100) then
    done = done + 1
  end
end
assert(done >= 2, done)
session:close()
