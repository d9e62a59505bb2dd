-- supervise.lua - what a supervisor does, in a session of its own.
-- SPDX-License-Identifier: MIT
--
-- The task of the supervisor owns everything here. It waits for three things,
-- all of which come through channels: that a child has ended (`ends`), that
-- somebody asks for something (`requests`), that the task which has made the
-- supervisor has ended (`parent`). The rules are OTP's, from its documentation
-- of supervisor.
--
-- Each message is a number, the child's or the request's, and all else is found
-- here: so it can be received whatever a child has returned or raised, which is
-- nothing to the supervisor. Only the texts of errors are (failure_text).
--
-- A child is in one of three states. It runs: then `task` is set. It should
-- run, but its start has failed: then `restarting` is set to the error, and it
-- is started again between two requests, which counts as a restart each time.
-- It is stopped: then neither is set. Children stand in the order in which they
-- are started.
--
-- A supervisor (self):
--   spec       its specification, checked and complete (childspec.lua)
--   children   a list of them; each has spec, session, task, number,
--              restarting, and if it is a supervisor: `started` until it has
--              started
--   by_number  the child of a task that runs, by the number of that start
--   last       the last number
--   asked      the requests (asked.lua)
--   ends       the channel of the children's numbers
--   restarts   the times of recent restarts
--   tried      the child that was the last to be tried again
--   over       whether it is to end
--   tries      how often in a row it could not wait

local casting, internal = ...
local error, ipairs, pairs, pcall, select, tostring =
  error, ipairs, pairs, pcall, select, tostring
-- Loaded now: later there may be no memory for that.
local ask, insist, shield = internal.ask, internal.insist, internal.shield

local KILL = 2 -- seconds that a child's session may take to close
local TRIES = 100 -- to go on without memory

-- How errors call the supervisor, and a child.
local function title(self)
  local name = self.spec.name
  return name and "supervisor '" .. internal.quote(name) .. "'" or "supervisor"
end

local function shown(child)
  return "child '" .. internal.quote(child.spec.id) .. "'"
end

-- "1 restart", "2 restarts".
local function counted(n, noun)
  return n .. " " .. noun .. (n == 1 and "" or "s")
end

-- -- telling ------------------------------------------------------------------

-- Sends an event, without waiting: a supervisor never depends on its listeners.
local function tell(self, event, child, detail)
  local events = self.spec.events
  if events then
    events:try_send(event, child and child.spec.id or self.spec.name or "",
      detail and tostring(detail))
  end
end

-- A child has failed: an event. If nobody listens to events, the failure is
-- reported like that of any task that nobody joins.
local function tell_failure(self, child, task, text)
  tell(self, "failed", child, text)
  if self.spec.events then internal.own(task) end
end

-- How a task that has ended has failed, as text. There may have been no memory
-- for one.
local function text_of(task)
  local text = internal.failure_text(task)
  if text then return text end
  local got, problem, e = pcall(task.join, task, 0)
  if got then problem = e end
  return tostring(problem)
end

-- -- starting -----------------------------------------------------------------

-- Starts a child that is a supervisor. It sends into `started` when all its own
-- children have started, and ends when this task has.
local function spawn_supervisor(child, session)
  child.started = casting.channel(1)
  return session:spawn(internal.run, "supervise", child.spec.supervisor,
    child.started, internal.notice(casting.self()))
end

-- Starts a child that is a service: the same, when its object is there.
local function spawn_service(child, session)
  child.started = casting.channel(1)
  return session:spawn(internal.run, "service_keeper", child.spec.service,
    child.started)
end

-- Starts the task of a child in its session.
local function spawn_child(child)
  local spec, session = child.spec, child.session
  if spec.service then return spawn_service(child, session) end
  if spec.supervisor then return spawn_supervisor(child, session) end
  return session:spawn(spec.start, internal.unpack(spec.args, spec.args.n))
end

-- Closes a child's session, with all tasks in it. A task that does not end in
-- time is left to itself.
local function close_session(child)
  local session = child.session
  if session then session:close(KILL) end
  child.session = nil -- last: if close fails, kill_all must still find it
end

-- From now on the number of the child is sent when its task has ended.
local function watch(self, child)
  self.last = self.last + 1
  child.number = self.last
  self.by_number[child.number] = child
  internal.notice(child.task, self.ends, child.number)
end

local function forget(self, child)
  if child.number then self.by_number[child.number] = nil end
  child.task, child.number, child.started = nil, nil, nil
end

-- Starts a child: true, or false and the error.
local function start(self, child)
  local ok, e = pcall(function()
    child.session = casting.session(child.spec.session)
    child.task = spawn_child(child)
    internal.follow(child.task) -- it is cancelled if this task dies
    if child.started then internal.await(child.task, child.started) end
    child.started = nil
    watch(self, child)
  end)
  child.restarting = nil
  if ok then
    tell(self, "started", child)
    return true
  end
  if casting.is_cancelled(e) then error(e, 0) end -- stop_all cleans up
  forget(self, child)
  close_session(child)
  tell(self, "not started", child, e)
  return false, e
end

-- -- stopping -----------------------------------------------------------------

-- Asks a child that is a supervisor. False: that has failed, as for want of
-- memory there.
local function ask_to_stop(child, task)
  local began, request = pcall(ask, child.session, task, "stop")
  if not began then return false end
  return not request or request:join(child.spec.shutdown) ~= false
end

local ENDED = {done = true, failed = true, cancelled = true}

-- Waits for the end of a task for so many seconds at most; returns whether it
-- has come. What the task leaves is not asked for: that is for others.
local function wait_end(task, seconds)
  if not ENDED[task:status()] and seconds > 0 then
    internal.notice(task):receive(seconds)
  end
  return ENDED[task:status()]
end

-- Stops a child as OTP does: asks it to end, waits for `shutdown` seconds, then
-- closes its session. A supervisor that is still starting its children takes no
-- requests, and is cancelled instead; as is one whose session has no room for
-- another task.
local function stop(self, child)
  local task = child.task
  child.restarting = nil
  if not task then
    close_session(child) -- left by a start that was interrupted
    return
  end
  if child.number then self.by_number[child.number] = nil end
  local start = casting.now()
  if child.spec.service and not child.started then
    internal.service_drain(child.spec.service)
  elseif not (child.spec.supervisor and not child.started and
      ask_to_stop(child, task)) then
    task:cancel("shutdown")
  end
  if not wait_end(task, child.spec.shutdown - (casting.now() - start)) then
    tell(self, "killed", child)
  elseif task:status() == "failed" then
    tell_failure(self, child, task, text_of(task))
  end
  close_session(child)
  forget(self, child)
  tell(self, "stopped", child)
end

-- Takes a child off the list.
local function remove(self, child)
  for i, c in ipairs(self.children) do
    if c == child then
      for k = i, #self.children do self.children[k] = self.children[k + 1] end
      return
    end
  end
end

-- Stops the children from the last one to the one at `first`. Temporary ones
-- are taken off the list.
local function stop_from(self, first)
  for i = #self.children, first, -1 do
    local child = self.children[i]
    if child then
      stop(self, child)
      if child.spec.restart == "temporary" then remove(self, child) end
    end
  end
end

-- -- restarting ---------------------------------------------------------------

-- Would one restart more be too many? Counts it.
local function exceeded(self)
  if self.spec.intensity == 1 / 0 then return false end
  local now, recent = casting.now(), {}
  for _, at in ipairs(self.restarts) do
    if now - at <= self.spec.period then recent[#recent + 1] = at end
  end
  recent[#recent + 1] = now
  self.restarts = recent
  return #recent > self.spec.intensity
end

local function index_of(self, child)
  for i, c in ipairs(self.children) do
    if c == child then return i end
  end
end

-- Starts the children from `first` on. If one does not start, it is started
-- again later, and those behind it as well, since restart then comes here
-- again.
local function start_from(self, first)
  for i = first, #self.children do
    local child = self.children[i]
    local ok, e = start(self, child)
    if not ok then
      child.restarting = e or "unknown"
      return
    end
  end
end

-- Restarts a child because of `why`, and others as the strategy says. If that
-- is too often, the supervisor fails.
local function restart(self, child, why)
  if exceeded(self) then
    tell(self, "gave up", child, why)
    error(title(self) .. ": more than " ..
      counted(self.spec.intensity, "restart") .. " in " ..
      counted(self.spec.period, "second") .. "; the last for " ..
      shown(child) .. ": " .. tostring(why), 0)
  end
  local strategy = self.spec.strategy
  if strategy == "one_for_one" then
    local ok, e = start(self, child)
    if not ok then child.restarting = e or "unknown" end
    return
  end
  local first = strategy == "rest_for_one" and index_of(self, child) or 1
  stop_from(self, first)
  start_from(self, first)
end

-- Restarts a child whose start has failed: the next one behind that which was
-- tried last. True: there may be another one.
local function try_again(self)
  local n, from = #self.children, index_of(self, self.tried) or 0
  for i = from, from + n - 1 do
    local child = self.children[i % n + 1]
    if child.restarting then
      self.tried = child
      restart(self, child, child.restarting)
      return true
    end
  end
  self.tried = nil
  return false
end

-- -- when a child ends --------------------------------------------------------

-- Is there a significant child that has not ended for good?
local function any_significant(self)
  for _, child in ipairs(self.children) do
    if child.spec.significant and (child.task or child.restarting) then
      return true
    end
  end
  return false
end

-- The child has ended for good: ends the supervisor if auto_shutdown says so.
local function auto_shutdown(self, child)
  local auto = self.spec.auto_shutdown
  if auto == "never" or not child.spec.significant then return end
  if auto == "any_significant" or not any_significant(self) then
    self.over = true
  end
end

-- How the task of a child has ended: whether that is as it should, and why it
-- is restarted.
local function tell_end(self, child, task)
  local status = task:status()
  if status == "done" then
    tell(self, "ended", child)
    return true, "it has returned"
  elseif status == "cancelled" then
    local _, e = task:join(0)
    tell(self, "cancelled", child, e.reason)
    return e.reason == "shutdown", e
  end
  local text = text_of(task)
  tell_failure(self, child, task, text)
  return false, text
end

-- The task of the child with that number has ended.
local function child_ended(self, number)
  local child = self.by_number[number]
  if not child then return end -- it was stopped
  local normal, why = tell_end(self, child, child.task)
  forget(self, child)
  close_session(child)
  local how = child.spec.restart
  if how == "permanent" or how == "transient" and not normal then
    return restart(self, child, why)
  end
  if how == "temporary" then remove(self, child) end
  auto_shutdown(self, child)
end

-- -- requests -----------------------------------------------------------------

-- A function for each request: returns the answer.
local requests = {}

local function find(self, id)
  for _, child in ipairs(self.children) do
    if child.spec.id == id then return child end
  end
end

-- The word for the state of a child.
local function state_of(child)
  return child.task and "running" or child.restarting and "restarting" or
    "stopped"
end

function requests.stop(self)
  self.over = true
  return true
end

function requests.which_children(self)
  local list = {}
  for i, child in ipairs(self.children) do
    list[i] = {id = child.spec.id, task = child.task,
      status = state_of(child), restart = child.spec.restart,
      type = child.spec.supervisor and "supervisor" or "worker"}
    if child.spec.supervisor and child.task then
      -- Who has asked makes a handle of these.
      list[i].auto_shutdown = child.spec.supervisor.auto_shutdown
    end
  end
  return list
end

function requests.count_children(self)
  local counts = {specs = 0, active = 0, supervisors = 0, workers = 0}
  for _, child in ipairs(self.children) do
    local kind = child.spec.supervisor and "supervisors" or "workers"
    counts.specs = counts.specs + 1
    counts[kind] = counts[kind] + 1
    if child.task then counts.active = counts.active + 1 end
  end
  return counts
end

function requests.start_child(self, spec)
  local child = find(self, spec.id)
  if child then
    return nil, child.task and "already_started" or "already_present"
  end
  child = {spec = spec}
  -- Before the start: if that is interrupted, stop_all must find the child.
  self.children[#self.children + 1] = child
  local ok, e = start(self, child)
  if not ok then
    remove(self, child)
    return nil, "not_started", tostring(e)
  end
  return child.task
end

function requests.terminate_child(self, id)
  local child = find(self, id)
  if not child then return nil, "not_found" end
  stop(self, child)
  if child.spec.restart == "temporary" then remove(self, child) end
  return true
end

function requests.restart_child(self, id)
  local child = find(self, id)
  if not child then return nil, "not_found" end
  if child.task or child.restarting then return nil, state_of(child) end
  local ok, e = start(self, child)
  if not ok then return nil, "not_started", tostring(e) end
  return child.task
end

function requests.delete_child(self, id)
  local child = find(self, id)
  if not child then return nil, "not_found" end
  if child.task or child.restarting then return nil, state_of(child) end
  remove(self, child)
  return true
end

local function answer(request, ...)
  request.answer = {n = select("#", ...), ...}
  request.reply:try_send(true)
end

-- Serves the request of that number.
local function serve(self, number)
  local request = self.asked.list[number]
  if not request then return end
  self.asked.list[number] = nil
  answer(request, requests[request.op](self,
    internal.unpack(request, request.n)))
end

-- No request is served any more.
local function refuse_requests(self)
  local asked = self.asked
  asked.over = true
  for _, request in pairs(asked.list) do request.reply:close() end
end

-- -- life ---------------------------------------------------------------------

-- Case `which` of {ends, requests, parent} has come, or the timeout.
local function step(self, which, ...)
  if which == 1 then return child_ended(self, ...) end
  if which == 2 then return serve(self, ...) end
  if which == 3 then
    self.over = true
    tell(self, "parent ended")
  end
end

-- Called after the supervisor's select has failed, most likely because there
-- was no memory. A message may have been lost by that. But the supervisor's
-- tables tell the same as the messages, so this function looks there for what
-- has happened. It handles that once, even if the message still arrives. When
-- the select has failed TRIES times in a row, the supervisor fails as well.
local function look(self, e)
  self.tries = self.tries + 1
  if casting.is_cancelled(e) or internal.forked() or self.tries > TRIES then
    error(e, 0)
  end
  for number = 1, self.last do
    local child = self.by_number[number]
    if child and ENDED[child.task:status()] then child_ended(self, number) end
  end
  for number = 1, self.asked.last do serve(self, number) end
end

-- select has returned, or has raised an error.
local function received(self, ok, ...)
  if not ok then return look(self, (...)) end
  self.tries = 0
  step(self, ...)
end

-- Starts all children, and serves what comes until the supervisor is to end.
local function live(self, started, parent)
  for _, child in ipairs(self.children) do
    local ok, e = start(self, child)
    if not ok then
      error(title(self) .. ": " .. shown(child) .. " did not start: " ..
        tostring(e), 0)
    end
  end
  started:try_send(true)
  local cases = {self.ends, self.asked.channel, parent}
  while not self.over do
    cases.timeout = nil
    if try_again(self) then cases.timeout = 0 end
    received(self, pcall(casting.select, cases))
  end
end

-- The orderly end.
local function stop_all(self)
  refuse_requests(self)
  stop_from(self, 1)
end

-- For a child that could not be stopped in order, since no time was left: asks
-- its task and its session to end, and does not wait. May be called again.
local function kill(child)
  if child.task then child.task:cancel("shutdown") end
  if child.session then child.session:close(0) end
end

local function kill_all(self)
  for i = 1, #self.children do insist(kill, self.children[i]) end
end

-- What internal.run calls in the supervisor's session. `started` is sent true
-- when all children have started; `parent` is a channel that is sent something
-- when the task that has made the supervisor has ended, or nil.
return function(spec, started, parent)
  local self = {spec = spec, children = {}, by_number = {}, last = 0,
    asked = {channel = casting.channel(1 / 0), list = {}, last = 0},
    restarts = {}, tries = 0, ends = casting.channel(1 / 0)}
  for i, child in ipairs(spec.children) do
    self.children[i] = {spec = child}
  end
  internal.asked[casting.self()] = self.asked
  local ok, e = pcall(live, self, started, parent)
  local stopped, problem = pcall(shield, stop_all, self)
  if not stopped then insist(kill_all, self) end
  if not ok then error(e, 0) end
  if not stopped then error(problem, 0) end
end
