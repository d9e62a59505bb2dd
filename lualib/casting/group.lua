-- group.lua - tasks that are waited for together.
-- SPDX-License-Identifier: MIT
--
-- Scopes, all, race and map consist of a group. Each member of it is monitored,
-- and all monitors send into one channel, so the group is told of each end
-- once, however many members there are. A member that has ended is *taken* by
-- receiving from that channel. A group belongs to one session.
--
-- An error may be raised between any two of these lines (Ctrl-C sets a hook),
-- so what is written here may not be true after one: `settle` makes it true
-- again, and is called before the group is left because of an error.
--
--   ends      the channel of the monitors
--   watch     monitors a member: function(task, channel)
--   live      members that were not taken yet: task -> whether it is monitored
--   count     how many these are
--   failures  the failures of members that were taken, in order
--   failed    these members
--   stopped   why the members were cancelled; nil if they were not

local casting, internal = ...
local error, ipairs, pairs, pcall, setmetatable, tostring =
  error, ipairs, pairs, pcall, setmetatable, tostring
local next = pairs {}
-- Loaded now: when they are needed, there may be no memory to load them.
local Failures, insist, shield =
  internal.failures, internal.insist, internal.shield

local function monitor(task, ends) task:monitor(ends) end

-- No program has a group, nor its class: who could replace a function of it
-- would be given what that is called with.
local Group = {__name = "casting.group", __metatable = "casting.group"}
Group.__index = Group

function Group.new()
  return setmetatable({ends = casting.channel(1 / 0), live = {}, count = 0,
    failures = {}, failed = {}, watch = monitor}, Group)
end

-- From now on the results of members that are added are not taken: they stay
-- with the tasks, for who joins them.
function Group:leave_results()
  self.watch = internal.watch
end

-- Makes the task a member, unless it is one. It may have ended. If that fails
-- for want of memory, nothing has changed.
function Group:add(task)
  if self.live[task] ~= nil then return task end
  self.live[task] = false
  local ok, e = pcall(self.watch, task, self.ends)
  if not ok then
    self.live[task] = nil
    error(e, 0)
  end
  self.live[task] = true
  self.count = self.count + 1
  return task
end

local function note_and_add(self, task, notes, value)
  if notes then notes[task] = value end
  return self:add(task)
end

-- The same for a task that was just made for the group; with the table `notes`,
-- which then has the value under the task. If it cannot be a member, it is
-- cancelled and waited for: it must not outlive the group.
function Group:adopt(task, notes, value)
  local ok, e = pcall(note_and_add, self, task, notes, value)
  if ok then return task end
  if notes and notes[task] ~= nil then notes[task] = nil end
  insist(task.cancel, task)
  pcall(shield, task.join, task)
  error(e, 0)
end

-- Takes a member: called with what was received from `ends`, which it returns.
-- Keeps its failure.
function Group:taken(task, ok, ...)
  if self.live[task] == nil then return task, ok, ... end -- see settle
  self.live[task] = nil
  self.count = self.count - 1
  if not ok then
    local e = ...
    if not casting.is_cancelled(e) then
      self.failures[#self.failures + 1] = Failures.of(task, e)
      self.failed[#self.failed + 1] = task
    end
  end
  return task, ok, ...
end

-- Waits for the next member that ends: the task and what join returns.
function Group:take()
  return self:taken(self.ends:receive())
end

-- Cancels all members, once.
function Group:cancel(reason)
  if self.stopped then return end
  for task in pairs(self.live) do task:cancel(reason) end
  -- Last: if it fails for want of memory before, it is tried again (insist).
  self.stopped = reason or "cancelled"
end

-- The reason for which the others are cancelled after the first failure.
function Group:reason()
  local f = self.failures[1]
  local who = f.task and f.task:name() or "item " .. tostring(f.index)
  return who .. " failed: " .. tostring(f.error)
end

-- Waits for all members, and drops their results.
function Group:drain()
  while self.count > 0 do self:take() end
end

local ENDED = {done = true, failed = true, cancelled = true}

-- Takes the members whose messages lie in `ends`, up to one that cannot be
-- received, which is lost: without memory each call fails, also one that finds
-- nothing.
local function take_all(group)
  local got, task, ok, e
  repeat
    got, task, ok, e = pcall(group.ends.try_receive, group.ends)
    if got and task then pcall(group.taken, group, task, ok, e) end
  until not (got and task)
end

-- Makes the group true again after an error. A receive may have failed, for
-- want of memory or because a result could not be rebuilt; then the message of
-- that end is lost. So each member that has ended is taken here, whether or not
-- its message is still to come. And the error may have come before a member was
-- monitored, or counted.
function Group:settle()
  local count = 0
  take_all(self)
  for task, monitored in pairs(self.live) do
    if not monitored then self.watch(task, self.ends) end
    self.live[task] = true
    count = count + 1
  end
  self.count = count
  for task in pairs(self.live) do
    if ENDED[task:status()] then
      local got, ok, e = pcall(task.join, task, 0)
      if not got then ok = true end -- the error to raise is another one
      pcall(self.taken, self, task, ok, e)
    end
  end
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
