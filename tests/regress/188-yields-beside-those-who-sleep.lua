-- 188: Beside a task that yields between parts of its work, tasks that slept
-- woke some 128 parts late, or when the slice had lasted for 10 ms: deadlines
-- were only looked at between slices.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function count()
  local casting = require "casting"
  local parts, most = 0, 0
  local stop = false
  local sleeper = casting.spawn(function()
    for _ = 1, 20 do
      parts = 0
      casting.sleep(0.0005)
      if parts > most then most = parts end
    end
    stop = true
  end)
  while not stop do
    local finish = casting.now() + 0.0005
    repeat until casting.now() >= finish
    parts = parts + 1
    casting.yield()
  end
  sleeper:await()
  return most
end

-- Two at most pass before the time has come, and four yields until it is seen.
-- (On a slow machine parts are longer, so they are no more.)
local most = casting.session():spawn(count):await()
assert(most <= 8, most .. " parts between looks")
