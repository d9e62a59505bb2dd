-- common.lua - what every benchmark shares.
-- SPDX-License-Identifier: MIT
--
-- Rounds and medians; the yardstick (how many resume/yield pairs of a bare
-- coroutine this Lua makes in a second); places for the tasks to run in; and
-- the one line in which a figure is printed.
--
-- Options of every benchmark: --rounds N (default 5) and --seconds S (about
-- how long one round runs; default 0.2). What is left is in `bench.args`.

local bench = { rounds = 5, seconds = 0.2, args = {} }

local loaded, casting = pcall(require, "casting")
local now = loaded and casting.now or os.clock
bench.now = now

local i = 1
while arg[i] do
  local option = arg[i]:match("^%-%-(%l+)$")
  if option == "rounds" or option == "seconds" then
    i = i + 1
    bench[option] = assert(tonumber(arg[i]), arg[i - 1] .. " needs a number")
  else
    bench.args[#bench.args + 1] = arg[i]
  end
  i = i + 1
end

-- The folder of the benchmarks, with a slash at its end.
bench.here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"

-- --------------------------------------------------------------- figures --

function bench.median(list)
  local sorted = {}
  for k, v in ipairs(list) do
    sorted[k] = v
  end
  table.sort(sorted)
  local middle = math.floor((#sorted + 1) / 2)
  if #sorted % 2 == 1 then
    return sorted[middle]
  end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

-- Resume/yield pairs a second of a bare coroutine. The loop and the call are
-- part of it: nobody can have the pair without them.
function bench.pair_rate(n)
  n = n or 200000
  local yield = coroutine.yield
  local pair = coroutine.wrap(function()
    while true do
      yield()
    end
  end)
  pair()
  local start = now()
  for _ = 1, n do
    pair()
  end
  return n / (now() - start)
end

local PREFIXES = { { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } }

-- "1.23 M/s", "1.23 GB/s", "1.23 k hops/s".
local function human(x, unit)
  for _, prefix in ipairs(PREFIXES) do
    if x >= prefix[1] then
      local space = unit:find("^%l") and " " or ""
      return string.format("%.2f %s", x / prefix[1], prefix[2] .. space .. unit)
    end
  end
  return string.format("%.3g %s", x, unit)
end

-- Prints one line: name, figure, the pair rate, the ratio of the figure to it
-- (nil where that makes no sense); then, if there is one, the floor that is
-- nearer to this figure: { name =, figure =, ratio = }. Figures are numbers, or
-- texts printed as they are.
function bench.print(name, figure, unit, pair, ratio, floor)
  local function show(value)
    return type(value) == "number" and human(value, unit) or value .. unit
  end
  local line = string.format("%-32s %-20s | pair %s | ratio %s",
    name, show(figure), human(pair, "/s"),
    ratio and string.format("%.4f", ratio) or "-")
  if floor then
    line = line .. string.format(" | %s %s, ratio %.3f",
      floor.name, show(floor.figure), floor.ratio)
  end
  print(line)
  io.stdout:flush()
end

-- How many steps of `run` take about `seconds`.
local function calibrate(run, seconds)
  local n = 16
  local spent = run(n)
  while spent < seconds / 5 and n < 1e9 do
    n = n * (spent < seconds / 50 and 8 or 2)
    spent = run(n)
  end
  return math.max(1, math.floor(n * seconds / spent))
end

-- Measures and prints one figure. Fields of `what`:
--   name    what is measured, and where
--   unit    what a step is, in the plural, such as "messages/s"
--   run     function(n): does n steps, returns how many seconds they took
--   each    what one step counts for in the figure; default 1
--   floor   optional: { name =, run = }, something comparable without casting,
--           measured in the same rounds
-- The figure, the pair rate and the floor are medians of the rounds; a ratio is
-- the median of the ratios of the rounds, so that a machine which is slower
-- for a while does not distort it.
function bench.figure(what)
  local each = what.each or 1
  local floor = what.floor
  local n = calibrate(what.run, bench.seconds)
  local floor_n = floor and calibrate(floor.run, bench.seconds / 2)
  local rates, pairs_, ratios, floors, floor_ratios = {}, {}, {}, {}, {}
  for round = 1, bench.rounds do
    collectgarbage()
    local pair = bench.pair_rate()
    local rate = n / what.run(n)
    rates[round], pairs_[round] = rate * each, pair
    ratios[round] = rate / pair
    if floor then
      local other = floor_n / floor.run(floor_n)
      floors[round], floor_ratios[round] = other * each, rate / other
    end
  end
  local beside
  if floor then
    beside = { name = floor.name, figure = bench.median(floors),
      ratio = bench.median(floor_ratios) }
  end
  bench.print(what.name, bench.median(rates), what.unit,
    bench.median(pairs_), bench.median(ratios), beside)
end

-- ---------------------------------------------------------------- places --

local PLACES = {
  { name = "same session", workers = 1, shared = true },
  { name = "one worker", workers = 1 },
  { name = "two workers", workers = 2 },
}

-- Calls body(place, session) for each way to place tasks: `place` is its name,
-- session(k) the session for the task number k. The main program, which only
-- waits, has a thread of its own and is no worker.
function bench.places(body)
  local min, max = casting.threads()
  for _, place in ipairs(PLACES) do
    casting.threads(place.workers, place.workers)
    local sessions = {}
    body(place.name, function(k)
      k = place.shared and 1 or k
      sessions[k] = sessions[k] or casting.session { name = "bench " .. k }
      return sessions[k]
    end)
    for _, session in pairs(sessions) do
      session:close()
    end
  end
  casting.threads(min, max)
end

return bench
