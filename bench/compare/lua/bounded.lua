-- bounded.lua - Savina's bounded buffer.
-- SPDX-License-Identifier: MIT
--
-- Forty producers, forty consumers and a buffer for fifty items between them;
-- an item costs both a little work. A step is an item.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox

local PRODUCERS, CONSUMERS, SIZE, WORK = 40, 40, 50, 25
local work = lib.work

local function producer(me, n, buffer)
  local sum = 0
  for i = 1, n do
    local item = work(me * 1000 + i % 1000, WORK)
    sum = sum + item % 1000
    buffer:send(item)
  end
  return sum
end

local function consumer(buffer)
  local sum = 0
  local item = buffer:receive()
  while item do
    work(item, WORK)
    sum = sum + item % 1000
    item = buffer:receive()
  end
  return sum
end

lib.measure("bounded buffer", "items/s", function(n, spawn)
  local each = math.ceil(n / PRODUCERS)
  local buffer, from, to = mailbox(SIZE), {}, {}
  for i = 1, PRODUCERS do
    from[i] = spawn(i, producer, i, each, buffer)
  end
  for i = 1, CONSUMERS do
    to[i] = spawn(i, consumer, buffer)
  end
  local made, used = 0, 0
  for i = 1, PRODUCERS do
    made = made + from[i]:await()
  end
  buffer:close()
  for i = 1, CONSUMERS do
    used = used + to[i]:await()
  end
  check(used, made, "the sum of the items")
  return each * PRODUCERS
end)
