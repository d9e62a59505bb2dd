-- On LuaJIT the error of a wait that was interrupted is raised by a hook. In a
-- compiled loop it was not seen before the loop had ended, and then raised once
-- more where nobody caught it.
local casting = require "casting"
for _ = 1, 20 do
  local task = casting.spawn(function()
    return casting.with_timeout(0.003, function()
      while true do casting.yield() end
    end)
  end)
  local ok, result, word = task:join()
  assert(ok == true and result == nil and word == "timeout", tostring(result))
end
