-- radix.lua - Savina's radix sort.
-- SPDX-License-Identifier: MIT
--
-- Numbers pass a row of actors, one for each of their 31 bits from the lowest
-- on. An actor passes numbers on in which its bit is 0, keeps the others and
-- passes them on after the last: what leaves the row is sorted. A step is a
-- number that goes through all of it.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox

local BITS = 31
local random = lib.random

local function source(n, output)
  local x = 1
  for _ = 1, n do
    x = random(x)
    output:send(x)
  end
end

local function stage(n, radix, input, output)
  local kept, count, double = {}, 0, 2 * radix
  for _ = 1, n do
    local v = input:receive()
    if v % double < radix then
      output:send(v)
    else
      count = count + 1
      kept[count] = v
    end
  end
  for i = 1, count do
    output:send(kept[i])
  end
end

local function sink(n, input)
  local last, sum = 0, 0
  for i = 1, n do
    local v = input:receive()
    if v < last then
      error("wrong result: number " .. i .. " is smaller than the one before")
    end
    last, sum = v, sum + v
  end
  return sum
end

lib.measure("radix sort", "values/s", function(n, spawn)
  local first = mailbox()
  local input, radix = first, 1
  for k = 1, BITS do
    local output = mailbox()
    spawn(k, stage, n, radix, input, output)
    input, radix = output, radix * 2
  end
  local sorted = spawn(BITS + 1, sink, n, input)
  spawn(0, source, n, first)
  local got = sorted:await()
  return n, nil, function()
    local sum, x = 0, 1
    for _ = 1, n do
      x = random(x)
      sum = sum + x
    end
    check(got, sum, "the sum of the numbers")
  end
end)
