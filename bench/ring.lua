-- ring.lua - a token goes round through 1000 tasks.
-- SPDX-License-Identifier: MIT
--
-- The tasks are joined in a circle by unbuffered channels. With two sessions
-- every other task is in the other one, so that each hop goes from session to
-- session. A step is a hop.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local SIZE = 1000

local function pass(input, output)
  local token = input:receive()
  while token do
    output:send(token)
    token = input:receive()
  end
  output:close()
end

local function drive(laps, input, output)
  output:send(0) -- the first lap, which starts the tasks, does not count
  input:receive()
  local start = casting.now()
  for lap = 1, laps do
    output:send(lap)
    input:receive()
  end
  local seconds = casting.now() - start
  output:close()
  return seconds
end

bench.places(function(place, session)
  bench.figure {
    name = "ring of 1000, " .. place,
    unit = "hops/s",
    run = function(n)
      local laps = math.ceil(n / SIZE)
      local first = casting.channel()
      local input, tasks = first, {}
      for i = 1, SIZE - 1 do
        local output = casting.channel()
        tasks[i] = session(i % 2 + 1):spawn(pass, input, output)
        input = output
      end
      local driver = session(1):spawn(drive, laps, input, first)
      local seconds = driver:await()
      for i = 1, SIZE - 1 do
        tasks[i]:await()
      end
      return seconds * n / (laps * SIZE)
    end,
  }
end)
