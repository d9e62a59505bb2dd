-- 237: os.exit(n, true) in a task closes the Lua state under that task. The
-- handler of the signal that interrupts tasks went on to look at the task's
-- coroutine, which had been freed: on LuaJIT the process crashed.
-- SPDX-License-Identifier: MIT
local helper = require "helper"

if not helper.has_children() then return end
-- 5.1 has no os.exit(n, true).
if _VERSION == "Lua 5.1" and not helper.jit then return end

local program = [[
  local c = require "casting"
  c.session():spawn("return 1"):join()
  KEPT = {}
  for i = 1, 1e5 do KEPT[i] = {{}, {}} end
  os.execute("(n=0; while [ $n -lt 3000 ] && kill -URG $PPID;" ..
    " do n=$((n+1)); done) >/dev/null 2>&1 &")
  c.spawn(function()
    coroutine.wrap(function() os.exit(8, true) end)()
  end)
  c.sleep(100)
]]

for _ = 1, 6 do
  local result = helper.run(program)
  assert(result.status == 8, ("status %s\n%s"):format(
    tostring(result.status), result.err))
end
