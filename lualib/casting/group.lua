-- group.lua - tasks that are waited for together.
-- SPDX-License-Identifier: MIT
--
-- Scopes, all, race and map consist of a group. Each member of it has a number,
-- which is sent into one channel when it has ended, so the group is told of
-- each end once, however many members there are. A member that has ended is
-- *taken* when its number has been received. Only then it is asked how it has
-- ended: so no message can be lost because a result or an error cannot be
-- rebuilt here, and results stay with the tasks, for who joins them. A group
-- belongs to one session.
--
-- An error may be raised between any two of these lines (Ctrl-C sets a hook),
-- so what is written here may not be true after one: `settle` makes it true
-- again, and is called before the group is left because of an error.
--
--   ends      the channel of the numbers
--   last      the last number that was given
--   tasks     members that were not taken yet: number -> task
--   live      the same: task -> its number; false until it is sure to come
--   count     how many these are
--   failures  the failures of members that were taken, in order
--   blind     failures are not looked at: they are reported, as any failure
--             that nobody joins
--   stopped   why the members were cancelled; nil if they were not
--   told      whether all of them were; scope:cancel spares the body

local casting, internal = ...
local error, ipairs, pairs, pcall, setmetatable, tostring =
  error, ipairs, pairs, pcall, setmetatable, tostring
local next = pairs {}
local notice = internal.notice
-- Loaded now: when they are needed, there may be no memory to load them.
local Failures, insist, shield =
  internal.failures, internal.insist, internal.shield

-- No program has a group, nor its class: who could replace a function of it
-- would be given what that is called with.
local Group = {__name = "casting.group", __metatable = "casting.group"}
Group.__index = Group

function Group.new()
  return setmetatable({ends = casting.channel(1 / 0), last = 0, tasks = {},
    live = {}, count = 0, failures = {}, blind = false}, Group)
end

local function new_number(self)
  self.last = self.last + 1
  return self.last
end

local function enlist(self, task, number)
  self.live[task] = false
  self.tasks[number] = task
  notice(task, self.ends, number)
  self.live[task] = number
  self.count = self.count + 1
end

-- Makes the task a member, unless it is one. It may have ended. If that fails
-- for want of memory, nothing has changed.
function Group:add(task)
  if self.live[task] ~= nil then return task end
  local number = new_number(self)
  local ok, e = pcall(enlist, self, task, number)
  if ok then return task end
  self.live[task] = nil
  self.tasks[number] = nil
  error(e, 0)
end

-- Makes a task a member that was just made for the group; with the table
-- `notes`, which then has the value under the task. If that fails it can be
-- called again, and has to be: the task has begun.
function Group:enter(task, notes, value)
  if notes then notes[task] = value end
  self:add(task)
  -- It was made while the others were cancelled.
  if self.stopped then task:cancel(self.stopped) end
end

-- Cancels a task that was made for the group and cannot be a member, and waits
-- for it.
function Group.dismiss(task)
  insist(task.cancel, task)
  pcall(shield, task.join, task)
end

-- The same; but a task that cannot be a member is cancelled, and waited for, as
-- it must not outlive the group.
function Group:adopt(task, notes, value)
  local ok, e = pcall(self.enter, self, task, notes, value)
  if ok then return task end
  if notes and notes[task] ~= nil then notes[task] = nil end
  Group.dismiss(task)
  error(e, 0)
end

-- The error of a member that has failed or was cancelled; a text if it cannot
-- be rebuilt here. What ends the call for another reason, a want of memory or a
-- hook, does not come twice: it is raised, and the member can be taken again.
local function error_of(task)
  local got, problem, e = pcall(task.join, task, 0)
  if got then return e end
  if casting.is_cancelled(problem) or problem == "not enough memory" or
    pcall(task.join, task, 0) then
    error(problem, 0)
  end
  return problem
end

-- Takes the member of that number; keeps its failure. Returns the task, whether
-- it is done, and its error (none if the group is blind); nil if there is no
-- such member: then it was taken before (see settle).
function Group:taken(number)
  local task = self.tasks[number]
  if not task then return nil end
  local ok, e, failure = task:status() == "done", nil, nil
  if not ok and not self.blind then
    e = error_of(task)
    if not casting.is_cancelled(e) then failure = Failures.of(task, e) end
  end
  self.tasks[number] = nil
  self.live[task] = nil
  self.count = self.count - 1
  if failure then self.failures[#self.failures + 1] = failure end
  return task, ok, e
end

-- Waits for the next member that ends, and takes it.
function Group:take()
  local task, ok, e
  repeat
    task, ok, e = self:taken(self.ends:receive())
  until task
  return task, ok, e
end

-- Cancels the members, all but `spared` if that is given.
local function cancel_live(self, reason, spared)
  for task in pairs(self.live) do
    if task ~= spared then task:cancel(reason) end
  end
end

-- Cancels all members, once.
function Group:cancel(reason)
  if self.told then return end
  self.stopped = self.stopped or reason or "cancelled"
  cancel_live(self, reason)
  -- Last: if it fails for want of memory before, it is tried again (insist).
  self.told = true
end

-- Cancels all members but one: false if they were cancelled before.
function Group:cancel_others(spared, reason)
  if self.stopped then return false end
  self.stopped = reason or "cancelled"
  local ok, e = pcall(cancel_live, self, reason, spared)
  if ok then return true end
  self.stopped = nil -- the caller can try again
  error(e, 0)
end

-- The reason for which the others are cancelled after the first failure.
function Group:reason()
  local f = self.failures[1]
  local who = f.task and f.task:name() or "item " .. tostring(f.index)
  return who .. " failed: " .. tostring(f.error)
end

-- Waits for all members.
function Group:drain()
  while self.count > 0 do self:take() end
end

local ENDED = {done = true, failed = true, cancelled = true}

-- Makes the group true again after an error. The number of a member may have
-- been received, and the member not have been taken; or the error may have come
-- before a member was watched, or counted. So the numbers of all that have
-- ended are sent once more: a number that comes twice does no harm.
function Group:settle()
  local count = 0
  for _ in pairs(self.live) do count = count + 1 end
  for task, number in pairs(self.live) do
    local watched = number
    number = number or new_number(self)
    self.tasks[number] = task
    if not watched then
      notice(task, self.ends, number)
      self.live[task] = number
    elseif ENDED[task:status()] then
      self.ends:try_send(number)
    end
  end
  self.count = count
end

local TRIES = 10 -- in a row after which there is no member less

-- Calls finish(group), which waits for all members, in a shield, again and
-- again until it returns, or the time of the shield is over. Returns true, or
-- false and the last error.
local function finish_all(group, finish)
  local tries = 0
  local ok, e
  repeat
    local before = group.count
    insist(group.settle, group)
    ok, e = pcall(shield, finish, group)
    tries = group.count < before and 0 or tries + 1
  until ok or casting.is_cancelled(e) or tries == TRIES or internal.forked()
  return ok, e
end

-- The reason for which the members are cancelled when the group is left because
-- of the error e.
local function reason_for(e)
  if casting.is_cancelled(e) then return e.reason end
  return "the scope was left: " .. tostring(e)
end

-- The failures to raise when the group is left because of e: e first, if it is
-- a failure.
local function all_failures(group, e)
  local list = {}
  if Failures.is(e) then list[1] = e end
  for _, f in ipairs(group.failures) do
    if f ~= e then list[#list + 1] = f end
  end
  return list
end

-- Leaves the group because of the error e, which may be a cancellation: cancels
-- the members, calls `finally`, which waits for them, and raises the failures
-- of the members, or e. All that happens even if the caller was cancelled,
-- hence in a shield.
function Group:abandon(e, finally)
  local cancelled = casting.is_cancelled(e)
  if next(self.live) ~= nil then
    local ok, reason = pcall(reason_for, e)
    insist(self.cancel, self, ok and reason or nil)
  end
  local ok, problem = finish_all(self, finally or self.drain)
  local list = all_failures(self, e)
  if #list > 0 then
    e = Failures.join(list, cancelled and e or nil)
  elseif not ok and not casting.is_cancelled(problem) then
    e = problem
  end
  error(e, 0)
end

-- Calls f(...); if it raises, leaves the group (abandon). In versions that
-- cannot yield across pcall, waits in f block in place.
local function after(group, finally, ok, ...)
  if not ok then group:abandon((...), finally) end
  return ...
end
function Group:guard(finally, f, ...)
  return after(self, finally, pcall(f, ...))
end

return Group
