-- 152: on 5.1 and LuaJIT a function without upvalues, but with an environment
-- of its own, broke an assertion of debug builds when it was received again.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local chunk, env = "return 1, x", {x = 5}
local f = setfenv and setfenv(loadstring(chunk), env) or
  load(chunk, "=chunk", "t", env)
local ch = casting.channel(1)
for _ = 1, 4 do
  ch:send(f, env)
  local g, copy = ch:receive()
  local one, x = g()
  assert(one == 1 and x == 5 and copy ~= env)
  copy.x = 6
  assert(select(2, g()) == 6)
end
