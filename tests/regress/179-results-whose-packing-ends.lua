-- 179: A task's handle is sent, so its results are packed, which waits in a
-- __save; then the sender is cancelled. What was made for the packing was never
-- freed.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local LONG = helper.LONG

local function resident()
  local file = io.open "/proc/self/statm"
  if not file then return 0 end
  local pages = select(3, file:read "*a":find "^%d+ (%d+)")
  file:close()
  return tonumber(pages) * 4096
end

local slow = setmetatable({}, {__save = function()
  casting.sleep(1000)
  return function() return 1 end
end})
local task = casting.spawn(function() return slow end)
assert(task:join(LONG))
local out = casting.channel(math.huge)

local function try(n)
  for i = 1, n do
    local sender = casting.spawn(function() out:send(task) end)
    casting.yield()
    casting.yield()
    sender:cancel()
    local ok, why = sender:join(LONG)
    assert(not ok and casting.is_cancelled(why), tostring(why))
    if i % 1000 == 0 then collectgarbage() end
  end
  collectgarbage()
  collectgarbage()
end

-- Sanitizers look for leaks themselves. (A new C stack takes ThreadSanitizer
-- milliseconds.)
local n = helper.tsan() and 200 or math.ceil(20000 / helper.slow)
try(n / 4)
local before = resident()
try(n)
local grown = resident() - before
assert(helper.slow > 1 or grown < 4e6, grown)
assert(#out == 0)
