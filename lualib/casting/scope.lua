-- scope.lua - casting.scope: no task outlives the block that has started it.
-- SPDX-License-Identifier: MIT
--
-- The body is a task, too, the first member of the group, for two reasons: the
-- failure of another task can cancel the body without cancelling the caller;
-- and on 5.1 the body is not called under a pcall, so that it can yield. The
-- caller waits until all of them have ended.
--
-- What the program holds is an empty table. What the library keeps of a scope
-- (inner) is out of its reach:
--   group      the tasks
--   body       the task of the body
--   fail_fast  whether a failure cancels the others
--   cancelled  the error of the body's cancellation, to be raised at the end

local casting, internal = ...
local error, rawequal, select, setmetatable, tostring, type =
  error, rawequal, select, setmetatable, tostring, type
local Check, Group, Failures =
  internal.check, internal.group, internal.failures
local bad, kind = internal.bad, internal.kind

local methods = {}
local Scope = {__name = "casting.scope", __metatable = "casting.scope",
  __index = methods}

-- scope -> inner. Before 5.2 a weak key does not help if its value leads to it,
-- as an error value in a group may: so the entry of a scope that has ended is
-- this one instead.
local inners = setmetatable({}, {__mode = "k"})
local OVER = {group = {over = true, count = 0}}

-- The group of a scope in which tasks can still be spawned.
local function check_open(inner, what)
  local group = inner.group
  if group.over then
    error(what .. ": the scope has ended", 3)
  elseif group.stopped then
    error(what .. ": the scope is being cancelled: " .. group.stopped, 3)
  end
  return group
end

-- What is kept of a scope. A program can call a method with anything.
local function check_scope(scope, what)
  local inner
  if type(scope) == "table" then inner = inners[scope] end
  if not inner then bad(1, what, "scope expected, got " .. kind(scope)) end
  return inner
end

-- Makes the new task a member. To pack what it is called with may have waited,
-- and the scope may have ended meanwhile.
local function adopt(group, task, what)
  if not group.over then group:adopt(task) end
  if not group.over then return task end
  Group.dismiss(task)
  local place = internal.where()
  error((place and place .. ": " or "") .. what .. ": the scope has ended", 0)
end

function methods:spawn(f, ...)
  local inner = check_scope(self, "spawn")
  Check.expect(2, "spawn", f, "function")
  local group = check_open(inner, "spawn")
  return adopt(group, casting.spawn(f, ...), "spawn")
end

function methods:spawn_in(session, f, ...)
  local inner = check_scope(self, "spawn_in")
  Check.expect(2, "spawn_in", session, "session")
  local is = type(f)
  if is == "string" then
    local problem = internal.source_problem(f)
    if problem then bad(3, "spawn_in", problem) end
  elseif is ~= "function" and is ~= "userdata" then -- a packed message is one
    bad(3, "spawn_in", "function or source text expected, got " .. kind(f))
  end
  local group = check_open(inner, "spawn_in")
  return adopt(group, session:spawn(f, ...), "spawn_in")
end

-- Cancels the tasks that the body has started; the body itself goes on.
function methods:cancel(reason)
  local inner = check_scope(self, "cancel")
  if reason ~= nil then Check.expect(2, "cancel", reason, "string") end
  local group = inner.group
  return not group.over and group:cancel_others(inner.body, reason)
end

function Scope:__tostring()
  local group = check_scope(self, "__tostring").group
  return "scope of " .. group.count ..
    (group.count == 1 and " task" or " tasks") ..
    (group.over and " (ended)" or "")
end

-- Called when a scope is sent.
function Scope.__save()
  error("a scope cannot leave its session", 0)
end

local KNOWN = {fail_fast = true}

-- Checks the arguments of casting.scope; returns whether a failure cancels the
-- other tasks.
local function check(f, options)
  Check.expect(1, "scope", f, "function")
  local fail_fast = Check.options(2, "scope", options, KNOWN).fail_fast
  local problem = Check.mismatch("fail_fast", fail_fast, "boolean")
  if problem then bad(2, "scope", problem) end
  return fail_fast ~= false
end

-- Keeps what the body has returned, as join says it.
local function keep(results, _, ...)
  local all = {...}
  results.n = select("#", ...)
  for i = 1, results.n do results[i] = all[i] end
end

-- The body has failed. If it has only awaited a task that had failed before,
-- its failure is no other one, and is dropped.
local function forget_awaited(failures)
  local last = #failures
  for i = 1, last - 1 do
    if rawequal(failures[i].error, failures[last].error) then
      failures[last] = nil
      return
    end
  end
end

-- The body has ended.
local function body_ended(inner, results, ok, e)
  local group = inner.group
  if ok then
    keep(results, inner.body:join(0))
  elseif not casting.is_cancelled(e) then
    forget_awaited(group.failures)
  elseif #group.failures == 0 then
    inner.cancelled = e
    group:cancel("the body of the scope was " .. tostring(e))
  end
end

-- A member has ended. If it has failed, the others are cancelled, the body as
-- well, which scope:cancel may have spared.
local function ended(inner, results, task, ok, e)
  local group = inner.group
  if task == inner.body then body_ended(inner, results, ok, e) end
  if not ok and #group.failures > 0 and inner.fail_fast then
    group:cancel(group:reason())
  end
end

local function wait(inner, results)
  local group = inner.group
  while group.count > 0 do ended(inner, results, group:take()) end
end

return function(f, options)
  local fail_fast = check(f, options)
  local group, results = Group.new(), {n = 0}
  local scope, inner = setmetatable({}, Scope),
    {group = group, fail_fast = fail_fast}
  inners[scope] = inner
  inner.body = group:adopt(casting.spawn(f, scope))
  local function over()
    group:drain()
    group.over = true -- a method may still be running in another task
    group:drain()
    inners[scope] = OVER
  end
  group:guard(over, wait, inner, results)
  over()
  if #group.failures > 0 then error(Failures.join(group.failures), 0) end
  if inner.cancelled then error(inner.cancelled, 0) end
  return internal.unpack(results, results.n)
end
