-- 103: who had the coroutine of a waiting task could resume it, in the middle
-- of its wait: the wait returned early, and then the task never ended, or
-- failed with "attempt to call a nil value".
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local co
local task = casting.spawn(function()
  co = coroutine.running()
  casting.sleep(0.05)
  return "fine"
end)
casting.yield()
local ok, why = coroutine.resume(co)
assert(ok == false and type(why) == "string", tostring(ok))
assert(coroutine.status(co) ~= "dead")
if coroutine.close then assert(not pcall(coroutine.close, co)) end
local joined, result = task:join(20)
assert(joined == true and result == "fine", tostring(result))
assert(task:status() == "done")
assert(coroutine.status(co) == "dead")
