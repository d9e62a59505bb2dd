-- throughput.lua - Savina's fork-join (throughput).
-- SPDX-License-Identifier: MIT
--
-- One actor sends messages to sixty others in turn, each of which does a little
-- arithmetic for a message. A step is a message.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox

local WORKERS = 60

local function worker(box, n)
  local sum = 0
  for _ = 1, n do
    local v = box:receive()
    local x = math.sin(v)
    sum = sum + (x * x <= 1 and v or 0)
  end
  return sum
end

local function master(boxes, n)
  for i = 1, n do
    for k = 1, #boxes do
      boxes[k]:send(i)
    end
  end
end

lib.measure("fork-join throughput", "messages/s", function(n, spawn)
  local each = math.ceil(n / WORKERS)
  local boxes, tasks = {}, {}
  for k = 1, WORKERS do
    boxes[k] = mailbox()
    tasks[k] = spawn(k, worker, boxes[k], each)
  end
  spawn(0, master, boxes, each):await()
  for k = 1, WORKERS do
    check(tasks[k]:await(), each * (each + 1) / 2, "a worker's sum")
  end
  return each * WORKERS
end)
