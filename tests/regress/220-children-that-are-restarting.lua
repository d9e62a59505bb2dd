-- 220: A child that did not start again counted as one that had ended for good,
-- and the supervisor stopped by auto_shutdown. And the first one of several
-- such children was tried again and again, and the others never.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

-- A child whose `init` fails while `fails(n)` is true for its n-th start.
local function child(id, fails, start)
  local starts = casting.channel(math.huge)
  return {id = id, restart = "transient", significant = true, start = start,
    args = {starts}, session = {init = function()
      starts:send(true)
      if fails(#starts) then error(id .. " does not start", 0) end
    end}}, starts
end

local function await(events, event, id)
  for _ = 1, 1000 do
    local what, whose = events:receive(helper.LONG)
    if what == event and whose == id then return end
    assert(what, "no event")
  end
  error("no event: " .. event .. " " .. id)
end

-- b ends while a is restarting.
local events = casting.channel(math.huge)
local go = casting.channel(1)
local a = child("a", function(n) return n > 1 and #go == 0 end,
  function(starts)
    if #starts == 1 then error("a fails", 0) end
    require("casting").sleep(math.huge)
  end)
local ended = casting.channel()
local b = {id = "b", restart = "transient", significant = true,
  args = {ended}, start = function(ended) ended:receive() end}
local sup = casting.supervisor {events = events, intensity = math.huge,
  auto_shutdown = "all_significant", children = {a, b}}
await(events, "not started", "a")
ended:send(true)
await(events, "ended", "b")
await(events, "not started", "a") -- it goes on
go:send(true)
await(events, "started", "a")
assert(sup:count_children().active == 1)
assert(sup:stop() == true)

-- a does not start again, b does at its third attempt.
events = casting.channel(math.huge)
ended = {casting.channel(), casting.channel()}
local children = {}
for i = 1, 2 do
  children[i] = child("child " .. i,
    function(n) return n > 1 and (i == 1 or n < 4) end)
  children[i].significant = false
  children[i].args = {ended[i]}
  children[i].start = function(ended)
    ended:receive()
    error("x", 0)
  end
end
sup = casting.supervisor {events = events, intensity = math.huge,
  children = {children[1], children[2]}}
for i = 1, 2 do await(events, "started", "child " .. i) end
for i = 1, 2 do
  ended[i]:send(true)
  await(events, "not started", "child " .. i)
end
await(events, "started", "child 2")
assert(sup:count_children().active == 1)
assert(sup:stop() == true)
