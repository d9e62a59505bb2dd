-- handle.lua - the handle of a supervisor, and its methods.
-- SPDX-License-Identifier: MIT
--
-- A handle may be copied to any session. It has the supervisor's task, and
-- nothing else by which the supervisor could be reached: each request is a task
-- in the session of that, so it needs the right to start one there (ask.lua).
-- It waits for the answer or for the end of the supervisor, whichever comes
-- first. So only a child's `init` that asks its own supervisor hangs, since the
-- supervisor waits for that function.

local casting, internal = ...
local error, getmetatable, ipairs, pcall, type =
  error, getmetatable, ipairs, pcall, type
local bad, kind = internal.bad, internal.kind
local Check, begin = internal.check, internal.ask

local methods = {}
local Handle = {__name = "casting.supervisor",
  __metatable = "casting.supervisor", __index = methods}

-- The task of a request has ended. Returns its results after the first one,
-- true; or nil, "noproc" if the supervisor has ended, or its session.
local function answer(ok, taken, ...)
  if ok and taken then return ... end
  if not ok and not casting.is_cancelled(taken) then error(taken, 0) end
  return nil, "noproc"
end

-- No request can be started, because of the error e: its text may come from
-- `spawn`, and gets the name of the method before it.
local function refuse(op, e)
  if type(e) == "string" and e ~= "not enough memory" then
    local place = internal.where()
    e = (place and place .. ": " or "") .. op .. ": " .. e
  end
  error(e, 0)
end

-- Sends a request and returns the answer; or nil, "noproc" if the supervisor
-- has ended.
local function ask(self, op, ...)
  local ok, request = pcall(begin, self.task:session(), self.task, op, ...)
  if not ok then refuse(op, request) end
  if not request then return nil, "noproc" end
  return answer(request:join())
end

-- A program can call a method with anything, and change the fields of a handle.
local function check(self, what)
  if getmetatable(self) ~= Handle or kind(self.task) ~= "task" then
    bad(1, what, "supervisor expected, got " .. kind(self))
  end
end

-- The same for a method that a sandbox may call for its own supervisors only.
-- Task and session check that themselves; this names the method.
local function check_own(self, what)
  check(self, what)
  if not internal.may(self.task) then
    error(what .. ": the supervisor was not made by this sandbox", 3)
  end
end

-- What a method about one child is called with: the supervisor and an id.
local function check_child(self, what, id)
  check(self, what)
  if not internal.may(self.task) then
    error(what .. ": the supervisor was not made by this sandbox", 4)
  end
  if type(id) ~= "string" and type(id) ~= "number" then
    bad(2, what, "id expected: a string or a number, got " .. kind(id))
  end
end

local function check_timeout(timeout, what)
  if timeout ~= nil and not Check.is_seconds(timeout) then
    bad(2, what, "timeout must be a number of seconds, zero or more, got " ..
      internal.got(timeout))
  end
end

-- Gives the children that are supervisors handles. These are made here, since
-- what has a class does not leave a sandbox.
local function adopt(list, ...)
  for _, child in ipairs(list or {}) do
    if child.auto_shutdown then
      child.supervisor = internal.new_handle(child.task, child)
      child.auto_shutdown = nil
    end
  end
  return list, ...
end

function methods:which_children()
  check_own(self, "which_children")
  return adopt(ask(self, "which_children"))
end

function methods:count_children()
  check_own(self, "count_children")
  return ask(self, "count_children")
end

function methods:start_child(spec)
  check_own(self, "start_child")
  local Spec = internal.childspec
  local child = Spec.child(spec, self.auto_shutdown,
    Spec.place("start_child", 2))
  return ask(self, "start_child", child)
end

function methods:terminate_child(id)
  check_child(self, "terminate_child", id)
  return ask(self, "terminate_child", id)
end

function methods:restart_child(id)
  check_child(self, "restart_child", id)
  return ask(self, "restart_child", id)
end

function methods:delete_child(id)
  check_child(self, "delete_child", id)
  return ask(self, "delete_child", id)
end

-- Waits for the end of the supervisor: true; false and its error; or nil and
-- "timeout".
function methods:wait(timeout)
  check(self, "wait")
  check_timeout(timeout, "wait")
  return self.task:join(timeout)
end

-- The supervisor was joined, after it was asked to stop, or cancelled.
local function stopped(ok, e)
  if ok or ok == false and casting.is_cancelled(e) and
    e.reason == "shutdown" then
    return true
  end
  return ok, e
end

-- Asks the supervisor to stop its children, the last one first, and to end;
-- waits for that. The timeout is for both. If its session has no room for a
-- request, it is cancelled, and does the same then.
function methods:stop(timeout)
  check(self, "stop")
  check_timeout(timeout, "stop")
  if internal.forked() then return true end -- the supervisor is the parent's
  check_own(self, "stop")
  local start, task = casting.now(), self.task
  local ok, request = pcall(begin, task:session(), task, "stop")
  if not ok then
    if casting.is_cancelled(request) then error(request, 0) end
    task:cancel("shutdown")
  elseif request then -- else it has ended
    local e
    ok, e = request:join(timeout)
    if ok == nil then return nil, "timeout" end
    if not ok and not casting.is_cancelled(e) then error(e, 0) end
  end
  if not timeout then return stopped(task:join()) end
  local left = timeout - (casting.now() - start)
  return stopped(task:join(left > 0 and left or 0))
end

function Handle:__newindex()
  check(self, "__newindex")
  error("__newindex: a supervisor takes no fields", 2)
end

-- For `local s <close>`. Lua passes an error, if there is one, as an argument
-- more: stop must not take it for a timeout.
function Handle:__close()
  check(self, "__close")
  methods.stop(self)
end

-- 5.3 and later call this for any two tables of which one is a handle.
function Handle.__eq(a, b)
  return getmetatable(a) == Handle and getmetatable(b) == Handle and
    a.task == b.task
end

function Handle:__tostring()
  check(self, "__tostring")
  return "supervisor: " .. self.task:name()
end

return Handle
