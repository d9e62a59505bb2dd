-- group.lua - tasks that are waited for together.
-- SPDX-License-Identifier: MIT
--
-- What scopes, all, race and map are made of. Each member is monitored, and all
-- monitors send into one channel; so the group is told of each end once,
-- whatever the number of its members. A group belongs to one session.
--
--   live      the members that have not been taken: task -> true
--   count     how many these are
--   failures  what the members that were taken have failed with, in order
--   failed    which members these were
--   stopped   why the members were cancelled; nil: they were not

local casting, internal = ...
local error, getmetatable, ipairs, pairs, pcall, setmetatable, tostring =
  error, getmetatable, ipairs, pairs, pcall, setmetatable, tostring
local Failure = internal.failure

local Group = {__name = "casting.group"}
Group.__index = Group

function Group.new()
  return setmetatable({ends = casting.channel(1 / 0), live = {}, count = 0,
    failures = {}, failed = {}}, Group)
end

function Group.is_task(v)
  return getmetatable(v) == "casting.task"
end

-- Makes the task a member, unless it is one. It may have ended.
function Group:add(task)
  if self.live[task] then return task end
  self.live[task] = true
  self.count = self.count + 1
  task:monitor(self.ends)
  return task
end

-- To be called with what the channel `ends` has given. Notes a failure, and
-- returns what it was called with.
function Group:taken(task, ok, ...)
  self.live[task] = nil
  self.count = self.count - 1
  if not ok then
    local e = ...
    if not casting.is_cancelled(e) then
      self.failures[#self.failures + 1] = Failure.of(task, e)
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
  self.stopped = reason or "cancelled"
  for task in pairs(self.live) do task:cancel(reason) end
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

-- The failures to raise when e is under way: e first, if it is one.
local function all_failures(group, e)
  local list = {}
  if Failure.is(e) then list[1] = e end
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
  if self.count > 0 then
    local reason
    if cancelled then reason = e.reason end
    self:cancel(reason or "the scope was left: " .. tostring(e))
  end
  local ok, problem = pcall(internal.shield, finally or self.drain, self)
  local list = all_failures(self, e)
  if #list > 0 then
    e = Failure.join(list, cancelled and e or nil)
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
