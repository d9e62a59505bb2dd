-- strings.lua - strings of 1 MiB through a channel with room for four.
-- SPDX-License-Identifier: MIT
--
-- Every string is a new one, cut out of a longer one with string.sub: were the
-- same few sent again and again, they would be copied only the first time. Such
-- a cut is, in every Lua version, one memcpy into a new string.
--
-- Beside it the floor: each string has to be copied into the message and out of
-- it, so the floor is the same cut and two more like it, in one task. Like what
-- is sent, these pay for the new string's memory and its collection too: in a
-- session as well, for the main program's memory comes from the C library,
-- which at times gives each string's pages back to the system, and then takes
-- ten times as long. A step is one string, the figure counts bytes.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local SIZE = 1024 * 1024
local STARTS = 1000 -- how many different strings are cut out of the source
local WARM = 32 -- steps before the clock starts: pages are slow at first

-- A string in which nothing comes twice, for Lua 5.1, 5.2 and LuaJIT keep
-- equal strings only once.
local function make_source()
  local numbers, length = {}, 0
  while length < SIZE + STARTS do
    numbers[#numbers + 1] = string.format("%08d", #numbers)
    length = length + 8
  end
  return table.concat(numbers)
end

local function cut(source, i)
  local start = i % STARTS + 1
  return source:sub(start, start + SIZE - 1)
end

local function produce(n, channel)
  local source = make_source()
  for i = 1, n do
    channel:send(cut(source, i))
  end
end

local function consume(n, channel)
  for _ = 1, WARM do
    channel:receive()
  end
  local start = casting.now()
  local bytes = 0
  for _ = 1, n do
    bytes = bytes + #channel:receive()
  end
  assert(bytes == n * SIZE)
  return casting.now() - start
end

local function cut_and_copy_twice(n)
  local source = make_source()
  local copies = {} -- kept: LuaJIT would not make a string that nobody wants
  local start
  for i = 1, n + WARM do
    start = i == WARM + 1 and casting.now() or start
    local text = cut(source, i)
    copies[1], copies[2] = text:sub(2), text:sub(3)
  end
  assert(#copies[1] == SIZE - 1)
  return casting.now() - start
end

bench.places(function(place, session)
  bench.figure {
    name = "1 MiB strings, " .. place,
    unit = "B/s",
    each = SIZE,
    run = function(n)
      local channel = casting.channel(4)
      local producer = session(1):spawn(produce, n + WARM, channel)
      local seconds = session(2):spawn(consume, n, channel):await()
      producer:await()
      return seconds
    end,
    floor = {
      name = "cut, two copies",
      run = function(n)
        return session(1):spawn(cut_and_copy_twice, n):await()
      end,
    },
  }
end)
