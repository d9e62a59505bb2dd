-- 060: casting.report kept bare pointers to its session's tasks while it made
-- Lua strings. That runs finalizers, and one that waited let the tasks end and
-- be freed; or it let others use up the room for the report's own deadline.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

-- Sets one of the collector's parameters, which 5.5 spells differently.
local function tune(name, value)
  if _VERSION > "Lua 5.4" then return collectgarbage("param", name, value) end
  return collectgarbage("set" .. name, value)
end

local function finalized(f)
  if newproxy then
    local p = newproxy(true)
    getmetatable(p).__gc = f
    return p
  end
  return setmetatable({}, {__gc = f})
end

local function deep(n)
  if n == 0 then
    casting.sleep(0.002)
    return 1
  end
  return 1 + deep(n - 1)
end

-- The collector runs at nearly each step.
local function eagerly(f, ...)
  tune("pause", 10)
  tune("stepmul", 500)
  return f(...)
end

local function freed()
  local ran = 0
  for _ = 1, 10 do
    for _ = 1, 60 do casting.spawn(deep, 20) end
    casting.yield()
    casting.yield()
    for _ = 1, 20 do
      finalized(function()
        ran = ran + 1
        casting.sleep(0.003)
      end)
      assert(casting.report():find("task %d+ of session"))
    end
  end
  return ran
end

-- Another session has the report wait, with a deadline, for which there is no
-- room left once the finalizer has let 16 tasks take it.
local function no_room()
  local slow, busy, stop = casting.session(), casting.channel(), false
  local task = slow:spawn("local busy = ... busy:send(true) " ..
    "local now = require 'casting'.now local till = now() + 0.3 " ..
    "while now() < till do end", busy)
  busy:receive()
  while task:status() == "running" and not stop do
    local armed = true
    finalized(function()
      if not armed then return end
      armed, stop = false, true
      for _ = 1, 16 do casting.spawn(casting.sleep, 0.5) end
      casting.yield()
      casting.yield()
    end)
    casting.report()
    armed = false
  end
  assert(task:join(60))
  slow:close()
end

assert(casting.spawn(eagerly, freed):await() > 0)
for _ = 1, 3 do casting.spawn(eagerly, no_room):await() end
