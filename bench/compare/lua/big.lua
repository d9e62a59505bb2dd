-- big.lua - Savina's big.
-- SPDX-License-Identifier: MIT
--
-- 120 actors, each of which sends a ping to a random other one, waits for the
-- pong and goes on; meanwhile it answers the pings of others. Who is through
-- tells the sink, which ends all when it has heard of all. A step is a ping.
--
-- A mailbox has room for a ping of each and a pong, so nobody waits to send.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox

local ACTORS = 120
local casting = require "casting"

local function actor(me, n, boxes, sink)
  local box, count = boxes[me], #boxes
  local x, left, served = me * 7919, n, 0
  local function ping()
    x = x * 16807 % 2147483647
    local to = x % count + 1
    boxes[to]:send("ping", me)
  end
  ping()
  while true do
    local word, from = box:receive()
    if word == "ping" then
      served = served + 1
      boxes[from]:send("pong")
    elseif word == "pong" then
      left = left - 1
      if left > 0 then
        ping()
      else
        sink:send(me)
      end
    else
      return served
    end
  end
end

-- Every second actor. Spawned here, they share what is copied to a session.
local function half(first, n, boxes, sink)
  local tasks, sum = {}, 0
  for i = first, ACTORS, 2 do
    tasks[#tasks + 1] = casting.spawn(actor, i, n, boxes, sink)
  end
  for _, task in ipairs(tasks) do
    sum = sum + task:await()
  end
  return sum
end

local function stop(boxes, sink)
  for _ = 1, #boxes do
    sink:receive()
  end
  for i = 1, #boxes do
    boxes[i]:send("stop")
  end
end

lib.measure("big", "messages/s", function(n, spawn)
  local each = math.ceil(n / ACTORS)
  local boxes, tasks, sink = {}, {}, mailbox(ACTORS)
  for i = 1, ACTORS do
    boxes[i] = mailbox(ACTORS + 2)
  end
  for k = 1, 2 do
    tasks[k] = spawn(k, half, k, each, boxes, sink)
  end
  spawn(0, stop, boxes, sink):await()
  local sum = 0
  for k = 1, 2 do
    sum = sum + tasks[k]:await()
  end
  check(sum, each * ACTORS, "the number of pings")
  return each * ACTORS
end)
