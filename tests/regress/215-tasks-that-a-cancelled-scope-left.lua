-- 215: A scope that was cancelled could be left by its tasks. After
-- scope:cancel the body was not cancelled with its caller; and a task that was
-- being packed meanwhile was started, and never cancelled.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local session = casting.session()
local never = casting.channel()

-- The body ends with its caller, before the call returns.
local body
local caller = casting.spawn(casting.scope, function(scope)
  body = casting.self()
  scope:cancel()
  never:receive()
end)
while not body do casting.yield() end
casting.yield()
caller:cancel("enough")
local ok, e = caller:join(helper.LONG)
assert(ok == false and casting.is_cancelled(e), tostring(e))
assert(body:status() == "cancelled", body:status())

-- A value whose packing waits until `go` has a message.
local function waits_for(go, packing)
  return setmetatable({}, {__save = function()
    packing:send(true)
    casting.shield(go.receive, go)
    return math.abs, 1
  end})
end

local function wait() require("casting").channel():receive() end

-- The scope is cancelled while a task for it is being packed.
local late
local t = casting.spawn(casting.scope, function(scope)
  local go, packing = casting.channel(1), casting.channel(1)
  scope:spawn(function()
    packing:receive()
    scope:cancel("all over") -- this task as well
    casting.shield(go.send, go, true)
  end)
  late = scope:spawn_in(session, wait, waits_for(go, packing))
end)
ok, e = t:join(helper.LONG)
assert(ok == true, tostring(e))
assert(late:status() == "cancelled")

-- Another task fails meanwhile.
late = nil
t = casting.spawn(casting.scope, function(scope)
  local go, packing = casting.channel(1), casting.channel(1)
  local failing = scope:spawn(function()
    packing:receive()
    error("a sibling fails", 0)
  end)
  local monitor = failing:monitor()
  scope:spawn(function()
    casting.shield(monitor.receive, monitor)
    casting.shield(casting.yield)
    casting.shield(go.send, go, true)
  end)
  late = scope:spawn_in(session, wait, waits_for(go, packing))
end)
ok, e = t:join(helper.LONG)
assert(ok == false and e.error == "a sibling fails", tostring(e))
assert(not late or late:status() == "cancelled")

-- The scope ends meanwhile: the method was called by a task of no scope.
local inner
local go, packing = casting.channel(1), casting.channel(1)
local outsider
casting.scope(function(scope)
  inner = scope
  outsider = casting.spawn(function()
    local made = inner:spawn_in(session, wait, waits_for(go, packing))
    return made
  end)
  packing:receive()
end)
go:send(true)
ok, e = outsider:join(helper.LONG)
assert(ok == false and tostring(e):find(
  "left.lua:%d+: spawn_in: the scope has ended"), tostring(e))
for _, task in ipairs(session:tasks()) do
  assert(task:join(helper.LONG) ~= nil, "a task outlives its scope")
end
