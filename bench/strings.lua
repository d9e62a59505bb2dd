-- strings.lua - strings of 1 MiB through a channel with room for four.
-- SPDX-License-Identifier: MIT
--
-- Beside it the floor: each string has to be copied into the message and out of
-- it, so it is compared with two copies of such a string. They are made with
-- string.sub, which in every Lua version is one memcpy into a new string; like
-- what is sent, they pay for the new string's memory and its collection too. A
-- step is one string, the figure counts bytes.

local casting = require "casting"
local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")

local SIZE = 1024 * 1024

-- Eight strings, for Lua 5.1, 5.2 and LuaJIT keep equal strings only once.
local function make_strings()
  local strings = {}
  for i = 1, 8 do
    local unit = "casting moves strings " .. i .. " "
    strings[i] = unit:rep(math.ceil(SIZE / #unit)):sub(1, SIZE)
  end
  return strings
end

local function produce(n, channel)
  local strings = make_strings()
  for i = 1, n do
    channel:send(strings[i % 8 + 1])
  end
end

local function consume(n, channel)
  channel:receive() -- the strings are made now
  local start = casting.now()
  local bytes = 0
  for _ = 1, n do
    bytes = bytes + #channel:receive()
  end
  assert(bytes == n * SIZE)
  return casting.now() - start
end

local strings = make_strings()

local function copy_twice(n)
  local start = bench.now()
  local bytes = 0
  for i = 1, n do
    local text = strings[i % 8 + 1]
    bytes = bytes + #text:sub(2) + #text:sub(3)
  end
  assert(bytes > 0)
  return bench.now() - start
end

bench.places(function(place, session)
  bench.figure {
    name = "1 MiB strings, " .. place,
    unit = "B/s",
    each = SIZE,
    run = function(n)
      local channel = casting.channel(4)
      local producer = session(1):spawn(produce, n + 1, channel)
      local seconds = session(2):spawn(consume, n, channel):await()
      producer:await()
      return seconds
    end,
    floor = { name = "two copies", run = copy_twice },
  }
end)
