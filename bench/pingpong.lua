-- pingpong.lua - two tasks send a number to and fro.
-- SPDX-License-Identifier: MIT
--
-- Over two unbuffered channels. A step is a round trip: two messages, each a
-- rendezvous.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local function ping(n, there, back)
  local start = casting.now()
  for i = 1, n do
    there:send(i)
    back:receive()
  end
  return casting.now() - start
end

local function pong(n, there, back)
  for _ = 1, n do
    back:send((there:receive()))
  end
end

bench.places(function(place, session)
  bench.figure {
    name = "pingpong, " .. place,
    unit = "round trips/s",
    run = function(n)
      local there, back = casting.channel(), casting.channel()
      local second = session(2):spawn(pong, n, there, back)
      local seconds = session(1):spawn(ping, n, there, back):await()
      second:await()
      return seconds
    end,
  }
end)
