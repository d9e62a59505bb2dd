-- What a call was making when a deadline or a cancellation ended it was left to
-- itself: sessions whose `init` still ran, the session of a supervisor, those
-- of a map, the task of casting.run. Nobody could reach them any more.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local made = casting.channel(math.huge)

-- For `init`: says where it runs, and never ends.
local function init()
  local casting = require "casting"
  made:send(casting.self():session(), casting.self())
  while true do casting.sleep(1000) end
end

local function is_closing(session)
  local ok, e = pcall(session.spawn, session, "return")
  return not ok and tostring(e):find "clos" ~= nil
end

local function check_made()
  local session, task = made:receive()
  assert(is_closing(session))
  local ok, e = task:join()
  assert(not ok and casting.is_cancelled(e), tostring(e))
end

local function make() return casting.session {init = init} end

-- Calls f(...) in a task and cancels that once it has made something.
local function cancel(f, ...)
  local task = casting.spawn(f, ...)
  local session, inner = made:receive()
  made:send(session, inner)
  assert(not is_closing(session))
  task:cancel "enough"
  local ok, e = task:join()
  assert(not ok and casting.is_cancelled(e) and e.reason == "enough",
    tostring(e))
end

-- Sessions.
cancel(make)
check_made()
cancel(function() -- which blocks in place
  local ok, e = coroutine.resume(coroutine.create(make))
  if not ok then error(e, 0) end
end)
check_made()
local session = casting.session()
session:spawn(make)
local child, task = made:receive()
made:send(child, task)
session:close()
check_made()

local seconds = 0.02
repeat
  local ok, why = casting.with_timeout(seconds, make)
  assert(ok == nil and why == "timeout")
  seconds = 2 * seconds -- the init had not begun yet
until #made > 0
check_made()

-- The task of run.
local function run() return casting.run(init) end
casting.with_timeout(0.02, run)
local _, runs = made:receive()
local ok, e = runs:join()
assert(not ok and casting.is_cancelled(e), tostring(e))
local outer = casting.spawn(run)
_, runs = made:receive()
outer:cancel "enough"
ok, e = runs:join()
assert(not ok and e.reason == "enough", tostring(e))

-- Supervisors. An argument tells in which session it has arrived.
local Probe = {}
function Probe.__save()
  return function(made)
    local self = require "casting".self()
    made:send(self:session(), self)
    return true
  end, made
end
local function supervise()
  return casting.supervisor {children = {
    {id = "a", start = function() end, session = {init = init},
      args = {setmetatable({}, Probe)}}}}
end
local above = casting.spawn(supervise)
local sup_session, sup_task = made:receive()
local init_session, init_task = made:receive()
assert(sup_session ~= init_session)
above:cancel()
above:join()
assert(is_closing(sup_session))
init_task:join()
sup_task:join()
assert(is_closing(init_session))

-- A nested one, which takes no requests while it starts its children.
above = casting.spawn(function()
  return casting.supervisor {children = {{id = "inner", supervisor = {
    children = {{id = "a", start = function() end, session = {init = init}}}}}}}
end)
init_session, init_task = made:receive()
local start = casting.now()
above:cancel()
init_task:join()
assert(is_closing(init_session))
assert(casting.now() - start < 20, "it was waited for")

-- A child that is started later, when its supervisor is cancelled.
local supervisor = casting.supervisor {}
local request = casting.spawn(supervisor.start_child, supervisor, {id = "inner",
  supervisor = {children = {
    {id = "a", start = function() end, session = {init = init}}}}})
init_session, init_task = made:receive()
supervisor.task:cancel()
init_task:join()
assert(is_closing(init_session))
local _, nothing = request:join()
assert(nothing == nil)

-- A map that is cancelled while it closes its sessions: the first one takes
-- some time, the others must be told before.
local gate = casting.channel()
local map = casting.spawn(casting.map, {1, 2, 3}, function(i)
  local casting = require "casting"
  local begun = casting.channel()
  made:send(casting.self():session())
  casting.spawn(function()
    begun:send(true)
    casting.shield(gate.receive, gate)
  end)
  begun:receive()
  return i
end, {sessions = 3})
local sessions = {made:receive(), (made:receive()), (made:receive())}
local function count_closing()
  local n = 0
  for i = 1, 3 do n = n + (is_closing(sessions[i]) and 1 or 0) end
  return n
end
repeat casting.yield() until count_closing() > 0
map:cancel()
map:join()
assert(count_closing() == 3)
gate:close()

-- Nothing of all that is left that could run ever again.
local found, e1 = pcall(function() return (casting.channel():receive()) end)
assert(not found and tostring(e1):find "deadlock", tostring(e1))
