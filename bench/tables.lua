-- tables.lua - a record with nested tables through a buffered channel.
-- SPDX-License-Identifier: MIT
--
-- Beside it the floor: what a recursive copy of the same table costs in plain
-- Lua. A step is one table.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local function make_table(id)
  return { id = id, name = "item", values = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 },
    nested = { a = 1, b = { c = "x" } } }
end

local function produce(n, channel, item)
  for _ = 1, n do
    channel:send(item)
  end
end

local function consume(n, channel)
  local start = casting.now()
  for _ = 1, n do
    channel:receive()
  end
  return casting.now() - start
end

local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local new = {}
  for k, v in pairs(value) do
    new[copy(k)] = copy(v)
  end
  return new
end

local function copy_many(n)
  local item = make_table(1)
  local start = bench.now()
  for _ = 1, n do
    copy(item)
  end
  return bench.now() - start
end

bench.places(function(place, session)
  bench.figure {
    name = "tables, " .. place,
    unit = "messages/s",
    run = function(n)
      local channel = casting.channel(1024)
      local consumer = session(2):spawn(consume, n, channel)
      local producer = session(1):spawn(produce, n, channel, make_table(1))
      local seconds = consumer:await()
      producer:await()
      return seconds
    end,
    floor = { name = "copy in Lua", run = copy_many },
  }
end)
