-- 243: On LuaJIT casting.spawn could crash the process when a session had its
-- limit of tasks: the stack on which the arguments of new tasks lie had grown
-- in a call of its own coroutine, and when an error followed, compiled code
-- took that coroutine for the one that ran.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local session = casting.session {tasks = 2}
local task = session:spawn(function()
  local casting = require "casting" -- luacheck: ignore
  local unpack = table.unpack or unpack -- luacheck: ignore
  local never, t = casting.channel(), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
  local function wait() never:receive() end
  -- Compiled, and left in several places.
  local function compute(n)
    local x = 0
    for i = 1, n do
      x = x + t[i % 10 + 1]
      if x > 1e9 then x = x / 3 + #tostring(x) end
    end
    return x
  end
  for i = 1, 2000 do compute(i % 90) end
  casting.spawn(wait)
  casting.yield()
  local refused = 0
  for i = 1, 200 do
    local ok, e = pcall(casting.spawn, wait, unpack(t, 1, i))
    compute(i % 90) -- before any C function that returns sets that right
    if not ok and e:find("limit of 2 tasks", 1, true) then
      refused = refused + 1
    end
  end
  never:close()
  return refused
end)
assert(task:await() == 200)
session:close()
