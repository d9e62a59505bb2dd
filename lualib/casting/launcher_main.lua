-- launcher_main.lua - what the program `casting` does with its words.
-- SPDX-License-Identifier: MIT
--
-- It is called by bin/casting, in the main program of a stock interpreter, with
-- the words of the command line and with the globals, which the library's files
-- do not have otherwise. Nothing of the program has run by then. Each thing to
-- be done, a -e or the file, is a task of the main session; the main program
-- waits for it, and reports as the stock interpreter does.
--
-- The words (options):
--   steps        what is to be run, in order: {kind, text}, of the kinds
--                "eval", "module" and "file"; of a file the text is nil for the
--                standard input
--   at           the place of the file among the words; nil: there is none
--   min, max     of the thread pool; nil: as they are
--   interactive  the prompt comes at the end
--   version      to be told first
--   watch        a list of paths; nil: nothing is watched
--   word         the first that is no option: it may be a command
--   command      what to do in place of all that
--   chosen       a shell has chosen the interpreter

local casting, internal = ...
local getmetatable, ipairs, pcall, tostring, type =
  getmetatable, ipairs, pcall, tostring, type

local GRACE = 2 -- seconds for a task that was interrupted to clean up

-- -- words --------------------------------------------------------------------

local readers = {}

function readers.eval(o, text) o.steps[#o.steps + 1] = {"eval", text} end
function readers.module(o, text) o.steps[#o.steps + 1] = {"module", text} end
function readers.interactive(o) o.interactive = true end
function readers.version(o) o.version = true end
function readers.help(o) o.command = "help" end
function readers.lua(o, text) o.lua = text end
function readers.own() end

function readers.threads(o, text)
  local min, max = text:match "^(%d+),(%d+)$"
  o.min, o.max = min, max or text:match "^%d+$"
  if not o.max then
    return "a number of threads expected, or two as MIN,MAX, got '" .. text ..
      "'"
  end
end

function readers.watch(o, text)
  o.watch = o.watch or {}
  if text then o.watch[#o.watch + 1] = text end
end

-- Names of the readers. Those of `valued` have a value, and those of `maybe`
-- have one if it is behind a "=".
local OPTIONS = {["-e"] = "eval", ["--eval"] = "eval", ["-l"] = "module",
  ["--threads"] = "threads", ["--lua"] = "lua", ["--watch"] = "watch",
  ["-i"] = "interactive", ["--interactive"] = "interactive",
  ["-v"] = "version", ["--version"] = "version", ["-h"] = "help",
  ["--help"] = "help", ["-E"] = "own", ["-W"] = "own"}
local valued = {eval = true, module = true, threads = true, lua = true}
local maybe = {watch = true}

-- The option that a word is, and the value in it: -eTEXT, --eval=TEXT.
local function split(word)
  if OPTIONS[word] then return OPTIONS[word] end
  local name, value = word:match "^(%-%-[^=]*)=(.*)$"
  if not name then name, value = word:match "^(%-[el])(.+)$" end
  local option = OPTIONS[name or ""]
  if valued[option] or maybe[option] then return option, value end
end

-- Reads the options, up to the file; or nil, and what is wrong.
local function read(words, first)
  local o, i = {steps = {}, chosen = first > 1}, first
  while words[i] do
    local word = words[i]
    if word == "--" or word == "-" or word:sub(1, 1) ~= "-" then
      -- Behind a "--" all is a file.
      if word == "--" then i = i + 1 else o.word = word end
      o.at = words[i] and i
      break
    end
    local option, value = split(word)
    if not option then return nil, "unrecognized option '" .. word .. "'" end
    if valued[option] and not value then
      i = i + 1
      value = words[i]
      if not value then return nil, "'" .. word .. "' needs argument" end
    end
    local problem = readers[option](o, value)
    if problem then return nil, word .. ": " .. problem end
    i = i + 1
  end
  return o
end

-- -- running ------------------------------------------------------------------

return function(words, G)
  local io, stderr = G.io, G.io.stderr
  local first = words[1] == "--chosen" and 2 or 1

  local function complain(text)
    io.stdout:flush()
    stderr:write("casting: ", text, "\n")
    stderr:flush()
  end

  -- What the stock interpreter says of an error.
  local function describe(e, trace)
    if type(e) == "string" or type(e) == "number" then return trace end
    local class = getmetatable(e)
    if class and class.__tostring then
      local ok, text = pcall(tostring, e)
      if ok then return text end
    end
    local stack = trace:match "\nstack traceback:.*$" or ""
    return "(error object is a " .. type(e) .. " value)" .. stack
  end

  -- The wait has failed: Ctrl-C, or a deadlock. The task is told, and may clean
  -- up.
  local function interrupt(task, e)
    local text, stack = tostring(e), task:traceback()
    if not text:find("deadlock", 1, true) then
      text = text .. "\n" .. stack
    else -- without the wait of this file
      text = text:gsub("\nmain program: .-\n\n", "\n", 1)
    end
    task:cancel(text:match "^[^\n]*")
    pcall(task.join, task, GRACE)
    return text
  end

  -- Runs f as a task: true; or false, and the failure has been told.
  local function run(f, ...)
    local task = casting.spawn(f, ...)
    local waited, ok, e = pcall(task.join, task)
    if waited and ok then return true end
    if waited then
      complain(describe(e, task:traceback() or tostring(e)))
    else
      complain(interrupt(task, ok))
    end
    return false
  end

  local steps = {}

  function steps.eval(text)
    local load = G.loadstring or G.load
    local f, problem = load(text, "=(command line)")
    if f then return run(f) end
    complain(problem)
  end

  -- NAME, or GLOBAL=NAME.
  function steps.module(text)
    local global, name = text:match "^([^=]*)=(.*)$"
    return run(function()
      local v = G.require(name or text)
      G[global or text:match "^[^-]*"] = v
    end)
  end

  function steps.file(name, o)
    local f, problem = G.loadfile(name)
    if not f then return complain(problem) end
    local rest, n = {}, 0
    for i = (o.at or #words) + 1, #words do
      n = n + 1
      rest[n] = words[i]
    end
    return run(f, internal.unpack(rest, n))
  end

  -- The table `arg`: what stands before the file has numbers below zero.
  local function set_arg(o)
    local list, zero = {}, o.at and o.at - first + 1 or 0
    list[-zero] = words[0]
    for i = first, #words do list[i - first + 1 - zero] = words[i] end
    G.arg = list
  end

  local function tell_version()
    io.stdout:write("casting ", casting._VERSION, ", ",
      G.jit and G.jit.version or G._VERSION, "\n")
  end

  local commands = {}

  function commands.help()
    io.stdout:write(internal.launcher_help)
    return true
  end

  -- What is wrong with what was asked for, or nil.
  local function check(o)
    if o.lua and not o.chosen then
      local lowest = 0
      while words[lowest - 1] do lowest = lowest - 1 end
      return "--lua: LuaRocks has installed this program for " ..
        words[lowest] .. " alone"
    elseif o.watch and not o.at then
      return "--watch: which FILE is to be run?"
    elseif o.watch and o.interactive then
      return "--watch: not together with -i"
    end
    if o.max then
      local ok, problem = pcall(casting.threads, o.min, o.max)
      if not ok then
        return "--threads: " .. tostring(problem):match "%((.*)%)$"
      end
    end
  end

  local function begin(o)
    local file = o.at and words[o.at]
    if file then
      o.steps[#o.steps + 1] = {"file", file ~= "-" and file or nil}
    end
    if o.version then tell_version() end
    if #o.steps == 0 and not o.version and not o.interactive then
      if (internal.terminals.is()) then
        o.interactive = true
      else
        o.steps[1] = {"file"}
      end
    end
    set_arg(o)
    if #o.steps > 0 and o.steps[1][1] == "eval" or o.interactive then
      if G.casting == nil then G.casting = casting end
    end
    for _, step in ipairs(o.steps) do
      if not steps[step[1]](step[2], o) then return false end
    end
    return not o.interactive or internal.launcher_prompt(G)
  end

  local o, problem = read(words, first)
  local command = o and commands[o.command or o.word]
  if command then return command() end
  problem = problem or check(o)
  if problem then return complain(problem .. "\nsee: casting help") end
  if o.watch then return internal.launcher_watch(G, o, words, first) end
  return begin(o)
end
