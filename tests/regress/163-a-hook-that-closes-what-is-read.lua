-- 163: LuaJIT calls a hook between the event that ends a read and its result.
-- If that closed the stream its buffer was gone, and the read looked for a line
-- there: the process crashed; a read of bytes returned an empty string.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local net = require "casting.net"

for _, what in ipairs {"l", 5} do
  local a, b = assert(net.pair())
  local armed = false
  local function hook()
    if not armed then return end
    armed = false
    a:close()
  end
  casting.spawn(function()
    casting.sleep(0.01)
    b:write "hello\n"
    debug.sethook(hook, "c")
    armed = true
  end)
  local got, why = a:read(what, 10)
  debug.sethook()
  assert(got == "hello" or (got == nil and why == "closed"),
    ("%s, %s"):format(tostring(got), tostring(why)))
  a:close()
  b:close()
end
