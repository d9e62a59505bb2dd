-- barber.lua - Savina's sleeping barber.
-- SPDX-License-Identifier: MIT
--
-- Customers come into a waiting room with a hundred seats, or go away if it is
-- full and come back when somebody has left. The barber takes them in turn, and
-- sleeps when there is none. A step is a haircut.
--
-- The room waits for nobody: a customer's channel and the barber's have room
-- for the one word that they wait for. At most five hundred are about.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox
local casting = require "casting"

local SEATS, ABOUT, WORK = 100, 500, 10
local work, now = lib.work, lib.now

local function customer(me, box, room, street)
  room:send("enter", me)
  while box:receive() == "full" do
    street:send("full", me)
    -- The street sends it in again.
  end
  street:send("done", me)
end

local function waiting_room(boxes, room, barber)
  local first, last, asleep = 1, 0, false
  local seats = {}
  while true do
    local word, who = room:receive()
    if word == "enter" then
      if asleep then
        asleep = false
        barber:send(who)
      elseif last - first + 1 < SEATS then
        last = last + 1
        seats[last] = who
      else
        boxes[who]:send("full")
      end
    elseif word == "next" then
      if first <= last then
        barber:send(seats[first])
        seats[first] = nil
        first = first + 1
      else
        asleep = true
      end
    else
      barber:close()
      return
    end
  end
end

local function cut(boxes, room, barber)
  local cuts = 0
  room:send("next")
  local who = barber:receive()
  while who do
    work(who, WORK)
    cuts = cuts + 1
    boxes[who]:send("cut")
    room:send("next")
    who = barber:receive()
  end
  return cuts
end

-- Makes the customers; a customer's place among the boxes is used again.
local function town(n, boxes, room, street)
  local free, away = {}, {}
  local made, done = 0, 0
  for i = 1, #boxes do
    free[i] = i
  end
  local start = now()
  while done < n do
    if made < n and #free > 0 then
      local me = table.remove(free)
      made = made + 1
      casting.spawn(customer, me, boxes[me], room, street)
    else
      local word, who = street:receive()
      if word == "full" then
        away[#away + 1] = who
        if #away == made - done then -- nobody is left to make room
          room:send("enter", table.remove(away))
        end
      else
        done = done + 1
        free[#free + 1] = who
        local back = table.remove(away)
        if back then
          room:send("enter", back)
        end
      end
    end
  end
  local seconds = now() - start
  room:send("stop")
  return done, seconds
end

lib.measure("sleeping barber", "haircuts/s", function(n, spawn)
  local boxes, room, barber, street = {}, mailbox(), mailbox(1), mailbox()
  for i = 1, ABOUT do
    boxes[i] = mailbox(1)
  end
  local here = spawn(0, waiting_room, boxes, room, barber)
  local cuts = spawn(1, cut, boxes, room, barber)
  local done, seconds = spawn(0, town, n, boxes, room, street):await()
  check(done, n, "the number of customers")
  here:await()
  check(cuts:await(), n, "the number of haircuts")
  return n, seconds
end)
