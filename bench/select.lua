-- select.lua - a task waits for 2, or 8, channels at once.
-- SPDX-License-Identifier: MIT
--
-- The channels are unbuffered; for each a task in another session sends into
-- it. A step is one select.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local function produce(channel)
  while channel:send(1) do -- until it is closed
  end
end

local function choose(n, channels)
  local start = casting.now()
  for _ = 1, n do
    casting.select(channels)
  end
  local seconds = casting.now() - start
  for _, channel in ipairs(channels) do
    channel:close()
  end
  return seconds
end

for _, width in ipairs { 2, 8 } do
  bench.places(function(place, session)
    bench.figure {
      name = "select over " .. width .. ", " .. place,
      unit = "selects/s",
      run = function(n)
        local channels, producers = {}, {}
        for i = 1, width do
          channels[i] = casting.channel()
          producers[i] = session(2):spawn(produce, channels[i])
        end
        local seconds = session(1):spawn(choose, n, channels):await()
        for i = 1, width do
          producers[i]:await()
        end
        return seconds
      end,
    }
  end)
end
