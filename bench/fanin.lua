-- fanin.lua - four senders, one receiver.
-- SPDX-License-Identifier: MIT
--
-- Four tasks, each in a session of its own unless all share one, send into one
-- channel with room for 1024 messages. A step is a message of one number.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local PRODUCERS = 4

local function produce(n, channel)
  for i = 1, n do
    channel:send(i)
  end
end

local function consume(n, channel)
  local start = casting.now()
  for _ = 1, n do
    channel:receive()
  end
  return casting.now() - start
end

bench.places(function(place, session)
  bench.figure {
    name = "fan-in 4 to 1, " .. place,
    unit = "messages/s",
    run = function(n)
      local share = math.ceil(n / PRODUCERS)
      local channel = casting.channel(1024)
      local consumer = session(1):spawn(consume, share * PRODUCERS, channel)
      local producers = {}
      for i = 1, PRODUCERS do
        producers[i] = session(i + 1):spawn(produce, share, channel)
      end
      local seconds = consumer:await()
      for i = 1, PRODUCERS do
        producers[i]:await()
      end
      return seconds * n / (share * PRODUCERS)
    end,
  }
end)
