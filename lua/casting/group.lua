-- group.lua - tasks that are waited for together.
-- SPDX-License-Identifier: MIT
--
-- What scopes, all, race and map are made of. Each member is monitored, and all
-- monitors send into one channel; so the group is told of each end once,
-- whatever the number of its members. A group belongs to one session.
--
-- An error may come up between any two of these lines (Ctrl-C sets a hook); so
-- who leaves because of one has the group settled first.
--
--   live      the members that have not been taken: task -> whether monitored
--   count     how many these are
--   failures  what the members that were taken have failed with, in order
--   failed    which members these were
--   stopped   why the members were cancelled; nil: they were not

local casting, internal = ...
local error, ipairs, pairs, pcall, setmetatable, tostring =
  error, ipairs, pairs, pcall, setmetatable, tostring
local next = pairs {}
-- Loaded now: where they are wanted there may be no memory.
local Failures, insist, shield =
  internal.failures, internal.insist, internal.shield

local Group = {__name = "casting.group"}
Group.__index = Group

function Group.new()
  return setmetatable({ends = casting.channel(1 / 0), live = {}, count = 0,
    failures = {}, failed = {}}, Group)
end

-- Makes the task a member, unless it is one. It may have ended. Without memory
-- for that nothing has changed.
function Group:add(task)
  if self.live[task] ~= nil then return task end
  self.live[task] = false
  local ok, e = pcall(task.monitor, task, self.ends)
  if not ok then
    self.live[task] = nil
    error(e, 0)
  end
  self.live[task] = true
  self.count = self.count + 1
  return task
end

-- The same for a task that was just made: it does not go on if it is no member.
function Group:adopt(task)
  local ok, e = pcall(self.add, self, task)
  if ok then return task end
  insist(task.cancel, task)
  pcall(shield, task.join, task)
  error(e, 0)
end

-- To be called with what the channel `ends` has given. Notes a failure, and
-- returns what it was called with.
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

-- Asks all members to end.
function Group:cancel(reason)
  if self.stopped then return end
  for task in pairs(self.live) do task:cancel(reason) end
  self.stopped = reason or "cancelled" -- now: there may be no memory before
end

-- Why the others are cancelled after a failure.
function Group:reason()
  local f = self.failures[1]
  local who = f.task and f.task:name() or "item " .. tostring(f.index)
  return who .. " failed: " .. tostring(f.error)
end

-- Takes all members, without looking at their results.
function Group:drain()
  while self.count > 0 do self:take() end
end

local ENDED = {done = true, failed = true, cancelled = true}

-- Takes what has come to `ends`; what cannot be received is lost.
local function take_all(group)
  local got, task, ok, e
  repeat
    got, task, ok, e = pcall(group.ends.try_receive, group.ends)
    if got and task then pcall(group.taken, group, task, ok, e) end
  until got and not task or internal.forked()
end

-- To receive may have failed, for want of memory or because a result could not
-- be rebuilt, and then the news of a member's end are lost. So after this those
-- that have ended are members no more; news of them may still come. An error
-- may have come up before a member was monitored, and before it was counted.
function Group:settle()
  local count = 0
  take_all(self)
  for task, monitored in pairs(self.live) do
    if not monitored then task:monitor(self.ends) end
    self.live[task] = true
    count = count + 1
  end
  self.count = count
  for task in pairs(self.live) do
    if ENDED[task:status()] then
      local got, ok, e = pcall(task.join, task, 0)
      if not got then ok = true end -- what is to be told is under way
      pcall(self.taken, self, task, ok, e)
    end
  end
end

local TRIES = 10 -- without a member less after it

-- Calls finish(group), shielded, until it comes to its end, and all members
-- with it, or the shield has. True, or false and the last error.
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

-- Why those are cancelled who are left behind.
local function reason_for(e)
  if casting.is_cancelled(e) then return e.reason end
  return "the scope was left: " .. tostring(e)
end

-- The failures to raise when e is under way: e first, if it is one.
local function all_failures(group, e)
  local list = {}
  if Failures.is(e) then list[1] = e end
  for _, f in ipairs(group.failures) do
    if f ~= e then list[#list + 1] = f end
  end
  return list
end

-- Leaves because of the error e (a cancellation or not): cancels the members
-- that are left, calls `finally`, which waits for them, and raises e, or what
-- has failed in the members. The shield is for the case that the caller was
-- cancelled: this must be done nevertheless.
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

-- Calls f(...); if it raises, leaves the group as abandon does. Where the
-- version cannot suspend under pcall, waits in f block in place.
local function after(group, finally, ok, ...)
  if not ok then group:abandon((...), finally) end
  return ...
end
function Group:guard(finally, f, ...)
  return after(self, finally, pcall(f, ...))
end

return Group
