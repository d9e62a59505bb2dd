-- launcher_watch.lua - `casting --watch`: runs a file again when one changes.
-- SPDX-License-Identifier: MIT
--
-- The program is another process, with the same command line but for --watch,
-- so that nothing of one run is left in the next. It has this one's standard
-- streams and is in its group: the terminal's signals reach both. A task for
-- each path sends what has changed there into one channel. Invariant: one
-- process of the program is there at a time, and none when this returns.
--
-- A run (run):
--   command   the list for process.spawn
--   changes   a channel of paths; it has room for one, for the first of a burst
--             is enough
--   signals   a channel of names
--   process   the program; nil: it has ended

local casting = ...
local ipairs, pairs = ipairs, pairs

local QUIET = 0.1 -- a burst of changes has ended when none came for so long
local GRACE = 2 -- seconds between TERM and KILL
local NUMBERS = {HUP = 1, INT = 2, TERM = 15}

-- Which path has changed by an event, below `base`; nil: none that counts.
-- Hidden files, and those that editors keep beside what is edited, do not.
local function counts(event, base, accepts)
  if event.kind == "overflow" then return base end
  if event.kind == "attributes" or event.kind == "failed" or
    event.type == "directory" then
    return nil
  end
  for _, path in ipairs {event.path, event.from} do
    local below = path:sub(#base + 1)
    if not below:find "/%." and not below:find "~$" and accepts(path) then
      return path
    end
  end
end

-- Has a task send what changes at the path to `changes`; or nil, why. A file is
-- watched by its directory, since many programs put a new one in its place.
local function watch(path, accepts, changes)
  local fs = casting.fs
  local found = fs.stat(path)
  local is_directory = found and found.type == "directory"
  local base = is_directory and path or path:match "^(.*)/[^/]*$" or "."
  if base == "" then base = "/" end
  local watched, why = fs.watch(base, {tree = is_directory or nil})
  if not watched then return nil, why end
  if not is_directory then
    local name = path:match "[^/]*$"
    accepts = function(at) return at:match "[^/]*$" == name end
  end
  base = base:gsub("(.)/+$", "%1")
  casting.spawn(function()
    for event in watched do
      local at = counts(event, base, accepts)
      if at then changes:try_send(at) end
    end
  end)
  return true
end

-- Waits until no change has come for a while, and forgets them.
local function settle(run)
  repeat
    local _, why = run.changes:receive(QUIET)
  until why
end

-- Ends the program, if it has not ended. It may take its time with the signal
-- that came from outside, until there is another one.
local function stop(run, signal)
  local process = run.process
  if not process then return end
  if signal ~= "INT" then process:kill "TERM" end
  if casting.select {process, signal and run.signals,
    timeout = not signal and GRACE or nil} ~= 1 then
    process:kill "KILL"
  end
  process:wait()
  run.process = nil
end

return function(G, o, words, first)
  local stderr = G.io.stderr
  local function say(text)
    stderr:write("casting: ", text, "\n")
    stderr:flush()
  end

  -- A shell chooses the interpreter anew: --lua may name a program that is none
  -- itself, but runs one.
  local run = {command = {stdin = "inherit"}, changes = casting.channel(1)}
  local from = first
  if o.chosen then
    run.command[1], run.command[2] = "sh", words[0]
  else
    while words[from - 1] do from = from - 1 end
  end
  for i = from, #words do
    local is_own = i >= first and i < o.at and words[i]:find "^%-%-watch"
    if not is_own then run.command[#run.command + 1] = words[i] end
  end

  local file = words[o.at]
  local paths = {[file:match "^(.*/)[^/]*$" or "."] = function(path)
    return path:find "%.lua$" or path:match "[^/]*$" == file:match "[^/]*$"
  end}
  if o.watch[1] then paths = {} end
  for _, path in ipairs(o.watch) do
    paths[path] = function() return true end
  end
  for path, accepts in pairs(paths) do
    local ok, why = watch(path, accepts, run.changes)
    if not ok then
      say("--watch: " .. why)
      return false
    end
  end
  run.signals = casting.process.signals("HUP", "INT", "TERM")

  while true do
    local why
    run.process, why = casting.process.spawn(run.command)
    if not run.process then
      say(why)
      return false
    end
    local i, what = casting.select {run.changes, run.signals, run.process}
    if i == 3 then
      local how, code = run.process:wait()
      run.process = nil
      say(("%s has ended (%s %d); it is run again when something changes")
        :format(file, how or code, how and code or 0))
      i, what = casting.select {run.changes, run.signals}
    end
    if i == 2 then
      stop(run, what)
      G.os.exit(128 + NUMBERS[what])
    end
    settle(run)
    say(what .. " has changed")
    stop(run)
  end
end
