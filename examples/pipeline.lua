-- pipeline.lua - counts lines of source files in a pipeline of sessions.
-- SPDX-License-Identifier: MIT
--
-- Every line is found to be code, a comment or blank:
--
--     names -> [read] -> lines -> [parse] -> records -> [collect] -> table
--
-- What it shows: stages in sessions of their own, joined by small channels.
-- A stage that is faster than the next one fills the channel between them and
-- then waits: that is back-pressure, and nobody programmed it. The second
-- table says how long each stage waited, and how full its input became.
--
-- How to run it:
--   ./dev run examples/pipeline.lua                 (the project's own sources)
--   ./dev run examples/pipeline.lua src/*.c lua/*.lua
--   ./dev run examples/pipeline.lua --slow 0.001
--                 (a slow collector: watch the reader wait, not memory grow)

local casting = require "casting"

local CAPACITY = 64 -- lines between two stages

-- How comments look: `line` starts one that ends with the line; `open` and
-- `close` are patterns around one that may be longer.
local SLASHES = { line = "^//", open = "^/%*", close = "%*/" }
local DASHES = { line = "^%-%-", open = "^%-%-%[%[", close = "%]%]" }
local HASHES = { line = "^#" }
local PLAIN = {}

local LANGUAGES = {
  c = { "C", SLASHES }, h = { "C", SLASHES }, cc = { "C++", SLASHES },
  cpp = { "C++", SLASHES }, go = { "Go", SLASHES }, js = { "JS", SLASHES },
  lua = { "Lua", DASHES }, sh = { "shell", HASHES }, py = { "Python", HASHES },
  cmake = { "CMake", HASHES }, yml = { "YAML", HASHES },
  md = { "Markdown", PLAIN }, pml = { "Promela", SLASHES },
}

-- ---------------------------------------------------------------- stages --

-- Counts what a stage handles, how long it waits for the stages before and
-- after it, and how full its input gets.
local function new_gauge(name)
  local gauge = { items = 0, starved = 0, blocked = 0, fullest = 0 }

  function gauge.receive(channel)
    gauge.fullest = math.max(gauge.fullest, #channel)
    local start = casting.now()
    local first, second = channel:receive()
    gauge.starved = gauge.starved + casting.now() - start
    if first ~= nil then
      gauge.items = gauge.items + 1
    end
    return first, second
  end

  function gauge.send(channel, ...)
    local start = casting.now()
    channel:send(...)
    gauge.blocked = gauge.blocked + casting.now() - start
  end

  function gauge.figures()
    return { name = name, items = gauge.items, starved = gauge.starved,
      blocked = gauge.blocked, fullest = gauge.fullest }
  end

  return gauge
end

-- Names in, (name, line) out.
local function read_files(names, lines)
  local gauge, unread = new_gauge("read"), 0
  local name = gauge.receive(names)
  while name do
    local file, problem = io.open(name, "rb")
    if file then
      local line, why = file:read()
      while line do
        gauge.send(lines, name, line)
        line, why = file:read()
      end
      file:close()
      problem = why and name .. ": " .. why
    end
    if problem then
      io.stderr:write("pipeline: ", problem, "\n")
      unread = unread + 1
    end
    name = gauge.receive(names)
  end
  lines:close()
  return gauge.figures(), unread
end

-- What a line is, and the pattern that ends the comment it leaves open.
local function classify(line, comments, ending)
  line = line:match("^%s*(.-)%s*$")
  if line == "" then
    return "blank", ending
  elseif ending then
    return "comment", not line:find(ending) and ending or nil
  elseif comments.open and line:find(comments.open) then
    local _, stop = line:find(comments.open)
    local open = not line:find(comments.close, stop + 1)
    return "comment", open and comments.close or nil
  elseif comments.line and line:find(comments.line) then
    return "comment"
  end
  return "code"
end

-- (name, line) in, (language, kind of line) out.
local function parse_lines(lines, records)
  local gauge = new_gauge("parse")
  local current, language, comments, ending
  local name, line = gauge.receive(lines)
  while name do
    if name ~= current then -- the lines of a file arrive together, in order
      local known = LANGUAGES[name:match("%.(%w+)$")] or { "other", PLAIN }
      current, language, comments, ending = name, known[1], known[2], nil
    end
    local kind
    kind, ending = classify(line, comments, ending)
    gauge.send(records, language, kind)
    name, line = gauge.receive(lines)
  end
  records:close()
  return gauge.figures()
end

-- (language, kind) in; returns the sums.
local function collect(records, slow)
  local gauge = new_gauge("collect")
  local sums = {}
  local language, kind = gauge.receive(records)
  while language do
    local sum = sums[language] or { code = 0, comment = 0, blank = 0 }
    sum[kind] = sum[kind] + 1
    sums[language] = sum
    if slow > 0 then
      casting.sleep(slow)
    end
    language, kind = gauge.receive(records)
  end
  return gauge.figures(), sums
end

-- --------------------------------------------------------------- program --

-- Every file with a known ending in the project that this script is part of,
-- but for what is built there: that may be whole systems.
local function own_sources()
  local here = arg[0]:match("^(.*)[/\\][^/\\]*$") or "."
  local root = "'" .. (here .. "/.."):gsub("'", "'\\''") .. "'"
  local pipe = assert(io.popen("find " .. root
    .. " \\( -name '.?*' ! -name '..' -o -name build \\) -prune"
    .. " -o -type f -name '*.*' -print"))
  local names = {}
  for name in pipe:lines() do
    if LANGUAGES[name:match("%.(%w+)$")] then
      names[#names + 1] = name
    end
  end
  pipe:close()
  table.sort(names)
  return names
end

local function print_sums(sums)
  local languages, lines = {}, 0
  for language in pairs(sums) do
    languages[#languages + 1] = language
  end
  table.sort(languages)
  print("language       code   comment     blank")
  for _, language in ipairs(languages) do
    local sum = sums[language]
    print(string.format("%-9s %9d %9d %9d",
      language, sum.code, sum.comment, sum.blank))
    lines = lines + sum.code + sum.comment + sum.blank
  end
  return lines
end

local function print_gauges(gauges)
  print("\nstage      items   waited for input   for output   fullest input")
  for _, gauge in ipairs(gauges) do
    print(string.format("%-7s %8d %16.3f s %10.3f s %9d of %d", gauge.name,
      gauge.items, gauge.starved, gauge.blocked, gauge.fullest, CAPACITY))
  end
end

local names, slow = {}, 0
local i = 1
while arg[i] do
  if arg[i] == "--slow" and tonumber(arg[i + 1]) then
    i = i + 1
    slow = tonumber(arg[i])
  elseif arg[i]:sub(1, 1) == "-" then
    io.stderr:write("pipeline: ", arg[i] == "--slow"
      and "--slow needs a number of seconds" or "unknown option " .. arg[i],
      "\nusage: pipeline.lua [--slow SECONDS] [FILE]...\n")
    os.exit(2)
  else
    names[#names + 1] = arg[i]
  end
  i = i + 1
end
if #names == 0 then
  names = own_sources()
end

local start = casting.now()
local paths = casting.channel(CAPACITY)
local lines = casting.channel(CAPACITY)
local records = casting.channel(CAPACITY)

local reader = casting.session { name = "reader" }
local parser = casting.session { name = "parser" }
local collector = casting.session { name = "collector" }
local reading = reader:spawn(read_files, paths, lines)
local parsing = parser:spawn(parse_lines, lines, records)
local collecting = collector:spawn(collect, records, slow)

for _, name in ipairs(names) do
  paths:send(name)
end
paths:close()

local read, unread = reading:await()
local parsed = parsing:await()
local collected, sums = collecting:await()
local total = print_sums(sums)
print_gauges { read, parsed, collected }
print(string.format("\n%d files, %d lines, %.3f s",
  #names - unread, total, casting.now() - start))

if total ~= parsed.items or total ~= collected.items then
  print("check: lines were LOST")
  os.exit(1)
end
print("check: every line arrived")
if unread > 0 then
  os.exit(1)
end
