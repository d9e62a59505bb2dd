-- neighbours.lua - a ticker beside a sandbox that is at one of its limits.
-- SPDX-License-Identifier: MIT
--
-- A session sleeps 5 ms again and again, while a sandbox computes for ever, or
-- works against its limit of memory, tasks, queued messages or sessions. The
-- figure is the greatest gap between two ticks, in milliseconds; beside it
-- stands that of the same ticker alone, in the same rounds.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"
local unpack = table.unpack or unpack -- luacheck: ignore

local LIMITS = { sandbox = true, memory = 1.6e7, cpu = 1e6, tasks = 1000 }
local PROGRAMS = {
  { "cpu", "while true do end" },
  { "memory", [[
    while true do
      local kept = {}
      pcall(function()
        while true do kept[#kept + 1] = ("x"):rep(1000) .. #kept end
      end)
    end]] },
  { "tasks", [[
    local c = require "casting"
    local function stay() c.sleep(0.05) end
    while true do
      if not pcall(c.spawn, stay) then c.sleep(0.001) end
    end]] },
  { "queue", [[
    local queue = require "casting".channel(math.huge)
    local text = ("x"):rep(1000)
    while true do
      while pcall(queue.send, queue, text) do end
      while queue:receive(0) do end
    end]] },
  { "sessions", [[
    local c = require "casting"
    while true do
      local kept = {}
      pcall(function()
        while true do kept[#kept + 1] = c.session {memory = 1e6} end
      end)
      for i = 1, #kept do kept[i]:close() end
    end]] },
}

-- Runs in the session that ticks. The greatest gap of n, in seconds.
local function tick(n)
  local casting = require "casting" -- luacheck: ignore
  local greatest, last = 0, casting.now()
  for _ = 1, n do
    casting.sleep(0.005)
    local now = casting.now()
    if now - last > greatest then greatest = now - last end
    last = now
  end
  return greatest
end

bench.places(function(place, session, word)
  if word == "same" then
    return -- a sandbox is another session
  end
  local ticks = bench.steps or math.max(1, math.ceil(bench.seconds * 1000))
  for _, program in ipairs(PROGRAMS) do
    local limit, source = program[1], program[2]
    local name = limit .. ", " .. place
    local gaps, alone, ratios = {}, {}, {}
    for round = 1, bench.raw and 1 or bench.rounds do
      alone[round] = session(1):spawn(tick, ticks):await() * 1e3
      local box = casting.session(LIMITS)
      box:spawn(source)
      gaps[round] = session(1):spawn(tick, ticks):await() * 1e3
      box:close()
      ratios[round] = gaps[round] / alone[round]
    end
    local gap, pair = bench.median(gaps), bench.pair_rate()
    bench.raw_line("neighbour of " .. name, gap, "ms", { steps = ticks,
      seconds = ticks * 0.005, pair = pair, floor = bench.median(alone) })
    bench.print("neighbour of " .. name,
      string.format("%.1f (worst %.1f) ms", gap, math.max(unpack(gaps))), "",
      pair, nil, { name = "alone", ratio = bench.median(ratios),
        figure = string.format("%.1f ms", bench.median(alone)) })
  end
end)
