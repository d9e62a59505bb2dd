-- common.lua - what every benchmark shares.
-- SPDX-License-Identifier: MIT
--
-- Rounds and medians; the yardstick (how many resume/yield pairs of a bare
-- coroutine this Lua makes in a second); places for the tasks to run in; and
-- the one line in which a figure is printed.
--
-- Options of every benchmark; what is left is in `bench.args`:
--   --rounds N    rounds; default 5
--   --seconds S   about how long one round runs; default 0.2
--   --steps N     rounds of so many steps, however long they take
--   --place WORD  only there: same, one or two
--   --raw         one round, the fastest of three runs, and a line for
--                 programs; see bench.raw_line
--   --bare        on plain coroutines (compare/bare.lua) instead of casting;
--                 there is one place then
--
-- Benchmarks load this file before casting, for the sake of --bare.

local bench = { rounds = 5, seconds = 0.2, args = {} }

-- The folder of the benchmarks, with a slash at its end.
bench.here = debug.getinfo(1, "S").source:match("^@(.*[/\\])[^/\\]*$") or "./"

local NUMBERS = { rounds = true, seconds = true, steps = true }
local FLAGS = { raw = true, bare = true }

local i = 1
while arg[i] do
  local option = arg[i]:match("^%-%-(%l+)$")
  if NUMBERS[option] then
    i = i + 1
    bench[option] = assert(tonumber(arg[i]), arg[i - 1] .. " needs a number")
  elseif option == "place" then
    i = i + 1
    bench.place = assert(arg[i], "--place needs a word")
  elseif FLAGS[option] then
    bench[option] = true
  else
    bench.args[#bench.args + 1] = arg[i]
  end
  i = i + 1
end

if bench.bare then
  package.loaded.casting = dofile(bench.here .. "compare/bare.lua")
end
local loaded, casting = pcall(require, "casting")
local now = loaded and casting.now or os.clock
bench.now = now

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
-- part of it: nobody can have the pair without them. It is measured for as long
-- as a figure is: the processor does not run at the same rate all the time, and
-- the best of shorter times would be a better one.
function bench.pair_rate()
  local yield = coroutine.yield
  local pair = coroutine.wrap(function()
    while true do
      yield()
    end
  end)
  local function seconds(n)
    local start = now()
    for _ = 1, n do
      pair()
    end
    return now() - start
  end
  local n, best = 200000, math.huge
  if bench.steps and bench.steps < n / 100 then
    n = 100 * bench.steps -- a test
  else
    n = math.floor(n * math.max(1, bench.seconds / seconds(n)))
  end
  for _ = 1, bench.raw and 3 or 1 do
    best = math.min(best, seconds(n))
  end
  return n / best
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
  if bench.raw then
    return
  end
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

-- Prints, for `--raw`, one line of fields with tabs between them: the name, the
-- value, its unit, and then "key=number" for what else is known: steps,
-- seconds, cpu (seconds of all processors), pair, floor.
function bench.raw_line(name, value, unit, fields)
  if not bench.raw then
    return
  end
  local line = { name, string.format("%.17g", value), unit }
  for _, key in ipairs { "steps", "seconds", "cpu", "pair", "floor" } do
    if fields[key] then
      line[#line + 1] = string.format("%s=%.17g", key, fields[key])
    end
  end
  print(table.concat(line, "\t"))
  io.stdout:flush()
end

-- How many steps of `run` take about `seconds`. A run that is slow by chance
-- must not end it, hence no extrapolation.
local function calibrate(run, seconds)
  if bench.steps then
    return bench.steps
  end
  local n = 16
  local spent = run(n)
  while spent < 0.6 * seconds and n < 1e9 do
    n = math.floor(n * math.max(1.5, math.min(8, 1.1 * seconds / spent)))
    spent = run(n)
  end
  return n
end

-- The seconds of the fastest of some runs, and the processor time that it took.
local function fastest(run, n, runs)
  local best, best_cpu = math.huge, nil
  for _ = 1, runs do
    local cpu = os.clock()
    local seconds = run(n)
    if seconds < best then
      best, best_cpu = seconds, os.clock() - cpu
    end
  end
  return best, best_cpu
end

-- Measures and prints one figure. Fields of `what`:
--   name    what is measured, and where
--   unit    what a step is, in the plural, such as "messages/s"
--   run     function(n): does n steps, returns how many seconds they took
--   each    what one step counts for in the figure; default 1
--   floor   optional: { name =, run = }, something comparable without casting,
--           measured in the same rounds
--   steps   optional: so many in each round, for what cannot be scaled
-- The figure, the pair rate and the floor are medians of the rounds; a ratio is
-- the median of the ratios of the rounds, so that a machine which is slower
-- for a while does not distort it.
function bench.figure(what)
  local each = what.each or 1
  local floor = what.floor
  local n = bench.steps or what.steps or calibrate(what.run, bench.seconds)
  local floor_n = floor and calibrate(floor.run, bench.seconds / 2)
  local rates, pairs_, ratios, floors, floor_ratios = {}, {}, {}, {}, {}
  local seconds, cpu
  for round = 1, bench.raw and 1 or bench.rounds do
    collectgarbage()
    local pair = bench.pair_rate()
    seconds, cpu = fastest(what.run, n, bench.raw and not what.steps and 3 or 1)
    local rate = n / seconds
    rates[round], pairs_[round] = rate * each, pair
    ratios[round] = rate / pair
    if floor then
      local other = floor_n / fastest(floor.run, floor_n, bench.raw and 3 or 1)
      floors[round], floor_ratios[round] = other * each, rate / other
    end
  end
  bench.raw_line(what.name, rates[1], what.unit, { steps = n, cpu = cpu,
    seconds = seconds, pair = pairs_[1], floor = floors[1] })
  local beside
  if floor then
    beside = { name = floor.name, figure = bench.median(floors),
      ratio = bench.median(floor_ratios) }
  end
  bench.print(what.name, bench.median(rates), what.unit,
    bench.median(pairs_), bench.median(ratios), beside)
end

-- ---------------------------------------------------------------- memory --

local function output(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read("*l")
  pipe:close()
  return line
end

local page_size

-- Resident bytes of this process; nil if nobody tells (not Linux).
function bench.resident()
  local file = io.open("/proc/self/statm")
  if not file then
    return nil
  end
  page_size = page_size or tonumber(output("getconf PAGESIZE")) or 4096
  local pages = file:read("*a"):match("%d+%s+(%d+)")
  file:close()
  return tonumber(pages) * page_size
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Runs this script again, in a process of its own and with these arguments
-- (shell's words); returns the first line that it prints. The interpreter may
-- have been started by a script, which LUA names then.
function bench.child(words)
  local program, lowest = os.getenv "LUA", 0
  while arg[lowest - 1] do
    lowest = lowest - 1
  end
  program = program or arg[lowest]
  return output(quote(program) .. " " .. quote(arg[0]) .. " " .. words)
end

-- ---------------------------------------------------------------- places --

local PLACES = {
  { word = "same", name = "same session", workers = 1, shared = true },
  { word = "one", name = "one worker", workers = 1 },
  { word = "two", name = "two workers", workers = 2 },
}
if bench.bare then
  PLACES = { { name = "coroutines", workers = 1, shared = true } }
end

-- Calls body(place, session, word) for each way to place tasks, or only for the
-- one asked for: `place` is its name, session(k) the session for the task
-- number k. The main program, which only waits, has a thread of its own and is
-- no worker.
function bench.places(body)
  local min, max = casting.threads()
  for _, place in ipairs(PLACES) do
    if not bench.place or bench.bare or bench.place == place.word then
      casting.threads(place.workers, place.workers)
      local sessions = {}
      body(place.name, function(k)
        k = place.shared and 1 or k
        sessions[k] = sessions[k] or casting.session { name = "bench " .. k }
        return sessions[k]
      end, place.word)
      for _, session in pairs(sessions) do
        session:close()
      end
    end
  end
  casting.threads(min, max)
end

return bench
