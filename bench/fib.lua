-- fib.lua - fib(32) in two sessions, at once and one after the other.
-- SPDX-License-Identifier: MIT
--
-- The ratio at the end of the second line is the time at once as a part of the
-- time in turn: 0.5 is perfect on two cores, 1 would be no gain.
--
-- Argument: another number than 32.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local N = tonumber(bench.args[1]) or 32

local function fib(n)
  if n < 2 then
    return n
  end
  return fib(n - 1) + fib(n - 2)
end

local min, max = casting.threads()
casting.threads(2, 2)
local a = casting.session { name = "fib 1" }
local b = casting.session { name = "fib 2" }

local alone, together, ratios, pairs_ = {}, {}, {}, {}
for round = 1, bench.rounds do
  pairs_[round] = bench.pair_rate()
  local start = casting.now()
  local x = a:spawn(fib, N):await()
  local y = b:spawn(fib, N):await()
  local middle = casting.now()
  local first, second = a:spawn(fib, N), b:spawn(fib, N)
  assert(first:await() == x and second:await() == y)
  local finish = casting.now()
  alone[round], together[round] = middle - start, finish - middle
  ratios[round] = together[round] / alone[round]
end

local pair, seconds = bench.median(pairs_), bench.median(alone)
local name = "fib(" .. N .. ") in two sessions, "
bench.print(name .. "in turn", seconds, "s", pair)
bench.print(name .. "at once", bench.median(together), "s", pair, nil,
  { name = "in turn", figure = seconds, ratio = bench.median(ratios) })

a:close()
b:close()
casting.threads(min, max)
