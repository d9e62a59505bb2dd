-- rebuild.lua - runs a command each time when something in a directory changes.
-- SPDX-License-Identifier: MIT
--
-- DIR is watched with all directories below. COMMAND is one for the shell; it
-- is run at once, and then after each change. Files that are saved together
-- make one run: it begins when nothing has happened for 50 ms. What changes
-- while the command runs is told of by the next run. Hidden files, those that
-- end in ~, and paths that match a PATTERN of Lua's do not count: if COMMAND
-- writes into DIR, -i must match what it writes, or it runs for ever.
--
-- What it shows: fs.watch with a tree; a burst of events as one, by watch:next
-- with a timeout; process.run, which kills its program when it is cancelled;
-- and a shutdown by a signal, which cancels all the tasks of a scope.
--
-- How to run it:
--   ./dev run examples/rebuild.lua [-i PATTERN]... DIR COMMAND
--   ./dev run examples/rebuild.lua -i '%.o$' src 'make -s'

local casting = require "casting"
local fs = require "casting.fs"
local process = require "casting.process"

local QUIET = 0.05
local NUMBERS = {HUP = 1, INT = 2, TERM = 15}

local dir, command
local ignored = {"/%.", "~$"}

local function say(form, ...)
  io.write("rebuild: ", form:format(...), "\n")
  io.flush()
end

-- The path below DIR of what an event tells; nil: it does not count.
local function counts(event)
  if event.kind == "overflow" then return "anything" end
  if event.kind == "attributes" then return nil end
  local path = event.path:sub(#dir + 1)
  for _, pattern in ipairs(ignored) do
    if path:match(pattern) then return nil end
  end
  if event.kind == "failed" then
    say("%s is not watched: %s", path:sub(2), event.why)
  end
  return path:gsub("^/", "")
end

-- Waits for a change, and until there was none for a while: a list of paths.
local function await_burst(watch)
  local paths, known, deadline = {}, {}, nil
  while true do
    local left = deadline and math.max(deadline - casting.now(), 0)
    local event, why = watch:next(left)
    if why == "timeout" then return paths end
    local path = counts(event)
    if path then
      if not known[path] then paths[#paths + 1] = path end
      known[path], deadline = true, casting.now() + QUIET
    end
  end
end

-- One run. Its output is written when it has ended.
local function build()
  local began = casting.now()
  local code, out, rest = process.run {"sh", "-c", "exec 2>&1\n" .. command}
  io.write(code and out or rest or "")
  say("%s, %.1f s", not code and out or code == 0 and "done" or
    code > 0 and "exit " .. code or "signal " .. -code, casting.now() - began)
end

local function work()
  local watch = assert(fs.watch(dir, {tree = true}))
  while true do
    build()
    local paths = await_burst(watch)
    say(#paths == 1 and "%s changed" or "%s and %d more changed", paths[1],
      #paths - 1)
  end
end

local i = 1
while arg[i] == "-i" and arg[i + 1] do
  ignored[#ignored + 1] = arg[i + 1]
  i = i + 2
end
dir, command = arg[i] and arg[i]:gsub("(.)/+$", "%1"), arg[i + 1]
if not command or arg[i + 2] then
  io.stderr:write "usage: rebuild.lua [-i PATTERN]... DIR COMMAND\n"
  os.exit(2)
end

-- An error in either task, and a signal is one, cancels the other; the scope
-- returns when both have ended, and so the command.
local signals = assert(process.signals("HUP", "INT", "TERM"))
local _, failure = pcall(casting.scope, function(scope)
  scope:spawn(work)
  error(signals:receive(), 0)
end)
local e = tostring(type(failure) == "table" and failure.error or failure)
io.stderr:write("rebuild: ", e, "\n")
os.exit(NUMBERS[e] and 128 + NUMBERS[e] or 1)
