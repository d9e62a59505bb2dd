-- counting.lua - Savina's counting actor.
-- SPDX-License-Identifier: MIT
--
-- One actor asks another to count up, many times, and then for the number. A
-- step is a message.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox

local function counter(box, reply)
  local count = 0
  local word = box:receive()
  while word == "up" do
    count = count + 1
    word = box:receive()
  end
  reply:send(count)
end

local function producer(n, box, reply)
  for _ = 1, n do
    box:send("up")
  end
  box:send("get")
  return (reply:receive())
end

lib.measure("counting", "messages/s", function(n, spawn)
  local box, reply = mailbox(), mailbox(1)
  local other = spawn(1, counter, box, reply)
  check(spawn(0, producer, n, box, reply):await(), n, "the count")
  other:await()
  return n
end)
