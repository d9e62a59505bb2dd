-- smokers.lua - Savina's cigarette smokers.
-- SPDX-License-Identifier: MIT
--
-- An arbiter lets a random one of two hundred smokers smoke, for some random
-- time of computing, and the next as soon as that one has begun. A step is a
-- cigarette.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox

local SMOKERS = 200
local random, work, now = lib.random, lib.work, lib.now

local function smoker(box, arbiter)
  local smoked = 0
  local length = box:receive()
  while length do
    arbiter:send("started")
    work(length + 1, length)
    smoked = smoked + 1
    length = box:receive()
  end
  return smoked
end

local function arbitrate(n, boxes, arbiter)
  local x = 1
  local start = now()
  for _ = 1, n do
    x = random(x)
    boxes[x % #boxes + 1]:send(x % 20)
    arbiter:receive()
  end
  local seconds = now() - start
  for i = 1, #boxes do
    boxes[i]:close()
  end
  return seconds
end

lib.measure("cigarette smokers", "rounds/s", function(n, spawn)
  local boxes, tasks, arbiter = {}, {}, mailbox()
  for i = 1, SMOKERS do
    boxes[i] = mailbox()
    tasks[i] = spawn(i, smoker, boxes[i], arbiter)
  end
  local seconds = spawn(0, arbitrate, n, boxes, arbiter):await()
  local sum = 0
  for i = 1, SMOKERS do
    sum = sum + tasks[i]:await()
  end
  check(sum, n, "the number of cigarettes")
  return n, seconds
end)
