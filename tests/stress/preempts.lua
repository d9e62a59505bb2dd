-- preempts.lua - preempt signals, as many as can be sent, into sessions that
-- run code of every kind: each result is that of a run that nobody interrupts.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/preempts.lua [SEED] [SCALE]
--
-- On LuaJIT a session sends the signals, by its library ffi. Half of the others
-- compile, one has a limit of memory, which it meets. On other versions, which
-- cannot send signals, sessions interrupt each other.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local kit = require "kit"
local casting = require "casting"
kit.arguments()

-- Run in sessions: each is sent alone, and takes nothing with it.
local works = {}

function works.strings(n)
  local parts, sum = {}, 0
  for i = 1, n do
    local s = ("x%d"):format(i):rep(1 + i % 20)
    s = s:gsub("%d", function(d) return "<" .. d .. ">" end)
    parts[i] = s:upper():sub(1 + i % 5, 40):reverse() .. #s
  end
  for c in table.concat(parts, ","):gmatch "." do
    sum = (sum * 31 + c:byte()) % 1000003
  end
  return sum
end

function works.tables(n)
  local list, map, sum = {}, {}, 0
  for i = 1, n do
    list[i] = i * 7919 % 1009
    map["k" .. i % 300] = i
    map[i * 1.5] = i
  end
  table.sort(list, function(a, b) return a < b end)
  for i = 1, 50 do table.insert(list, i, table.remove(list)) end
  for _, v in ipairs(list) do sum = (sum * 31 + v) % 1000003 end
  for _, v in pairs(map) do sum = sum + v end
  return sum
end

function works.finalizers(n)
  local dead, weak = 0, setmetatable({}, {__mode = "k"})
  local function make()
    local function gc() dead = dead + #{1, 2, 3} end
    if not newproxy then return setmetatable({}, {__gc = gc}) end
    local p = newproxy(true)
    getmetatable(p).__gc = gc
    return p
  end
  for i = 1, n / 10 do
    weak[{}] = make()
    if i % 20 == 0 then collectgarbage "step" end
  end
  collectgarbage()
  collectgarbage()
  return dead
end

function works.errors(n)
  local sum = 0
  local function deep(d, i)
    if d > 0 then
      local a, b, c = deep(d - 1, i)
      return a, b, c
    elseif i % 3 == 0 then
      error {i}
    elseif i % 3 == 1 then
      error("e" .. i)
    end
    return i, nil, i
  end
  for i = 1, n do
    local ok, a, b, c = pcall(deep, i % 12, i)
    assert(not ok or (b == nil and a == c))
    sum = sum + (ok and a or type(a) == "table" and a[1] * 2 or #a)
    if i % 10 == 0 then
      ok, a = xpcall(function() local x = nil return x.y end, debug.traceback)
      assert(not ok and a:find "index")
    end
  end
  return sum
end

function works.coroutines(n)
  local sum = 0
  for i = 1, n / 5 do
    local co = coroutine.create(function(a, ...)
      local b = coroutine.yield(a + 1, ...)
      pcall(error, {})
      return coroutine.wrap(function() return b * 2 end)()
    end)
    local _, a, x, y = coroutine.resume(co, i, nil, 2)
    local _, b = coroutine.resume(co, i)
    assert(a == i + 1 and x == nil and y == 2 and b == 2 * i)
    assert(not coroutine.resume(coroutine.create(function() error {} end)))
    for v in coroutine.wrap(function()
      for k = 1, i % 6 do coroutine.yield(k, nil) end
    end) do
      sum = sum + v
    end
  end
  return sum
end

function works.metamethods(n)
  local meta, sum = {}, 0
  local function new(v) return setmetatable({v = v}, meta) end
  function meta.__add(a, b) return new(a.v + (tonumber(b) or b.v)) end
  function meta.__concat(a, b) return a.v .. "|" .. b.v end
  function meta.__eq(a, b) return a.v == b.v end
  function meta.__lt(a, b) return a.v < b.v end
  function meta.__le(a, b) return a.v <= b.v end
  function meta.__call(self, ...) return self.v + select("#", ...), ... end
  function meta.__index(t, k) return k == "twice" and t.v * 2 or nil end
  for i = 1, n do
    local o = new(i) + new(1) + 1
    local a, b, c = o(nil, i)
    assert(o == new(i + 2) and o < new(i + 3) and o <= o and b == nil)
    sum = (sum + a + c + o.twice + #(o .. o)) % 1000003
  end
  return sum
end

function works.numbers(n)
  local x, y, i = 0, 1.5, 0
  for k = 1, 20 do
    for j = 1, n do
      x = (x + j * k) % 65537
      y = y * 1.0000001 + j % 3 / 7
    end
  end
  repeat i = i + 1 until i > n
  while i > 0 do i = i - 2 end
  return x + math.floor(y) + i
end

function works.chunks(n)
  local sum = 0
  for i = 1, n / 20 do
    local f = (rawget(_G, "loadstring") or load)("local a, b = ... " ..
      "local t = {} for i = 1, 30 do t[i] = function() return i * a end end " ..
      "return #t + t[3]() + b + " .. i)
    sum = sum + f(i, 2)
  end
  return sum
end

function works.waits(n)
  local c = require "casting"
  local ch, sum = c.channel(2), 0
  c.spawn(function()
    for i = 1, n / 10 do ch:send(i, {i}) end
    ch:close()
  end)
  for v, list in ch do sum = sum + v + list[1] end
  assert(c.with_timeout(100, function() c.yield() return 5 end))
  for _ = 1, 10 do
    assert(select(2, c.with_timeout(0, c.sleep, 1)) == "timeout")
  end
  table.sort({3, 2, 1}, function(a, b) c.yield() return a < b end)
  return sum
end

local function exhaust()
  local ok, e = pcall(function()
    local all, s = {}, "x" -- luacheck: ignore
    for i = 1, 1e9 do
      all[i] = {i, tostring(i) .. "y"}
      if i % 100 == 0 then s = s .. s all[-i] = s end
    end
  end)
  assert(not ok and tostring(e):find "memory", e)
  collectgarbage()
end

local N, names, expected = 300, {}, {}
for name, f in pairs(works) do
  names[#names + 1] = name
  expected[name] = f(N)
end
table.sort(names)

-- What runs in session i.
local function run(i, rounds, exhausts)
  for round = 1, rounds do
    for k = 1, #names do
      local name = names[(k * (2 * i + 1) + round) % #names + 1]
      local got = works[name](N)
      if got ~= expected[name] then
        error(("%s: %s, not %s"):format(name, got, expected[name]))
      end
    end
    if exhausts then exhaust() end
  end
end

-- Sends preempt signals to all threads of the process until the channel is
-- closed.
local function attack(stop)
  local ffi = require "ffi"
  ffi.cdef "int getpid(void); int tgkill(int, int, int);"
  local C, SIGURG = ffi.C, 23
  if not pcall(function() return C.tgkill end) then return end
  while not stop:closed() do
    local pipe, threads = io.popen("ls /proc/" .. C.getpid() .. "/task"), {}
    for line in pipe:lines() do threads[#threads + 1] = tonumber(line) end
    pipe:close()
    for _ = 1, 1000 do
      for _, id in ipairs(threads) do C.tgkill(C.getpid(), id, SIGURG) end
    end
  end
end

casting.threads(2, 8)
local stop, tasks = casting.channel(), {}
local attacker = jit and casting.session():spawn(attack, stop)
for i = 1, 4 do
  local session = casting.session {jit = i % 2 == 0,
    memory = i == 3 and 8e6 or nil}
  -- Without GC64 a LuaJIT state cannot be limited.
  local limited = i == 3 and session:stats().memory > 1000
  tasks[i] = session:spawn(run, i, kit.scaled(40), limited)
end
for i, task in ipairs(tasks) do
  kit.join(task, "session " .. i, 300 * (tonumber(os.getenv
    "CASTING_TIME_FACTOR") or 1))
end
stop:close()
if attacker then kit.join(attacker, "the attacker", 100) end
