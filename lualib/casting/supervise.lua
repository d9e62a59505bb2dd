-- supervise.lua - what a supervisor does, in a session of its own.
-- SPDX-License-Identifier: MIT
--
-- The task of the supervisor owns everything here. It waits for three things,
-- all of which come through channels: that a child has ended (the monitors of
-- all children send into `ends`), that somebody asks for something
-- (`requests`), that the task which has made the supervisor has ended
-- (`parent`). The rules are OTP's, from its documentation of supervisor.
--
-- A child is in one of three states. It runs: then `task` is set. It should
-- run, but its start has failed: then `restarting` is set to the error, and it
-- is started again between two requests, which counts as a restart each time.
-- It is stopped: then neither is set. Children stand in the order in which they
-- are started.
--
-- A supervisor (self):
--   spec       its specification, checked and complete (childspec.lua)
--   children   a list of them; each has spec, session, task, restarting, and if
--              it is a supervisor: `started` until it has started
--   by_task    the child of a task that runs: task -> child
--   requests   the channel that tells of requests; they lie in `asked`, a list
--   ends       the channel of the children's monitors
--   restarts   the times of recent restarts
--   over       whether it is to end
--   known, lost, problem    see make_up

local casting, internal = ...
local error, ipairs, pairs, pcall, select, tostring =
  error, ipairs, pairs, pcall, select, tostring
-- Loaded now: later there may be no memory for that.
local ask, insist, shield = internal.ask, internal.insist, internal.shield

local KILL = 2 -- seconds that a child's session may take to close

-- How errors call the supervisor.
local function title(self)
  local name = self.spec.name
  return name and "supervisor '" .. name .. "'" or "supervisor"
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
local function tell_failure(self, child, task, e)
  tell(self, "failed", child, e)
  if not self.spec.events then internal.disown(task) end
end

-- -- starting -----------------------------------------------------------------

-- The options of a child's session, with the child's id as its name by default.
local function session_options(spec)
  local options = {}
  for k, v in pairs(spec.session or {}) do options[k] = v end
  options.name = options.name or tostring(spec.id)
  return options
end

-- Starts a child that is a supervisor. It sends into `started` when all its own
-- children have started.
local function spawn_supervisor(child, session)
  child.started = casting.channel(1)
  return session:spawn(internal.run, "supervise", child.spec.supervisor,
    child.started, casting.self())
end

-- Starts the task of a child in its session.
local function spawn_child(child)
  local spec, session = child.spec, child.session
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

-- Starts a child: true, or false and the error.
local function start(self, child)
  local ok, e = pcall(function()
    child.session = casting.session(session_options(child.spec))
    child.task = spawn_child(child)
    internal.follow(child.task) -- it is cancelled if this task dies
    if child.started then internal.await(child.task, child.started) end
    child.started = nil
    self.by_task[child.task] = child
    internal.watch(child.task, self.ends)
  end)
  child.restarting = nil
  if ok then
    tell(self, "started", child)
    return true
  end
  if casting.is_cancelled(e) then error(e, 0) end -- stop_all cleans up
  if child.task then self.by_task[child.task] = nil end
  child.task, child.started = nil, nil
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
  self.by_task[task] = nil
  self.known[task] = true
  local start = casting.now()
  if not (child.spec.supervisor and not child.started and
      ask_to_stop(child, task)) then
    task:cancel("shutdown")
  end
  local left = child.spec.shutdown - (casting.now() - start)
  local ok, e = task:join(left > 0 and left or 0)
  if ok == nil then -- it has not ended in time
    tell(self, "killed", child)
  elseif not ok and not casting.is_cancelled(e) then
    tell_failure(self, child, task, e)
  end
  close_session(child)
  child.task, child.started = nil, nil
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
      counted(self.spec.period, "second") .. "; the last for child '" ..
      tostring(child.spec.id) .. "': " ..
      tostring(why), 0)
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

-- Restarts the first child whose start has failed. True: there may be another
-- one.
local function try_again(self)
  for _, child in ipairs(self.children) do
    if child.restarting then
      restart(self, child, child.restarting)
      return true
    end
  end
  return false
end

-- -- when a child ends --------------------------------------------------------

-- Has the child ended as it should?
local function is_normal(ok, e)
  return ok or casting.is_cancelled(e) and e.reason == "shutdown"
end

-- Does a significant child still run?
local function any_significant(self)
  for _, child in ipairs(self.children) do
    if child.spec.significant and child.task then return true end
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

-- A message has come about `task`, whose end was known before. If more messages
-- were lost than there are known ends whose messages have not come, then one of
-- the lost ones was a request, and that is the end (see make_up).
local function account(self, task)
  if task then self.known[task] = nil end
  local n = self.lost
  for _ in pairs(self.known) do n = n - 1 end
  if n > 0 then error(self.problem, 0) end
end

-- The task of a child has ended, as join would say it.
local function child_ended(self, task, ok, ...)
  local child, e = self.by_task[task], nil
  if not child then return account(self, task) end -- it was stopped
  if not ok then e = ... end
  self.by_task[task], child.task = nil, nil
  close_session(child)
  local normal = is_normal(ok, e)
  if ok then
    tell(self, "ended", child)
  elseif casting.is_cancelled(e) then
    tell(self, "cancelled", child, e.reason)
  else
    tell_failure(self, child, task, e)
  end
  local how = child.spec.restart
  if how == "permanent" or how == "transient" and not normal then
    return restart(self, child, ok and "it has returned" or e)
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

local function answer(request, reply, ...)
  request.answer = {n = select("#", ...), ...}
  reply:try_send(true)
end

-- Serves the request that lies under the channel `reply`.
local function serve(self, reply)
  local request = self.asked[reply]
  if not request then return end
  answer(request, reply,
    requests[request.op](self, internal.unpack(request, request.n)))
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

local ENDED = {done = true, failed = true, cancelled = true}

-- A message could not be received because of the error e: for want of memory,
-- or as the results of a child cannot be rebuilt here. It is lost. If it was
-- about a child that has ended, that child is found by asking all of them; it
-- is *known* then. If it was a request, the supervisor must fail, for its
-- sender waits for an answer. Which of the two it was shows when messages come
-- about ends that are known: a known end of which the message comes was not the
-- lost one.
local function make_up(self, e)
  if casting.is_cancelled(e) or internal.forked() then error(e, 0) end
  self.lost, self.problem = self.lost + 1, e
  for _, child in ipairs(self.children) do
    local task = child.task
    if task and ENDED[task:status()] then
      local got, ok, why = pcall(task.join, task, 0)
      if not got then ok, why = task:status() == "done", ok end
      self.known[task] = true
      child_ended(self, task, ok, why)
    end
  end
  account(self)
end

-- select has returned, or has raised an error.
local function received(self, ok, ...)
  if ok then return step(self, ...) end
  make_up(self, (...))
end

-- Starts all children, and serves what comes until the supervisor is to end.
local function live(self, started, parent)
  for _, child in ipairs(self.children) do
    local ok, e = start(self, child)
    if not ok then
      error(title(self) .. ": child '" .. tostring(child.spec.id) ..
        "' did not start: " .. tostring(e), 0)
    end
  end
  started:try_send(true)
  local cases = {self.ends, self.requests, parent and parent:monitor()}
  while not self.over do
    cases.timeout = nil
    if try_again(self) then cases.timeout = 0 end
    received(self, pcall(casting.select, cases))
  end
end

-- The orderly end.
local function stop_all(self)
  self.requests:close()
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
-- when all children have started; `parent` is the task that has made the
-- supervisor, or nil.
return function(spec, started, parent)
  local self = {spec = spec, requests = casting.channel(), asked = {},
    children = {}, by_task = {},
    known = {}, -- tasks whose end is known, but not by its message
    lost = 0, -- messages that were lost, the last one because of `problem`
    restarts = {}, ends = casting.channel(1 / 0)}
  for i, child in ipairs(spec.children) do
    self.children[i] = {spec = child}
  end
  internal.asked[casting.self()] = {channel = self.requests, list = self.asked}
  local ok, e = pcall(live, self, started, parent)
  local stopped, problem = pcall(shield, stop_all, self)
  if not stopped then insist(kill_all, self) end
  if not ok then error(e, 0) end
  if not stopped then error(problem, 0) end
end
