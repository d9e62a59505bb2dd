-- 219: Who was about to start a supervisor took the cancellation of that one
-- for its own: the supervisor above stopped, and the task that had called was
-- cancelled. And casting.supervisor, interrupted, returned before the children
-- had ended.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

-- A child that is a supervisor, and is cancelled before its child has started.
local function nested(go)
  local casting = require "casting"
  local starting = casting.named("starting " .. tostring(go), 1)
  return {id = "n",
    session = {init = function()
      local casting = require "casting"
      local me = casting.self()
      casting.spawn(function()
        starting:receive()
        for _, t in ipairs(me:session():tasks()) do
          if t ~= casting.self() then t:cancel "of the nested one" end
        end
      end)
    end},
    supervisor = {children = {{id = "w", start = "return 1",
      session = {init = function()
        starting:send(true)
        go:receive()
      end}}}}}
end

local go = casting.channel()
local sup = casting.supervisor {children = {
  {id = "other", start = function() require("casting").sleep(math.huge) end}}}
local asking = casting.spawn(sup.start_child, sup, nested(go))
local ok, task, what, why = asking:join(helper.LONG)
assert(ok and task == nil and what == "not_started", tostring(what))
assert(why:find("cancelled: of the nested one", 1, true), why)
assert(sup:count_children().active == 1)
assert(sup:stop() == true)

go = casting.channel()
local maker = casting.spawn(casting.supervisor, {children = {nested(go)}})
local e
ok, e = maker:join(helper.LONG)
assert(ok == false and type(e) == "string", tostring(e))
assert(e:find("child 'n' did not start: cancelled: of the nested", 1, true), e)
assert(maker:status() == "failed")

-- An interrupted call returns when the children have ended.
local log = casting.channel(math.huge)
maker = casting.spawn(casting.supervisor, {children = {
  {id = "a", args = {log}, start = function(log)
    local casting = require "casting"
    log:send "a begun"
    pcall(casting.sleep, math.huge)
    casting.shield(function()
      for _ = 1, 5 do casting.sleep(0.02) end
      log:send "a ended"
    end)
  end},
  {id = "b", start = "return 1", session = {init = function()
    log:send "b begun"
    go:receive()
  end}}}})
local seen = {[log:receive(helper.LONG)] = true}
seen[log:receive(helper.LONG)] = true
assert(seen["a begun"] and seen["b begun"])
maker:cancel()
ok, e = maker:join(helper.LONG)
assert(ok == false and casting.is_cancelled(e))
assert(log:try_receive() == "a ended")
