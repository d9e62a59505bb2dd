-- 062: LuaJIT does not throw compiled code away while a finalizer runs: it
-- raises an error. While one waited in some task, another that was cancelled
-- had that error raised outside of any protected call, and the process ended.
-- still: which task runs the finalizer.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function body(loops)
  local casting = require "casting"
  local function finalized(f)
    if newproxy then
      local p = newproxy(true)
      getmetatable(p).__gc = f
      return p
    end
    return setmetatable({}, {__gc = f})
  end
  local waits, go_on = false, casting.channel()
  -- Tasks that wait in loops that may be compiled, one of them in a guard.
  local rounds = 0
  local sleeper = casting.spawn(function()
    for _ = 1, loops do
      rounds = rounds + 1
      casting.yield()
    end
    return pcall(casting.sleep, 100)
  end)
  local looper = casting.spawn(function()
    while true do casting.yield() end
  end)
  local guarded = casting.spawn(function()
    return casting.with_timeout(0.02, function()
      while true do casting.sleep(0.0001) end
    end)
  end)
  local failing = casting.spawn(function()
    for _ = 1, loops do casting.yield() end
    local ok, e = pcall(function() return go_on:receive(-1) end)
    return ok, e
  end)
  while rounds < loops do casting.yield() end
  local finalizer = casting.spawn(function()
    finalized(function()
      waits = true
      go_on:receive()
    end)
    collectgarbage()
    collectgarbage()
    return "went on"
  end)
  while not waits do casting.yield() end
  sleeper:cancel "enough"
  looper:cancel()
  local ok, slept, e = sleeper:join(20)
  assert(ok == true and slept == false and casting.is_cancelled(e), tostring(e))
  assert(e.reason == "enough")
  ok, e = looper:join(20)
  assert(ok == false and casting.is_cancelled(e), tostring(e))
  ok, e, slept = guarded:join(20)
  assert(ok == true and e == nil and slept == "timeout", tostring(e))
  ok, slept, e = failing:join(20)
  assert(ok == true and slept == false and tostring(e):find "timeout", e)
  go_on:close()
  assert(finalizer:await() == "went on")
end

for _, loops in ipairs {1, 1000} do
  body(loops)
  casting.spawn(body, loops):await()
  casting.session():spawn(body, loops):await()
end
