-- On 5.1 and LuaJIT, looking for the main thread left a value on the stack,
-- which then was sent along.
local co = coroutine.create(function()
  local casting = require "casting"
  local ch = casting.channel()
  casting.spawn(function() ch:send(1) end)
  return select("#", ch:receive())
end)
local ok, n = coroutine.resume(co)
assert(ok and n == 1, tostring(n))
