-- run.lua - runs the comparison; `./dev bench compare` calls it.
-- SPDX-License-Identifier: MIT
--
-- In every round, every workload is run by every column (see workloads.lua),
-- one after the other, each in a process of its own. The numbers go to a data
-- file, from which report.lua and chart.lua make docs/benchmarks.md and .svg.
--
-- Options:
--   --rounds N     default 3
--   --seconds S    about how long a run takes that is not heavy; default 0.1
--   --only A,B     only these workloads
--   --columns P    only columns whose id matches this pattern, such as 5%.4
--   --append       more rounds for what is in the data file; else from scratch
--   --data FILE    default docs/benchmarks.tsv
--   --report       measure nothing: table and chart from the data file
--   --smoke        a few steps of everything; writes nothing. Fails if any
--                  program does
--
-- For a machine that others use, many short runs with --append, each started
-- when it is quiet, give the same as a long one.

local here = arg[0]:match("^(.*/)[^/]*$") or "./"
local list = dofile(here .. "workloads.lua")
local data = dofile(here .. "data.lua")

local tool = dofile(here .. "tool.lua")
local output = tool.output

local options = tool.options("bench compare",
  { rounds = 3, seconds = 0.1, data = "docs/benchmarks.tsv" },
  "append report smoke", "rounds seconds", "only data columns")
local LIMIT = 240 -- seconds for one run

-- ------------------------------------------------------------- commands --

local function lua_command(version, file, args)
  local program = version == "luajit" and "luajit" or "lua" .. version
  return string.format("LUA_CPATH='build/compare/%s/?.so;;' " ..
    "timeout -k 2 %d %s %s --raw %s",
    program, LIMIT, program, file, args)
end

-- Processors of a virtual machine may differ in speed. What needs only one
-- gets the same one in all columns of a round, and another one in the next.
local processors = output "taskset -c 0 nproc" == "1" and
  tonumber(output "nproc") or 1

local function pinned(column, round)
  if processors == 1 or column.place == "two" or column.threads == 2 then
    return ""
  end
  return string.format("taskset -c %d ", round % processors)
end

-- How a column does a workload: `steps` steps, or as many as fill the time.
local function command(w, column, steps)
  if column.kind == "casting" or column.kind == "bare" then
    local words = { w.args or "" }
    if column.kind == "bare" then
      words[#words + 1] = "--bare"
    elseif column.place ~= "" then
      words[#words + 1] = "--place " .. column.place
    end
    words[#words + 1] = steps and string.format("--steps %d", steps) or
      "--seconds " .. options.seconds
    return lua_command(column.version, w.file, table.concat(words, " "))
  end
  local amount = steps and string.format("%d", steps) or
    string.format("=%.3f", options.seconds)
  if column.kind == "go" then
    return string.format("GOMAXPROCS=%d timeout -k 2 %d " ..
      "build/compare/go-compare %s %s", column.threads, LIMIT, w.id, amount)
  end
  return string.format("ERL_CRASH_DUMP_SECONDS=0 timeout -k 2 %d " ..
    "erl +S %d:%d +P 4000000 -noinput -boot no_dot_erlang " ..
    "-pa build/compare/erlang -run compare main %s %s", LIMIT,
    column.threads, column.threads, w.id, amount)
end

-- ------------------------------------------------------------ measuring --

local failures = 0

-- Runs it; returns the fields of its line, or nil.
local function run(w, column, round, steps)
  local line = "exec " .. pinned(column, round) .. "env " ..
    command(w, column, steps)
  local text = output(line)
  local value = text:match "^[^\t\n]+\t([^\t]+)\t"
  local fields = { value = tonumber(value) }
  for key, number in text:gmatch "\t(%l+)=([^\t\n]+)" do
    fields[key] = tonumber(number)
  end
  if fields.value then
    return fields
  end
  failures = failures + 1
  io.stderr:write("bench compare: failed: ", line, "\n")
  return {}
end

local FIELDS = { "value", "pair", "floor", "cpu" }

-- One more round of a workload. Every second one goes backwards.
local function measure(numbers, w)
  local round = numbers:rounds(w.id) + 1
  local columns = list.columns(w)
  for k = 1, #columns do
    local column = columns[round % 2 == 1 and k or #columns + 1 - k]
    local steps = w.steps or numbers:get(w.id, column.id, "steps", 1)
    local skip = options.columns and not column.id:find(options.columns)
    local got = skip and {} or run(w, column, round, steps)
    for _, field in ipairs(FIELDS) do
      if got[field] or field == "value" then
        numbers:put(w.id, column.id, field, round, got[field])
      end
    end
    if got.steps and not steps then
      numbers:put(w.id, column.id, "steps", 1, got.steps)
    end
    numbers:write(options.data)
  end
end

-- What the machine and the programs are; nothing that names the machine.
local function describe(numbers)
  local function fact(key, command, pattern)
    tool.fact(numbers, key, command, pattern)
  end
  tool.machine(numbers)
  fact("Lua 5.4", "lua5.4 -v", "^Lua %S+")
  fact("Lua 5.1", "{ lua5.1 -v 2>&1; }", "^Lua %S+")
  fact("LuaJIT", "luajit -v", "^LuaJIT %S+")
  fact("Go", "build/compare/go-compare version", "go%S+")
  fact("Erlang", "erl -noinput -boot no_dot_erlang -eval '" ..
    "io:format(\"OTP ~s, ERTS ~s\", [erlang:system_info(otp_release), " ..
    "erlang:system_info(version)]), halt().'")
end

local function wanted(w)
  return tool.is_wanted(options.only, w.id)
end

if options.smoke then
  for _, w in ipairs(list.workloads) do
    if wanted(w) then
      for _, column in ipairs(list.columns(w)) do
        run(w, column, 0, 100)
      end
    end
  end
  print(failures == 0 and "every program works" or failures .. " failed")
  os.exit(failures == 0 and 0 or 1)
end

if not options.report then
  local numbers = options.append and data.read(options.data) or data.new()
  describe(numbers)
  for round = 1, options.rounds do
    for _, w in ipairs(list.workloads) do
      if wanted(w) and (not w.heavy or round % 3 == 1) then
        io.stderr:write(string.format("round %d: %s\n", round, w.title))
        measure(numbers, w)
      end
    end
  end
end

dofile(here .. "report.lua")(data.read(options.data), list)
dofile(here .. "chart.lua")(data.read(options.data), list)
os.exit(failures == 0 and 0 or 1)
