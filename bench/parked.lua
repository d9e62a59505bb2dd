-- parked.lua - how much memory a waiting task takes.
-- SPDX-License-Identifier: MIT
--
-- Bytes of resident memory of a task that waits for a message, beside those of
-- a bare coroutine of the same Lua that has yielded. The bare ones are measured
-- in a process of their own, started by this one, so that neither can use
-- memory which the other has given back.
--
-- Argument: how many; default 1000000 on Lua 5.4 and later, 100000 before.
-- Needs Linux (/proc/self/statm).

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")

local DEFAULT = _VERSION >= "Lua 5.4" and 1000000 or 100000
local bare = bench.args[1] == "bare"
local count = bench.steps or tonumber(bench.args[bare and 2 or 1]) or DEFAULT

if not bench.resident() then
  print("parked: skipped, there is no /proc/self/statm here")
  os.exit(0)
end
local resident = bench.resident

local function settle()
  collectgarbage()
  collectgarbage()
end

-- Bytes each of `n` coroutines that have yielded.
local function measure_bare(n)
  settle()
  local before = resident()
  local keep = {}
  local function wait()
    coroutine.yield()
  end
  for i = 1, n do
    keep[i] = coroutine.create(wait)
    coroutine.resume(keep[i])
  end
  settle()
  local bytes = (resident() - before) / n
  assert(#keep == n)
  return bytes
end

if bare then
  print(measure_bare(count))
  return
end

local casting = require "casting"

-- Spawns `n` tasks that wait for the channel; returns when all do.
local function park(n, channel)
  local waiting = 0
  local function wait()
    waiting = waiting + 1
    channel:receive()
  end
  for i = 1, n do
    casting.spawn(wait)
    if i % 1000 == 0 then
      casting.yield()
    end
  end
  while waiting < n do
    casting.yield()
  end
  collectgarbage()
  collectgarbage()
end

local function measure_tasks(n)
  local session = casting.session { name = "parked" }
  local channel = casting.channel()
  session:spawn(park, 100, channel):await() -- whatever is needed only once
  settle()
  local before = resident()
  local start = casting.now()
  session:spawn(park, n, channel):await()
  local seconds = casting.now() - start
  settle()
  local bytes = (resident() - before) / n
  channel:close()
  session:wait()
  session:close()
  return bytes, n / seconds
end

local pair = bench.pair_rate()
local plain = tonumber(bench.child("bare " .. count))
local bytes, rate = measure_tasks(count)
local format = string.format
bench.raw_line("parked tasks", bytes, "B", { steps = count, pair = pair,
  floor = plain })
bench.print("parked tasks, " .. count, format("%.0f ", bytes), "B", pair, nil,
  plain and { name = "bare coroutine", figure = format("%.0f ", plain),
    ratio = bytes / plain })
bench.print("parking them", rate, "tasks/s", pair, rate / pair)
