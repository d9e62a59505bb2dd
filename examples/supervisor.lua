-- supervisor.lua - workers that crash at random, and no job that is lost.
-- SPDX-License-Identifier: MIT
--
-- A producer keeps sending jobs. Workers take them and crash now and then, in
-- the middle of one; their supervisor starts them again. What the workers do
-- and what happens to them is told on one channel, in order: so it is known
-- which job a worker had when it crashed, and that job is reported. Each job
-- is done exactly once, or reported exactly once.
--
-- How to run it:
--   ./dev run examples/supervisor.lua [JOBS [WORKERS [SEED]]]

local casting = require "casting"

local function whole(text, default)
  local n = tonumber(text or default)
  if n and n >= 1 and n % 1 == 0 then return n end
  io.stderr:write("supervisor: ", text, " is no whole number from 1 up\n",
    "usage: supervisor.lua [JOBS [WORKERS [SEED]]]\n")
  os.exit(2)
end

local JOBS, WORKERS = whole(arg[1], 2000), whole(arg[2], 4)
local SEED = whole(arg[3], 42)

local jobs, told = casting.channel(16), casting.channel(math.huge)

local function work(id, jobs, told, seed)
  for n in jobs do
    told:send("took", id, n)
    -- One job in twenty is too much; which ones depends on the seed.
    if (n * 7919 + seed) % 20 == 0 then error("job " .. n .. " exploded", 0) end
    told:send("done", id, n)
  end
end

local children = {}
for i = 1, WORKERS do
  children[i] = {id = i, start = work, args = {i, jobs, told, SEED},
    restart = "transient"}
end
local supervisor = casting.supervisor {name = "workers", events = told,
  intensity = JOBS, period = 3600, children = children}

casting.spawn(function()
  for n = 1, JOBS do jobs:send(n) end
  jobs:close()
end)

local has, times, done, reported = {}, {}, 0, 0
local function settle(n)
  times[n] = (times[n] or 0) + 1
end
while done + reported < JOBS do
  local event, id, n = told:receive()
  if event == "took" then
    has[id] = n
  elseif event == "done" then
    has[id], done = nil, done + 1
    settle(n)
  elseif event == "failed" then
    settle(has[id])
    has[id], reported = nil, reported + 1
  end
end
supervisor:stop()

for n = 1, JOBS do
  assert(times[n] == 1, "job " .. n .. " was lost or doubled")
end
print(("%d jobs: %d done, %d reported"):format(JOBS, done, reported))
print("check: each exactly once")
