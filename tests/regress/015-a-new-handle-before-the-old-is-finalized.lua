-- A handle was collected, and before its finalizer ran its object got another
-- one: the finalizer took that for the end of the Lua state, and ended casting.
local casting = require "casting"
local carrier, kept = casting.channel(math.huge), nil

-- Something whose finalizer calls f.
local function watch(f)
  local new = rawget(_G, "newproxy")
  if not new then return setmetatable({}, {__gc = f}) end
  local proxy = new(true)
  getmetatable(proxy).__gc = f
  return proxy
end

for _ = 1, 10 do
  carrier:send((casting.channel()))
  -- Made later than the handle, so finalized before it.
  watch(function() kept = carrier:try_receive() end)
  collectgarbage()
  collectgarbage()
  assert(kept and kept:capacity() == 0)
  kept = nil
end
casting.sleep(0)
