-- spawn.lua - spawns tasks that do nothing, and waits until they have ended.
-- SPDX-License-Identifier: MIT
--
-- A thousand at a time: either in the session of the task that spawns them, or
-- in another session, to which the function is copied. A session's tasks run in
-- the order of their making, so the last one is joined (Go's program has a
-- WaitGroup for that). A step is one task.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local BATCH = 1000

local function nothing()
end

local function spawn_here(n, f)
  local start = casting.now()
  for first = 1, n, BATCH do
    local last
    for _ = first, math.min(n, first + BATCH - 1) do last = casting.spawn(f) end
    last:join()
  end
  return casting.now() - start
end

local function spawn_there(n, f, session)
  local start = casting.now()
  for first = 1, n, BATCH do
    local last
    for _ = first, math.min(n, first + BATCH - 1) do last = session:spawn(f) end
    last:join()
  end
  return casting.now() - start
end

local function coroutines(n)
  local wrap = coroutine.wrap
  local start = bench.now()
  for _ = 1, n do
    wrap(nothing)()
  end
  return bench.now() - start
end

bench.places(function(place, session)
  local here, there = session(1), session(2)
  bench.figure {
    name = "spawn, " .. place,
    unit = "tasks/s",
    run = function(n)
      if here == there then
        return here:spawn(spawn_here, n, nothing):await()
      end
      return here:spawn(spawn_there, n, nothing, there):await()
    end,
    floor = { name = "bare coroutine", run = coroutines },
  }
end)
