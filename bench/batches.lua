-- batches.lua - numbers in batches of 64, beside numbers one by one.
-- SPDX-License-Identifier: MIT
--
-- A step is a number that was sent by one task and received by another. One by
-- one: as bench/buffered.lua; both through a channel of either capacity.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local function produce(n, channel, size)
  if size == 1 then
    for i = 1, n do channel:send(i) end
    return
  end
  local list = {}
  for i = 1, size do list[i] = i end
  for _ = 1, n / size do channel:send_all(list) end
  for i = n % size + 1, size do list[i] = nil end
  channel:send_all(list)
end

local function consume(n, channel, size)
  local casting = require "casting"
  local start, count = casting.now(), 0
  if size == 1 then
    for _ = 1, n do
      channel:receive()
      count = count + 1
    end
  else
    while count < n do count = count + #channel:receive_many(size) end
  end
  assert(count == n)
  return casting.now() - start
end

for _, capacity in ipairs { 0, 1024 } do
  for _, size in ipairs { 64, 1 } do
    bench.places(function(place, session)
      bench.figure {
        name = ("%s, capacity %d, %s"):format(
          size == 1 and "one by one" or "batches of " .. size, capacity, place),
        unit = "numbers/s",
        run = function(n)
          local channel = casting.channel(capacity)
          local consumer = session(2):spawn(consume, n, channel, size)
          local producer = session(1):spawn(produce, n, channel, size)
          local seconds = consumer:await()
          producer:await()
          return seconds
        end,
      }
    end)
  end
end
