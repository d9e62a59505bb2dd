-- 074: a finalizer was waiting when the program ended. As soon as it had been
-- cancelled the collector ran again, while the tasks were unwound, and Lua had
-- it finalize whatever was in use: channels in which tasks still waited, and
-- the memory of a message that a task had been about to send.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
-- Of the second that tasks have at the end, no more than a part is needed.
local TIMES = 100 / (tonumber(os.getenv "CASTING_TIME_FACTOR") or 1)

local function finalized(f)
  if newproxy then
    getmetatable(newproxy(true)).__gc = f
  else
    setmetatable({}, {__gc = f})
  end
end

-- The main program fails, unless the last task finds that all went well.
local left = 3
local function over()
  left = left - 1
  if left == 0 then os.exit(0) end
end

local never, feed = casting.channel(), casting.channel(1)
for _ = 1, 2 do
  casting.spawn(function()
    pcall(never.receive, never)
    for i = 1, TIMES do
      assert(feed:try_send {i, "text", {i}})
      assert(feed:try_receive()[1] == i)
    end
    over()
  end)
end
local waits
casting.spawn(function()
  local co = coroutine.running()
  pcall(function()
    for _ = 1, 10 do
      finalized(function()
        if coroutine.running() ~= co then return end -- the main program's
        waits = true
        never:receive()
      end)
    end
    collectgarbage()
    collectgarbage()
  end)
  for _ = 1, 3 do pcall(collectgarbage) end
  assert(tostring(never):find "^channel: ")
  over()
end)
while not waits do casting.yield() end
error "not all tasks were unwound"
