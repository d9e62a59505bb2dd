-- creation.lua - Savina's fork-join (actor creation).
-- SPDX-License-Identifier: MIT
--
-- Actors are made, get one message each, do a little arithmetic, answer and
-- end. A step is an actor.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox
local casting = require "casting"

local function actor(box, result)
  local v = box:receive()
  local x = math.sin(v)
  result:send(x * x <= 1 and v or 0)
end

local function master(n, result)
  for i = 1, n do
    local box = casting.channel(1)
    casting.spawn(actor, box, result)
    box:send(i)
  end
end

local function add_up(n, result)
  local sum = 0
  for _ = 1, n do
    sum = sum + result:receive()
  end
  return sum
end

lib.measure("fork-join creation", "tasks/s", function(n, spawn)
  local half = math.ceil(n / 2)
  local result = mailbox()
  local sum = spawn(0, add_up, 2 * half, result)
  spawn(1, master, half, result)
  spawn(2, master, half, result)
  check(sum:await(), half * (half + 1), "the sum")
  return 2 * half
end)
