-- Tasks that are cancelled together have their turns one after the other: the
-- late ones were stopped by the hook before they could clean up.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

-- On 5.1 each of them keeps a C stack, since `pcall` does.
local TASKS = _VERSION == "Lua 5.1" and 1000 or 10000
local session = casting.session()
local cleaned = casting.channel(TASKS)
local main = session:spawn(function(cleaned, tasks)
  local casting = require "casting"
  local never, waiting = casting.channel(), 0
  for i = 1, tasks do
    casting.spawn(function()
      waiting = waiting + 1
      local ok, problem = pcall(function() never:receive() end)
      assert(not ok and casting.is_cancelled(problem))
      for _ = 1, 1000 do ok = not ok end
      casting.shield(function() cleaned:send(i) end)
    end)
  end
  while waiting < tasks do casting.yield() end
end, cleaned, TASKS)
assert(main:join(60))
assert(session:cancel "enough")
for _ = 1, TASKS do assert(cleaned:receive(60)) end
assert(session:close(60))
