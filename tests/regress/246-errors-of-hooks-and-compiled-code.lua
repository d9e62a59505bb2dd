-- 246: On LuaJIT a time limit that ended a computation could crash the process:
-- the hook that raised its error had called something in another coroutine,
-- and compiled code that followed took that coroutine for the one that ran.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local session = casting.session()
local task = session:spawn(function()
  local casting = require "casting" -- luacheck: ignore
  local t = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
  -- Compiled, and left in several places.
  local function compute(n)
    local x = 0
    for i = 1, n do
      x = x + t[i % 10 + 1]
      if x > 1e9 then x = x / 3 + #tostring(x) end
    end
    return x
  end
  -- Not compiled, and so stopped.
  local function go_on()
    local n = 0
    local function get() return n end
    while get() >= 0 do
      get = function() return n end
      n = n + 1
    end
  end
  local stopped = 0
  local function limited(i)
    local ok, e = pcall(go_on)
    compute(i % 90) -- before any C function that returns sets that right
    if not ok and casting.is_cancelled(e) then stopped = stopped + 1 end
  end
  for i = 1, 2000 do compute(i % 90) end
  -- One that began too late is stopped before it is protected.
  local i = 0
  repeat
    i = i + 1
    pcall(casting.with_timeout, 0.001, limited, i)
  until stopped == 10
end)
task:await()
session:close()
