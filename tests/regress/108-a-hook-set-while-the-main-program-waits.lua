-- 108: a debug hook that a task set on the main program's coroutine (LuaJIT:
-- anywhere) was taken for that of a signal handler, and ended the main
-- program's wait, as Ctrl-C does.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local main = coroutine.running()
if not main and not jit then return end -- 5.1 does not give it
local events = 0
local function hook() events = events + 1 end
local ch = casting.channel()
local task = casting.spawn(function()
  if main then debug.sethook(main, hook, "l") else debug.sethook(hook, "l") end
  casting.sleep(0.1) -- a timer looks at the main program's hook every 50 ms
  ch:send("fine")
  return "done"
end)
local said, why = ch:receive()
local before = events
local joined, result = task:join(20)
assert(said == "fine", tostring(why))
assert(joined == true and result == "done", tostring(result))
assert(before < events) -- it is called
debug.sethook()
