-- skynet.lua - a million tasks that add up their numbers.
-- SPDX-License-Identifier: MIT
--
-- A tree of tasks, ten children to each, a million leaves. Every task spawns
-- its children in its own session and sends the sum of what they send it to
-- its parent; leaves send their number. A step is a leaf. With several sessions
-- the ten trees below the root are in ten sessions.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local LEAVES = 1000000
local CHILDREN = 10

local function node(parent, number, size)
  if size == 1 then
    parent:send(number)
    return
  end
  local children = casting.channel()
  local part = size / CHILDREN
  for i = 0, CHILDREN - 1 do
    casting.spawn(node, children, number + i * part, part)
  end
  local sum = 0
  for _ = 1, CHILDREN do
    sum = sum + children:receive()
  end
  parent:send(sum)
end

local function add_up(n, results)
  local sum = 0
  for _ = 1, n do
    sum = sum + results:receive()
  end
  return sum
end

-- The root; a task only adds up what its children send.
local function grow(size, session)
  local result = casting.channel()
  local start = bench.now()
  local tasks = {}
  if size == 1 then
    tasks[1] = session(1):spawn(node, result, 0, size)
  else
    local part = size / CHILDREN
    for i = 0, CHILDREN - 1 do
      tasks[i + 1] = session(i + 1):spawn(node, result, i * part, part)
    end
  end
  local sum = session(1):spawn(add_up, #tasks, result):await()
  local seconds = bench.now() - start
  for _, task in ipairs(tasks) do
    task:await()
  end
  assert(sum == size * (size - 1) / 2, "wrong sum")
  return seconds
end

bench.places(function(place, session)
  bench.figure {
    name = "skynet, " .. place,
    unit = "leaves/s",
    steps = LEAVES,
    run = function(n)
      local size = 1
      while size < n do
        size = size * CHILDREN
      end
      return grow(size, session) * n / size
    end,
  }
end)
