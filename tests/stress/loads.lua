-- loads.lua - tasks that require modules which wait, fail, require each other,
-- in circles too, and are cancelled: no two tasks load a module at a time, who
-- gets one gets the one that is there, and nobody waits for ever.
-- SPDX-License-Identifier: MIT
--
-- See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"
local seed = kit.arguments()

local function work(seed, rounds) -- luacheck: ignore
  local casting = require "casting" -- luacheck: ignore
  local random = require "kit".generator(seed)
  local n, loading, wrong

  local function name(i) return "module " .. i end
  local function any() return name(random(n)) end

  -- What a module may do while it is loaded.
  local deeds = {
    casting.yield,
    casting.yield,
    function() casting.sleep(0.0001 * random(5)) end,
    function() pcall(require, any()) end,
    function(i) if i > 1 then require(name(random(i - 1))) end end,
    function()
      local task = casting.spawn(require, any())
      if random(2) == 1 then task:join() else task:join(0.001) end
    end,
    function()
      coroutine.wrap(function()
        casting.yield()
        return (pcall(require, any()))
      end)()
    end,
    function(i) if random(3) == 1 then error("broken " .. i) end end,
    function() casting.with_timeout(0.0005, require, any()) end,
    function() collectgarbage() end,
  }

  local function load_module(i)
    local me = casting.self()
    local before = loading[i]
    if before ~= nil and before ~= me then wrong = "two tasks load a module" end
    loading[i] = me
    local ok, e = pcall(function()
      for _ = 1, random(4) do deeds[random(#deeds)](i) end
    end)
    loading[i] = before
    if not ok then error(e, 0) end
    return {}
  end

  local function define()
    n, loading = random(8) + 1, {}
    for i = 1, n do
      package.loaded[name(i)] = nil
      package.preload[name(i)] = function() return load_module(i) end
    end
  end

  local function use()
    for _ = 1, random(3) do
      local i = any()
      local ok, v = pcall(require, i)
      if ok and package.loaded[i] ~= v then wrong = "another module" end
      if random(3) == 1 then casting.sleep(0.0001) end
    end
    pcall(casting.with_timeout, 0.0001 * random(20), require, any())
  end

  for _ = 1, rounds do
    define()
    local tasks = {}
    for k = 1, random(10) do tasks[k] = casting.spawn(use) end
    for k = 1, #tasks do
      if random(4) == 1 then
        casting.sleep(0.0001 * random(4))
        tasks[k]:cancel()
      end
    end
    for k = 1, #tasks do
      local ok, e = tasks[k]:join(60)
      if ok == nil then error("it hangs\n" .. casting.report(), 0) end
      assert(ok or casting.is_cancelled(e), e)
    end
    assert(not wrong, wrong)
  end
  return true
end

local rounds, tasks = kit.scaled(60, 3), {}
casting.on_error(casting.channel(math.huge)) -- modules fail on purpose
for i = 1, 3 do
  tasks[i] = casting.session():spawn(work, seed * 10 + i, rounds)
end
tasks[4] = casting.spawn(work, seed * 10 + 4, rounds)
for i = 1, 4 do kit.join(tasks[i], "worker " .. i) end
print(("loads: %d rounds"):format(4 * rounds))
