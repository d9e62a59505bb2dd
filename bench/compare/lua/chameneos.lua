-- chameneos.lua - Savina's chameneos.
-- SPDX-License-Identifier: MIT
--
-- A hundred creatures of three colours go to a mall, which pairs whoever comes.
-- The two learn each other's colour, and change their own if they differ. A
-- step is a meeting.
--
-- The mall never waits for a creature: each waits for at most one answer, for
-- which there is room.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox

local CREATURES = 100

local function mall(n, box, replies)
  for _ = 1, n do
    local a, red = box:receive()
    local b, blue = box:receive()
    replies[a]:send(blue)
    replies[b]:send(red)
  end
  for _ = 1, #replies do
    local a = box:receive()
    replies[a]:close()
  end
end

local function creature(me, box, reply)
  local colour, meetings = me % 3, 0
  box:send(me, colour)
  local other = reply:receive()
  while other do
    meetings = meetings + 1
    if other ~= colour then
      colour = 3 - colour - other
    end
    box:send(me, colour)
    other = reply:receive()
  end
  return meetings
end

lib.measure("chameneos", "meetings/s", function(n, spawn)
  local box, replies, tasks = mailbox(), {}, {}
  for i = 1, CREATURES do
    replies[i] = mailbox(1)
  end
  local other = spawn(0, mall, n, box, replies)
  for i = 1, CREATURES do
    tasks[i] = spawn(i, creature, i, box, replies[i])
  end
  local sum = 0
  for i = 1, CREATURES do
    sum = sum + tasks[i]:await()
  end
  other:await()
  check(sum, 2 * n, "the number of meetings")
  return n
end)
