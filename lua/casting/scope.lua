-- scope.lua - casting.scope: no task outlives the block that has started it.
-- SPDX-License-Identifier: MIT
--
-- The body is a task as well, the first of the group, for two reasons: a
-- failure of another can cancel it, and nothing else, without cancelling the
-- caller; and on 5.1 it is not under a pcall, so that it can be suspended.
-- The caller waits for all of them to end.

local casting, internal = ...
local error, getmetatable, pairs, rawequal, select, setmetatable, tostring,
  type = error, getmetatable, pairs, rawequal, select, setmetatable, tostring,
  type
local Check, Group, Failures =
  internal.check, internal.group, internal.failures
local bad, kind = internal.bad, internal.kind

local Scope = {__name = "casting.scope"}
Scope.__index = Scope

local function check_open(scope, what)
  local group = scope.group
  if group.over then
    error(what .. ": the scope has ended", 3)
  elseif group.stopped then
    error(what .. ": the scope is being cancelled: " .. group.stopped, 3)
  end
  return group
end

local function check_scope(scope, what)
  if getmetatable(scope) ~= Scope or getmetatable(scope.group) ~= Group then
    bad(1, what, "scope expected, got " .. kind(scope))
  end
end

function Scope:spawn(f, ...)
  check_scope(self, "spawn")
  Check.expect(2, "spawn", f, "function")
  local group = check_open(self, "spawn")
  return group:adopt(casting.spawn(f, ...))
end

function Scope:spawn_in(session, f, ...)
  check_scope(self, "spawn_in")
  Check.expect(2, "spawn_in", session, "session")
  local is = type(f)
  if is == "string" then
    local problem = internal.source_problem(f)
    if problem then bad(3, "spawn_in", problem) end
  elseif is ~= "function" and is ~= "userdata" then -- a message may be one
    bad(3, "spawn_in", "function or source text expected, got " .. kind(f))
  end
  local group = check_open(self, "spawn_in")
  return group:adopt(session:spawn(f, ...))
end

-- Ends what the body has started: the body itself goes on.
function Scope:cancel(reason)
  check_scope(self, "cancel")
  if reason ~= nil then Check.expect(2, "cancel", reason, "string") end
  local group = self.group
  if group.over or group.stopped then return false end
  group.stopped = reason or "cancelled"
  for task in pairs(group.live) do
    if task ~= self.body then task:cancel(reason) end
  end
  return true
end

function Scope:__tostring()
  check_scope(self, "__tostring")
  local group = self.group
  return "scope of " .. group.count .. " tasks" ..
    (group.over and " (ended)" or "")
end

function Scope.__save()
  error("a scope cannot leave its session", 0)
end

local KNOWN = {fail_fast = true}

-- Whether a failure cancels the others.
local function check(f, options)
  Check.expect(1, "scope", f, "function")
  local fail_fast = Check.options(2, "scope", options, KNOWN).fail_fast
  local problem = Check.mismatch("fail_fast", fail_fast, "boolean")
  if problem then bad(2, "scope", problem) end
  return fail_fast ~= false
end

local function keep(results, ...)
  results.n = select("#", ...)
  for i = 1, results.n do results[i] = (select(i, ...)) end
end

-- The body has failed: perhaps only because it awaited one that has.
local function forget_awaited(failures)
  local last = #failures
  for i = 1, last - 1 do
    if rawequal(failures[i].error, failures[last].error) then
      failures[last] = nil
      return
    end
  end
end

-- One member has ended: that may be the end of the others.
local function ended(scope, results, task, ok, ...)
  local group = scope.group
  if task == scope.body then
    if ok then return keep(results, ...) end
    forget_awaited(group.failures)
    if casting.is_cancelled((...)) and #group.failures == 0 then
      scope.cancelled = ...
      group:cancel("the body of the scope was " .. tostring((...)))
    end
  end
  if not ok and #group.failures > 0 and scope.fail_fast then
    local stopped = group.stopped
    group.stopped = nil -- also after scope:cancel the body must end
    group:cancel(group:reason())
    group.stopped = stopped or group.stopped
  end
end

local function wait(scope, results)
  local group = scope.group
  while group.count > 0 do ended(scope, results, group:take()) end
end

return function(f, options)
  local fail_fast = check(f, options)
  local group, results = Group.new(), {n = 0}
  local scope = setmetatable({group = group, fail_fast = fail_fast}, Scope)
  scope.body = group:adopt(casting.spawn(f, scope))
  local function over()
    group:drain()
    group.over = true
  end
  group:guard(over, wait, scope, results)
  over()
  if #group.failures > 0 then error(Failures.join(group.failures), 0) end
  if scope.cancelled then error(scope.cancelled, 0) end
  return internal.unpack(results, results.n)
end
