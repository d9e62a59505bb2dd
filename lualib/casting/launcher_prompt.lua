-- launcher_prompt.lua - `casting -i`: a prompt, while which tasks run.
-- SPDX-License-Identifier: MIT
--
-- The main program reads the lines. As it waits by casting.select, the tasks of
-- the main session run meanwhile. What was typed is run as a task, and the main
-- program waits for its end. A session of its own, which runs even while that
-- task computes, has the signals: Ctrl-C cancels the task.
--
-- At a terminal the keys come one by one while a line is typed, and the line is
-- edited here (launcher_editor.lua). Whatever is run finds the terminal as it
-- was. Elsewhere lines are read as they are.
--
-- A prompt (prompt):
--   G         the globals
--   editor    nil: no terminal
--   input     casting.stdin
--   failures  a channel: of tasks that nobody has joined
--   signals   a channel: names of signals that came while nothing was run
--   running   a channel to the session with the signals: the task that is run,
--             or false
--   raw       the keys come one by one: until something is run
--   path      of the file with the history; nil: none is kept

local casting, internal = ...
local getmetatable, pcall, select, setmetatable, tostring, type =
  getmetatable, pcall, select, setmetatable, tostring, type
local terminals = internal.terminals

local MOST = 1000 -- lines of history

local Prompt = {}
Prompt.__index = Prompt

-- -- signals ------------------------------------------------------------------

-- Source text of a task, since it needs the globals of its session. The first
-- Ctrl-C cancels what is run, which may clean up; the third ends the program:
-- LuaJIT may be running compiled code.
local HEED = [[
local signals, running, others = ...
local casting = require "casting"
local task, times = false, 0
while true do
  local i, v, why = casting.select {running, signals}
  if why == "closed" then return end
  if i == 2 and not task then -- both may have come: then this is for the task
    task, times = running:try_receive() or false, 0
  end
  if i == 1 then
    task, times = v, 0
  elseif v == "TERM" then
    os.exit(143)
  elseif v == "QUIT" and task then
    casting.stderr:write(casting.report() .. "\n")
  elseif v == "INT" and task then
    times = times + 1
    task:cancel "interrupted!"
    if times == 3 then os.exit(130) end
  else
    others:try_send(v)
  end
end
]]

-- -- history ------------------------------------------------------------------

local function read_history(self)
  local lines, os = {}, self.G.os
  local path, home = os.getenv "CASTING_HISTORY", os.getenv "HOME"
  if path == "" or not path and not home then return lines end
  path = path or home .. "/.casting_history"
  local file = self.G.io.open(path)
  if file then
    for line in file:lines() do lines[#lines + 1] = line end
    file:close()
  end
  if #lines > 2 * MOST or not file then
    local kept = {}
    for i = #lines > MOST and #lines - MOST + 1 or 1, #lines do
      kept[#kept + 1] = lines[i] .. "\n"
    end
    -- Others may not read what was typed.
    if not casting.fs.write(path, kept, {mode = 384}) then return lines end
  end
  self.path = path
  return lines
end

local function remember(self, line)
  local history = self.editor.history
  if line:find "^%s*$" or line == history[#history] or #line > 4096 then
    return
  end
  history[#history + 1] = line
  local file = self.path and self.G.io.open(self.path, "a")
  if file then
    file:write(line, "\n")
    file:close()
  end
end

-- -- what is written ----------------------------------------------------------

function Prompt:write(text)
  self.G.io.stdout:write(text)
  self.G.io.stdout:flush()
end

function Prompt:complain(text)
  self.G.io.stdout:flush()
  self.G.io.stderr:write(text, "\n")
  self.G.io.stderr:flush()
end

function Prompt:draw()
  local columns = terminals.columns()
  self.editor.columns = columns > 0 and columns or 80
  self:write(self.editor:draw())
end

-- Tells of the tasks that have failed meanwhile.
function Prompt:tell(failure)
  while failure do
    local task, session = failure.task, failure.session
    self:complain(("%s of session '%s' has failed: %s"):format(
      task and task:name() or "a task", session and session:name() or "?",
      tostring(failure.traceback)))
    failure = self.failures:try_receive()
  end
end

-- What all tasks do, but for those that belong to the prompt.
local function report()
  local text = ""
  for part in (casting.report() .. "\n"):gmatch "\n?(.-\n)\n" do
    if not part:find "^main program: " and
      not part:find "^task %d+ of session 'keyboard': " then
      text = text .. part
    end
  end
  return text ~= "" and text or "no task is there\n"
end

-- -- lines --------------------------------------------------------------------

-- Something has come from the terminal: the line, or nil and why there is none
-- ("end", "cancel"); nothing if it goes on.
local function react(self, what)
  local editor = self.editor
  if what == "line" then
    self:draw()
    self:write "\n"
    return editor:text()
  elseif what == "cancel" or what == "end" then
    self:write(what == "cancel" and "^C\n" or "\n")
    return nil, what
  elseif what == "report" then
    self:write("\r\27[K" .. report())
  elseif what == "clear" then
    self:write "\27[H\27[2J"
  elseif what == "stop" then
    terminals.restore()
    self:write "\n"
    terminals.stop()
    terminals.raw()
  end
end

-- The bytes that have come: a line, or nil and why; or nothing.
local function feed(self, bytes)
  repeat
    local what = self.editor:feed(bytes)
    bytes = ""
    if what then
      local line, why = react(self, what)
      if line or why then return line, why end
    end
  until not what
end

-- Waits for the next thing: keys, a failure, a signal. As feed.
local function await(self)
  local i, v = casting.select {self.input, self.failures, self.signals}
  if i == 2 then
    self:write "\r\27[K"
    self:tell(v)
  elseif i == 3 and v == "INT" then
    return react(self, "cancel")
  elseif i == 3 and v == "QUIT" then
    react(self, "report")
  elseif i == 1 then
    local bytes, why = self.input:read(nil, 0)
    if not bytes and why ~= "timeout" then return nil, "end" end
    return feed(self, bytes or "")
  end
end

-- A line that was edited; or nil and "cancel" or "end".
local function edit(self, prompt)
  self.editor:begin(prompt)
  if not self.raw then self.raw = terminals.raw() end
  if not self.raw then return nil, "end" end
  -- What was typed while something ran is there already.
  local line, why = feed(self, self.input:read(nil, 0) or "")
  while not line and not why do
    self:draw()
    line, why = await(self)
  end
  if line then remember(self, line) end
  return line, why
end

-- The same where nothing is edited. A failure comes before the next line.
local function read(self, prompt)
  self:write(prompt)
  while true do
    local i, v = casting.select {self.input, self.failures, self.signals}
    if i == 1 then
      local line, _, rest = self.input:read "l"
      if not line and rest and rest ~= "" then line = rest end
      if not line then self:write "\n" end
      return line, not line and "end" or nil
    elseif i == 2 then
      self:write "\n"
      self:tell(v)
      self:write(prompt)
    elseif v == "INT" then
      self:write "\n"
      return nil, "interrupted"
    end
  end
end

function Prompt:line(prompt)
  if self.editor then return edit(self, prompt) end
  return read(self, prompt)
end

-- -- chunks -------------------------------------------------------------------

local function prompt_of(self, name, default)
  local ok, text = pcall(tostring, self.G[name] or default)
  return ok and text or default
end

-- A function, or nil and what is wrong. An expression is one of its values.
function Prompt:compile(text)
  local load = self.G.loadstring or self.G.load
  local expression = text:gsub("^%s*=", "")
  local f = load("return " .. expression, "=stdin")
  if not f then return load(text, "=stdin") end
  -- LuaJIT keeps nothing of who makes a tail call, so it shall be another's.
  return self.G.jit and load("return (function(...) return ... end)(" ..
    expression .. "\n)", "=stdin") or f
end

-- What was typed, to its end: a function; or nil and why there is none, "end",
-- "interrupted", "cancel" or a text. More lines are asked for as long as
-- something lacks.
function Prompt:chunk()
  local text, stop = self:line(prompt_of(self, "_PROMPT", "> "))
  if not text then return nil, stop end
  while true do
    local f, problem = self:compile(text)
    if f or not problem:find "<eof>'?$" then return f, problem end
    local more, why = self:line(prompt_of(self, "_PROMPT2", ">> "))
    if not more then
      if why == "end" then self:complain(problem) end
      return nil, why
    end
    text = text .. "\n" .. more
  end
end

function Prompt:show(n, ...)
  if n == 0 then return end
  local ok, problem = pcall(self.G.print, ...)
  if not ok then
    self:complain("error calling 'print' (" .. tostring(problem) .. ")")
  end
end

local function ended(self, task, waited, ok, ...)
  local e = ...
  if waited and ok then return self:show(select("#", ...), ...) end
  if not waited then -- for want of memory, for example
    task:cancel "interrupted!"
    return self:complain(tostring(ok))
  end
  if casting.is_cancelled(e) and e.reason == "interrupted!" then
    return self:complain "interrupted!"
  end
  local text, class = task:traceback(), getmetatable(e)
  if type(e) ~= "string" and class and class.__tostring then
    local named, shown = pcall(tostring, e)
    if named then text = shown end
  end
  self:complain(text ~= "" and text or tostring(e))
end

function Prompt:run(f)
  if self.raw then terminals.restore() end
  self.raw = false
  local task = casting.spawn(f)
  self.running:send(task)
  ended(self, task, pcall(task.join, task))
  self.running:send(false)
  self.G.io.stdout:flush()
end

function Prompt:loop()
  while true do
    self:tell(self.failures:try_receive())
    local f, why = self:chunk()
    if f then
      self:run(f)
    elseif why == "end" or why == "interrupted" then
      return why == "end"
    elseif why ~= "cancel" then
      self:complain(why)
    end
  end
end

return function(G)
  local in_terminal, out_terminal = terminals.is()
  local self = setmetatable({G = G, input = casting.stdin,
    failures = casting.channel(1 / 0), signals = casting.channel(8),
    running = casting.channel(1)}, Prompt)
  local has_keys = in_terminal and out_terminal and
    G.os.getenv "TERM" ~= "dumb"
  if has_keys then self.editor = internal.launcher_editor.new {} end
  if has_keys then self.editor.history = read_history(self) end
  local names = {"INT", "QUIT", "TERM"}
  if has_keys then names[4] = "WINCH" end
  local signals = casting.process.signals(internal.unpack(names, #names))
  local keyboard = casting.session {name = "keyboard"}
  keyboard:spawn(HEED, signals, self.running, self.signals)
  casting.on_error(self.failures)
  self:write(("casting %s, %s%s\n"):format(casting._VERSION,
    G.jit and G.jit.version or G._VERSION,
    has_keys and " (^T shows what tasks do, ^D leaves)" or ""))
  local ok, result = pcall(self.loop, self)
  terminals.restore()
  casting.on_error(nil)
  if not ok then self:complain("casting: " .. tostring(result)) end
  return ok and result
end
