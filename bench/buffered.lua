-- buffered.lua - throughput of a buffered channel.
-- SPDX-License-Identifier: MIT
--
-- One task sends, another receives, with room for 1024 messages between them. A
-- step is a message of one number.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

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
    name = "buffered, " .. place,
    unit = "messages/s",
    run = function(n)
      local channel = casting.channel(1024)
      local consumer = session(2):spawn(consume, n, channel)
      local producer = session(1):spawn(produce, n, channel)
      local seconds = consumer:await()
      producer:await()
      return seconds
    end,
  }
end)
