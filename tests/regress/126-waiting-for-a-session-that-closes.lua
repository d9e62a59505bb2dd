-- 126: session:wait after session:close(0) waited, or not, as the session had
-- come to its end or had not; so did spawn take a task, or not.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local CLOSED = "wait: session 'brief' is closed"
local begun, goes = casting.channel(), casting.channel()
for _ = 1, 20 do
  local session = casting.session {name = "brief"}
  local task = session:spawn(function(begun, goes)
    local casting = require "casting"
    begun:send(true)
    pcall(casting.sleep, 60)
    casting.shield(goes.receive, goes)
  end, begun, goes)
  begun:receive()
  local waiting = casting.spawn(function() return session:wait() end)
  casting.yield()
  assert(session:close(0) == nil)
  helper.misuse(function() session:wait() end, CLOSED)
  helper.misuse(function() session:wait(0) end, "wait: session 'brief'")
  helper.misuse(function() session:spawn "return" end,
    "spawn: session 'brief' is closed")
  -- One that began before ends when the tasks do; close can be called again.
  assert(waiting:status() == "waiting")
  goes:send(true)
  assert(waiting:await(60) == true)
  assert(session:close(60) == true)
  assert(task:status() ~= "waiting")
  helper.misuse(function() session:wait() end, CLOSED)
end
