-- 023: a session ran out of memory as the array of its registry grew, and lost
-- what had a number there; to give a number back then took memory, with no
-- protected call around it, and Lua 5.1 ended the process without a word.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

casting.on_error(casting.channel(math.huge)) -- what they fail with is no matter
local tasks, ch = {}, casting.channel()
for _ = 1, 6 do
  local session = casting.session{memory = 4e6, tasks = 50}
  for _ = 1, 10 do
    tasks[#tasks + 1] = session:spawn([[
      local ch, n = ...
      local casting, t = require "casting", {}
      while true do t[#t + 1] = ("x"):rep(1000) .. #t end]], ch, 1)
    casting.sleep(0.0005) -- while it fills its memory
  end
end
for i = 1, #tasks do
  local ok, e = tasks[i]:join(20) -- luacheck: ignore
  assert(ok == false and tostring(e):find "memory", tostring(e))
end
