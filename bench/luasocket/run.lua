-- run.lua - casting.socket beside LuaSocket's own core; `./dev bench luasocket`
-- calls it.
-- SPDX-License-Identifier: MIT
--
-- In each round all runs are made one after the other, each a new process, with
-- the same peer (peer.c). The ratio to the original core is the median of the
-- rounds' own.
--
-- Options:
--   --rounds N     default 7
--   --seconds S    how long a run measures; default 0.5
--   --smoke        a few steps of everything. Fails if any program does

local here = arg[0]:match "^(.*/)[^/]*$" or "./"
local tool = dofile(here .. "../compare/tool.lua")
local options = tool.options("bench luasocket", {rounds = 7, seconds = 0.5},
  "smoke", "rounds seconds", "")
if options.smoke then options.rounds, options.seconds = 1, 0.01 end

local LUA, DIR = os.getenv "BENCH_LUA", os.getenv "BENCH_DIR"
local WORKLOADS = {
  {"echo", "64 bytes there and back"},
  {"line", "a line of 63 bytes"},
  {"read", "receive(1000)"},
}
local CORES = {"original", "task", "session"}

-- The peer has the first processor, the programs the second one.
local several = (tonumber(tool.output "nproc") or 1) > 1
local function on(processor)
  return several and "taskset -c " .. processor .. " " or ""
end

local place = os.tmpname()
local peer = assert(io.popen(("%s%s/luasocket-peer >%s"):format(on(0), DIR,
  place), "w"))
local port
repeat
  local file = assert(io.open(place))
  port = file:read "*l"
  file:close()
until port
os.remove(place)

local function run(core, workload)
  local text = tool.output(("%stimeout 60 %s %sclient.lua %s %s %s %g"):format(
    on(1), LUA, here, core, workload, port, options.seconds))
  return tonumber(text) or error(core .. ", " .. workload .. ": " .. text)
end

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

print(("%-26s %10s %18s %18s"):format("steps per second", "original",
  "in a task, ratio", "in a session, ratio"))
for _, w in ipairs(WORKLOADS) do
  local rates, ratios = {}, {}
  for _, core in ipairs(CORES) do rates[core], ratios[core] = {}, {} end
  for round = 1, options.rounds do
    for _, core in ipairs(CORES) do
      local rate = run(core, w[1])
      rates[core][round] = rate
      ratios[core][round] = rate / rates.original[round]
    end
  end
  local line = ("%-26s %10s"):format(w[2], tool.human(median(rates.original)))
  for i = 2, #CORES do
    line = line .. ("%12s %6.2f"):format(tool.human(median(rates[CORES[i]])),
      median(ratios[CORES[i]]))
  end
  print(line)
end
peer:close()
if options.smoke then print "every program works" end
