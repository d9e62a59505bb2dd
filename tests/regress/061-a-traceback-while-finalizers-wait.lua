-- 061: task:traceback() of a task of the same session, and what is noted of a
-- failed one, was made of Lua strings. Finalizers that ran meanwhile, and
-- waited, let the task go on: the stack that was looked at was gone.
-- still: a task still waits when it is asked for its stack.
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
    casting.sleep(0.0005)
    error({})
  end
  return 1 + deep(n - 1)
end

local task = casting.spawn(function()
  local ran = 0
  tune("pause", 1)
  tune("stepmul", 1000)
  for _ = 1, 200 do
    local victim = casting.spawn(deep, 30)
    casting.yield()
    for _ = 1, 3 do
      finalized(function()
        ran = ran + 1
        casting.sleep(0.001)
      end)
      local text = victim:traceback()
      assert(text:find("traceback:\n", 1, true), text)
    end
    assert(not victim:join(60))
    assert(victim:traceback():find "deep")
  end
  return ran
end)
assert(task:await() > 0)

-- What a task of another session, and the caller itself, are asked for.
local session = casting.session()
local parked = session:spawn(function()
  require "casting".channel():receive()
end)
while parked:status() ~= "waiting" do casting.sleep(0.001) end
assert(parked:traceback():find "receive")
local own = casting.spawn(function()
  local text = casting.self():traceback()
  return text
end)
assert(own:await():find("061-a-traceback", 1, true))
session:cancel()
