-- run.lua - measures sockets beside other servers; `./dev bench net` calls it.
-- SPDX-License-Identifier: MIT
--
-- In every round, every workload is done by every column (workloads.lua), one
-- after the other, each by a new load generator with a new server (load.c). The
-- numbers go to a data file, and a table of them is printed.
--
-- Options:
--   --rounds N     default 3
--   --seconds S    about how long a run measures; default 1
--   --only A,B     only these workloads
--   --columns P    only columns whose id matches this pattern
--   --append       more rounds for what is in the data file; else from scratch
--   --data FILE    default docs/benchmarks-net.tsv
--   --report       measure nothing: the table from the data file
--   --smoke        a few steps of everything; writes nothing. Fails if any
--                  program does

local here = arg[0]:match "^(.*/)[^/]*$" or "./"
local tool = dofile(here .. "../compare/tool.lua")
local data = dofile(here .. "../compare/data.lua")
local list = dofile(here .. "workloads.lua")

local options = tool.options("bench net",
  { rounds = 3, seconds = 1, data = "docs/benchmarks-net.tsv" },
  "append report smoke", "rounds seconds", "only data columns")
local FIELDS = { "value", "p50", "p99", "cpu", "rests", "load", "rate" }

local failures = 0

-- Where casting's module is, for the Lua of the servers.
local PATHS = "LUA_CPATH='build/compare/lua5.4/?.so;;' "

local function command(w, column)
  local seconds = options.smoke and 0.05 or
    math.max(options.seconds, w.least or 0)
  local words = { PATHS .. "timeout -k 2 300 build/compare/net-load",
    options.smoke and w.small or w.load, "--seconds " .. seconds, "--",
    w.dial and column.dial or column.command }
  if w.args then
    words[#words + 1] = w.args
  elseif w.idle then
    words[#words + 1] = column.idle
  elseif w.size then
    words[#words + 1] = column.size and math.max(4096, w.size) or nil
    words[#words + 1] = w.size >= list.BIG and column.big or nil
  end
  return table.concat(words, " ")
end

-- Runs it; returns the fields of its line, or none.
local function run(w, column)
  local line = command(w, column)
  local text = tool.output(line)
  local fields = { rate = tonumber(text:match "^[^\t\n]+\t([^\t]+)\t") }
  for key, number in text:gmatch "\t(%l%w*)=([^\t\n]+)" do
    fields[key] = tonumber(number)
  end
  fields.value = w.field and fields[w.field] or fields.rate
  if not fields.rate or (fields.errors or 0) > 0 then
    failures = failures + 1
    io.stderr:write("bench net: failed: ", line, "\n", text, "\n")
    return {}
  end
  return fields
end

-- One more round of a workload. Every second one goes backwards.
local function measure(numbers, w)
  local round = numbers:rounds(w.id) + 1
  local n = #list.columns
  for k = 1, n do
    local column = list.columns[round % 2 == 1 and k or n + 1 - k]
    local skip = not list.has(w, column) or
      options.columns and not column.id:find(options.columns)
    local got = skip and {} or run(w, column)
    for _, field in ipairs(FIELDS) do
      if got[field] or field == "value" then
        numbers:put(w.id, column.id, field, round, got[field])
      end
    end
    numbers:write(options.data)
  end
end

local function describe(numbers)
  local function fact(key, line, pattern)
    tool.fact(numbers, key, line, pattern)
  end
  tool.machine(numbers)
  fact("Lua 5.4", "lua5.4 -v", "^Lua %S+")
  fact("Go", "go version", "go%d%S*")
  fact("luv", "lua5.4 -e 'print(require \"luv\".version_string())'")
  fact("cqueues", "lua5.4 -e 'print(require \"cqueues\".VERSION)'")
  fact("Node", "node --version")
  fact("load", "uptime", "average: (.*)$")
end

local function each(f)
  for _, w in ipairs(list.workloads) do
    if tool.is_wanted(options.only, w.id) then
      f(w)
    end
  end
end

if options.smoke then
  each(function(w)
    for _, column in ipairs(list.columns) do
      if list.has(w, column) and
        (not options.columns or column.id:find(options.columns)) then
        run(w, column)
      end
    end
  end)
  print(failures == 0 and "every program works" or failures .. " failed")
  os.exit(failures == 0 and 0 or 1)
end

if not options.report then
  local numbers = options.append and data.read(options.data) or data.new()
  describe(numbers)
  for round = 1, options.rounds do
    each(function(w)
      io.stderr:write(("round %d: %s\n"):format(round, w.title))
      measure(numbers, w)
    end)
  end
end

dofile(here .. "report.lua")(data.read(options.data), list)
os.exit(failures == 0 and 0 or 1)
