-- On 5.1 and LuaJIT the process ended when a session's memory did just while
-- the stack of a coroutine that did not run grew: for tasks that had not begun,
-- and for the arguments of coroutine.resume and wrap.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
casting.on_error(casting.channel(math.huge)) -- they fail on purpose

local function spawn_on()
  local casting = require "casting"
  while true do casting.spawn(casting.sleep, 100) end
end

local function resume_on()
  local unpack = table.unpack or rawget(_G, "unpack")
  local values, kept = {}, nil
  for i = 1, 1900 do values[i] = i end
  while true do
    local co = coroutine.wrap(function()
      while true do coroutine.yield() end
    end)
    kept = {co, kept}
    co(unpack(values, 1, 300))
    co(unpack(values))
  end
end

-- Other versions collect garbage at every allocation near the limit, which
-- takes them long.
local step = (jit or _VERSION == "Lua 5.1") and 7001 or 35005
for memory = 3e5, 5e5, step do
  for _, body in ipairs{spawn_on, resume_on} do
    local session = casting.session{memory = memory}
    local ok = session:spawn(body):join()
    assert(not ok)
    assert(session:close(60))
  end
end
