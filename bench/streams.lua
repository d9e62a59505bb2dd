-- streams.lua - casting.stream, beside the same made of channels by hand.
-- SPDX-License-Identifier: MIT
--
-- A step is an item of an iterator that is sent to a worker, doubled there, and
-- added up where it came from. By hand: one channel with room for 1024 to the
-- worker, and one back.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")

local function counter(n)
  local i = 0
  return function()
    i = i + 1
    if i <= n then return i end
  end
end

local function by_hand(n, session)
  local casting = require "casting"
  local jobs, done = casting.channel(1024), casting.channel(1024)
  local worker = session:spawn(function(jobs, done)
    for v in jobs do done:send(v * 2) end
    done:close()
  end, jobs, done)
  casting.spawn(function()
    for v in counter(n) do jobs:send(v) end
    jobs:close()
  end)
  local sum = 0
  for v in done do sum = sum + v end
  worker:await()
  return sum
end

local function by_stream(n, session, options)
  options.sessions = {session}
  return require "casting".stream(counter(n))
    :map(function(v) return v * 2 end, options)
    :fold(function(sum, v) return sum + v end, 0)
end

local KINDS = {
  {"by hand", by_hand}, {"ordered", by_stream, {}},
  {"unordered", by_stream, {ordered = false}},
}
for _, kind in ipairs(KINDS) do
  bench.places(function(place, session)
    bench.figure {
      name = ("%s, %s"):format(kind[1], place),
      unit = "items/s",
      run = function(n)
        return session(1):spawn(function(run, n, session, options)
          local now = require "casting".now
          local start = now()
          assert(run(n, session, options) == n * (n + 1))
          return now() - start
        end, kind[2], n, session(2), kind[3]):await()
      end,
    }
  end)
end
