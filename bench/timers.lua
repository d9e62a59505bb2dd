-- timers.lua - a million tasks that sleep.
-- SPDX-License-Identifier: MIT
--
-- For a time between half a second and a second and a half each (less if they
-- are fewer); each then sends a message to the task that counts them. The
-- figure is what all processors spend on it, in seconds.
--
-- Argument: how many.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local count = bench.steps or tonumber(bench.args[1]) or 1000000

local function sleeper(woken, seconds)
  casting.sleep(seconds)
  woken:send(1)
end

local function sleep_all(n)
  local woken = casting.channel(1024)
  local scale = n / 1e9
  local start = casting.now()
  for i = 0, n - 1 do
    casting.spawn(sleeper, woken, (500 + i * 7919 % 1000) * scale)
    if i % 1000 == 0 then
      casting.yield()
    end
  end
  local sum = 0
  for _ = 1, n do
    sum = sum + woken:receive()
  end
  local seconds = casting.now() - start
  assert(sum == n and seconds >= n * 0.5e-6, "not all have slept")
  return seconds
end

bench.places(function(place, session, word)
  if word == "one" then
    return -- the same as in one session
  end
  local cpus, lengths, pairs_ = {}, {}, {}
  for round = 1, bench.raw and 1 or bench.rounds do
    collectgarbage()
    pairs_[round] = bench.pair_rate()
    local cpu = os.clock()
    local tasks, workers = {}, word == "two" and 2 or 1
    for k = 1, workers do
      tasks[k] = session(k):spawn(sleep_all, math.ceil(count / workers))
    end
    for k = 1, workers do
      lengths[round] = tasks[k]:await()
    end
    cpus[round] = os.clock() - cpu
  end
  local cpu, pair = bench.median(cpus), bench.median(pairs_)
  bench.raw_line("timers, " .. place, cpu, "CPU s", { steps = count,
    seconds = lengths[1], cpu = cpu, pair = pair })
  bench.print(string.format("%d timers, %s", count, place),
    string.format("%.2f CPU s in %.2f s", cpu, bench.median(lengths)), "",
    pair)
end)
