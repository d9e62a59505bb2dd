-- LuaJIT's compiled code crashed, or worked on another coroutine's stack, when
-- a wait had just raised an error: LuaJIT notes which coroutine runs, and sets
-- that right when a C function returns, but not when it raises.
local casting = require "casting"

local function compiled(n)
  local sum = 0
  for i = 1, n do sum = sum + i % 7 end
  return sum
end
local expected = compiled(1000)
for _ = 1, 100 do assert(compiled(1000) == expected) end

local function sort_waiting(task)
  table.sort({2, 1}, function() return task:await() == nil end)
end

local function check()
  for i = 1, 50 do
    local object = {}
    local task = casting.spawn(function()
      for _ = 1, i % 3 do casting.yield() end
      error(object)
    end)
    local ok, err = pcall(i % 2 == 0 and task.await or sort_waiting, task)
    local sum = compiled(1000)
    assert(not ok and err == object and sum == expected)
  end
  return true
end
check()
assert(casting.spawn(check):await())
local s = casting.session()
assert(s:spawn(check):await())
s:close()
