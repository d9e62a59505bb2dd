-- 196: A scope, and a supervisor, took the results of the tasks that they wait
-- for. A stream that a task of another session had returned was lost for who
-- awaited it, or the scope failed: "another receiver of this message has it".
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local LONG = 60
local session = casting.session()

local function work()
  local net = require "casting.net"
  local a, b = net.pair()
  assert(a:write("hello\n"))
  return b, a
end

-- Awaited in the scope, at once and after the scope was told of the end.
local line = casting.scope(function(scope)
  return scope:spawn_in(session, work):await(LONG):read("l")
end)
assert(line == "hello")
line = casting.scope(function(scope)
  local task = scope:spawn_in(session, work)
  while task:status() ~= "done" do casting.yield() end
  for _ = 1, 100 do casting.yield() end
  return task:await(LONG):read("l")
end)
assert(line == "hello")

-- And after it.
local task
casting.scope(function(scope) task = scope:spawn_in(session, work) end)
assert(task:await(LONG):read("l") == "hello")

-- What cannot cross is no failure of a scope that does not want it.
casting.scope(function(scope)
  task = scope:spawn_in(session, function()
    return coroutine.create(function() end)
  end)
end)
local ok, why = task:join(LONG)
assert(ok == false and tostring(why):find("cannot send", 1, true), why)

-- A failure is told as before, and cancels the others.
ok, why = pcall(casting.scope, function(scope)
  scope:spawn_in(session, "require 'casting'.sleep(60)")
  scope:spawn_in(session, "error {code = 7}")
end)
assert(not ok and why.error.code == 7)
assert(session:close(LONG))

-- A child of a supervisor.
local go = casting.channel()
local supervisor = casting.supervisor {children = {{id = "child",
  restart = "temporary", start = function()
    go:receive()
    return work()
  end}}}
local child = supervisor:which_children()[1].task
go:send(true)
while #supervisor:which_children() > 0 do casting.yield() end
ok, why = child:join(LONG)
assert(ok and type(why) == "userdata", why)
supervisor:stop()
