-- handle.lua - the handle of a supervisor, and its methods.
-- SPDX-License-Identifier: MIT
--
-- A handle may be copied to any session: it has the supervisor's task, and the
-- channel on which that takes requests. Each request waits for its answer or
-- for the end of the supervisor, whichever comes first, so it never hangs.

local casting, internal = ...
local error, getmetatable, ipairs, type = error, getmetatable, ipairs, type
local bad, kind = internal.bad, internal.kind
local Check = internal.check

local Handle = {__name = "casting.supervisor"}
Handle.__index = Handle

-- Returns the answer after its first value, true; without one nil, "noproc".
local function answer(ok, ...)
  if ok == nil then return nil, "noproc" end
  return ...
end

-- Case `which` of {reply, ended} has come. The supervisor may have answered and
-- ended, and select returns either then: so a missing answer is looked for.
local function choose(reply, which, ...)
  if which == 1 then return answer(...) end
  return answer(reply:try_receive())
end

-- Sends a request and returns the answer; or nil, "noproc" if the supervisor
-- has ended.
local function ask(self, op, ...)
  local ended, reply = self.task:monitor(), casting.channel(1)
  local which, taken = casting.select {{self.requests, op, reply, ...}, ended}
  if which ~= 1 or not taken then return nil, "noproc" end
  return choose(reply, casting.select {reply, ended})
end

-- A program can call a method with anything, and change the fields of a handle.
local function check(self, what)
  if getmetatable(self) ~= Handle or kind(self.task) ~= "task" or
      kind(self.requests) ~= "channel" then
    bad(1, what, "supervisor expected, got " .. kind(self))
  end
end

-- What a method about one child is called with: the supervisor and an id.
local function check_child(self, what, id)
  check(self, what)
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
    if child.requests then
      child.supervisor = internal.new_handle(child.task, child.requests, child)
      child.requests, child.auto_shutdown = nil, nil
    end
  end
  return list, ...
end

function Handle:which_children()
  check(self, "which_children")
  return adopt(ask(self, "which_children"))
end

function Handle:count_children()
  check(self, "count_children")
  return ask(self, "count_children")
end

function Handle:start_child(spec)
  check(self, "start_child")
  local Spec = internal.childspec
  local child = Spec.child(spec, self.auto_shutdown,
    Spec.place("start_child", 2))
  return ask(self, "start_child", child)
end

function Handle:terminate_child(id)
  check_child(self, "terminate_child", id)
  return ask(self, "terminate_child", id)
end

function Handle:restart_child(id)
  check_child(self, "restart_child", id)
  return ask(self, "restart_child", id)
end

function Handle:delete_child(id)
  check_child(self, "delete_child", id)
  return ask(self, "delete_child", id)
end

-- Waits for the end of the supervisor: true; false and its error; or nil and
-- "timeout".
function Handle:wait(timeout)
  check(self, "wait")
  check_timeout(timeout, "wait")
  return self.task:join(timeout)
end

-- Asks the supervisor to stop its children, the last one first, and to end;
-- waits for that. The timeout is for both.
function Handle:stop(timeout)
  check(self, "stop")
  check_timeout(timeout, "stop")
  if internal.forked() then return true end -- the supervisor is the parent's
  local start = casting.now()
  local which = casting.select {{self.requests, "stop"}, self.task:monitor(),
    timeout = timeout}
  if not which then return nil, "timeout" end
  if not timeout then return self.task:join() end
  local left = timeout - (casting.now() - start)
  return self.task:join(left > 0 and left or 0)
end

function Handle:__newindex()
  check(self, "__newindex")
  error("__newindex: a supervisor takes no fields", 2)
end

-- For `local s <close>`. Lua passes an error, if there is one, as an argument
-- more: stop must not take it for a timeout.
function Handle:__close()
  check(self, "__close")
  Handle.stop(self)
end

function Handle.__eq(a, b)
  check(a, "__eq")
  check(b, "__eq")
  return a.task == b.task
end

function Handle:__tostring()
  check(self, "__tostring")
  return "supervisor: " .. self.task:name()
end

return Handle
