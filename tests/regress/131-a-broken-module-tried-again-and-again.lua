-- 131: Each failed load of a module was kept as long as require was called
-- anew from the same place, and looked at by each: pcall(require, "broken") in
-- a loop took quadratic time, and memory without end.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local N = 20000

local function try(N)
  local loads = 0
  package.preload["131-broken"] = function()
    loads = loads + 1
    error "broken"
  end
  local function once() return pcall(require, "131-broken") end
  for _ = 1, 100 do once() end
  collectgarbage() collectgarbage()
  local before = collectgarbage "count"
  for _ = 1, N do
    local ok = once()
    if ok then error "it must fail" end
  end
  collectgarbage() collectgarbage()
  local grown = collectgarbage "count" - before
  if grown > 200 then error("grown by " .. grown .. " KB") end
  package.preload["131-broken"] = nil
  return loads
end

-- On 5.1 and LuaJIT a module that has failed is not loaded again.
local function expected(n) return n == N + 100 or n <= 1 end
assert(expected(try(N)))
assert(expected(casting.spawn(try, N):await(100)))
assert(expected(casting.session():spawn(try, N):await(100)))

-- In coroutines, and at different depths.
local function deep(n)
  if n > 0 then return (deep(n - 1)) end
  return (pcall(require, "131-missing"))
end
for i = 1, 2000 do
  assert(not deep(i % 20))
  assert(not coroutine.wrap(deep)(i % 5))
end

-- While one loads, its task may try again within.
package.preload["131-outer"] = function()
  for _ = 1, 100 do pcall(require, "131-missing") end
  return {}
end
assert(type(require "131-outer") == "table")
