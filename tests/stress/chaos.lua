-- chaos.lua - sessions, tasks and channels that are made, cancelled, closed,
-- killed and starved of memory at random, while messages go through a core that
-- is left alone: none of those is lost, doubled or overtaken by one of the same
-- sender, and memory stays flat.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/chaos.lua [SEED] [SECONDS]     (2 seconds by default)

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local helper = require "helper"
local casting = require "casting"

local seed = kit.arguments()
local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
local seconds = tonumber(arg[2]) or 2
local random = kit.generator(seed)
local failures = casting.channel(math.huge)
casting.on_error(failures) -- what the victims fail with is no concern here

-- -- those that survive ------------------------------------------------------

-- A producer numbers its messages, and select sends each one of two ways, both
-- through relays in sessions of their own, to the main program. There each
-- number must come once, and those of one way in order.
local stop, first, second, last = casting.channel(), casting.channel(),
  casting.channel(16), casting.channel(math.huge)
local core = {casting.session(), casting.session(), casting.session()}
local survivors = {
  core[1]:spawn(function()
    local c, n = require "casting", 0
    while not stop:closed() do
      n = n + 1
      c.select{{first, n, "long"}, {second, n, "short"}}
      if n % 256 == 0 then c.sleep(0.001) end
    end
    first:close()
    return n
  end),
  core[2]:spawn(function()
    local n = 0
    for v, way in first do
      second:send(v, way)
      n = n + 1
    end
    second:close()
    return n
  end),
  core[3]:spawn(function()
    for v, way in second do last:send(v, way) end
    last:close()
  end),
}

-- -- those that do not -------------------------------------------------------

local bodies = {
  "while true do ch:send({n, tostring(n)}) n = n + 1 end",
  "for v in ch do n = n + 1 end",
  "while true do c.select{ch, {ch, n}, timeout = 0.001} end",
  "c.sleep(0.002) error('on purpose')",
  "c.with_timeout(0.001, function() while true do ch:receive() end end)",
  "c.shield(c.sleep, 0.002) while true do c.yield() end",
  "while true do pcall(ch.receive, ch) end",
  "table.sort({3, 2, 1}, function(a, b) ch:receive() return a < b end)",
  "coroutine.wrap(function() for v in ch do n = n + 1 end end)()",
  "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
  "while true do local ok, e = pcall(function() local t = {} " ..
    "while true do t[#t + 1] = {#t, ch} end end) c.yield() end",
  "ch:send(('x'):rep(3000000)) ch:send(('y'):rep(3000000))",
  "local list = {} for i = 1, 1e5 do list[i] = {i} end ch:send(list)",
  "local big = c.pack(('x'):rep(1e6)) while true do ch:send(big) end",
  "c.scope(function(s) for i = 1, 9 do s:spawn(c.sleep, 0.001 * i) end " ..
    "s:spawn(error, 'on purpose') end)",
  "local s = c.session() s:spawn('return 1'):join() s:close()",
  "c.spawn(function() c.sleep(100) end):join(0.001)",
  "for i = 1, 20 do c.after(0.001) end ch:close()",
  "return ch, n",
}
bodies[#bodies + 1] = "while true do end"
for i, body in ipairs(bodies) do bodies[i] = helper.loops(body) end

local sessions, tasks, channels = {}, {}, {}
local counts = {spawned = 0, cancelled = 0, closed = 0, sessions = 0,
  failed = 0, memory = 0}

-- If it does not close, what its tasks do is to be seen.
local function close(session, when)
  local ok = session:close(30 * factor)
  if not ok then io.stderr:write(casting.report(1000), "\n") end
  kit.check(ok, "%s did not close%s", session:name(), when)
end

local function some(list)
  return #list > 0 and list[random(#list)] or nil
end

local actions = {
  function()
    if #sessions >= 6 then return end
    counts.sessions = counts.sessions + 1
    sessions[#sessions + 1] = casting.session{memory = 4e6, tasks = 50,
      cpu = random(4) == 1 and 0.05 or nil}
  end,
  function()
    -- More than its session may have, for whoever receives it.
    local ch = channels[random(8)]
    if ch and random(20) == 1 then ch:try_send(("z"):rep(8000000)) end
  end,
  function()
    channels[random(8)] = casting.channel(random(3) - 1)
  end,
  function()
    local session, ch = some(sessions), channels[random(8)]
    if not session or not ch then return end
    local text = "local ch, n = ... local c = require 'casting' " ..
      bodies[random(#bodies)]
    local ok, task = pcall(session.spawn, session, text, ch, 1)
    if ok then
      counts.spawned = counts.spawned + 1
      tasks[random(100)] = task
    end
  end,
  function()
    local task = tasks[random(100)]
    if task and task:cancel "chaos" then
      counts.cancelled = counts.cancelled + 1
    end
  end,
  function()
    local ch = channels[random(8)]
    if ch and random(4) == 1 and ch:close() then
      counts.closed = counts.closed + 1
    end
  end,
  function()
    local ch = channels[random(8)]
    if ch then ch:try_send(random(100)) end
    if ch then ch:try_receive() end
  end,
  function()
    local session = some(sessions)
    if session and random(10) == 1 then session:cancel "all" end
  end,
  function()
    if #sessions == 0 or random(10) > 1 then return end
    local session = table.remove(sessions, random(#sessions))
    -- Or only its handle goes; what is left of its tasks is cancelled.
    if random(4) > 1 then
      close(session, "")
    else
      session:cancel "left alone"
    end
  end,
  function()
    local task = tasks[random(100)]
    if task then task:join(0) end
  end,
  function()
    local session = some(sessions)
    if session then pcall(session.stats, session) end
  end,
  function() casting.sleep(0.0005) end,
}

local function resident()
  local file = io.open "/proc/self/statm"
  if not file then return 0 end
  local pages = file:read "*l":match "%d+ (%d+)"
  file:close()
  return pages * 4 / 1024
end

-- -- the run -----------------------------------------------------------------

local began, got = casting.now(), 0
local next, ahead = 1, {} -- all below `next` came, and those in `ahead`
local latest = {long = 0, short = 0}

local function arrive(v, way)
  kit.check(v >= next and not ahead[v], "message %d came twice", v)
  kit.check(v > latest[way], "message %d was overtaken", v)
  latest[way] = v
  ahead[v] = true
  while ahead[next] do
    ahead[next] = nil
    next = next + 1
  end
  got = got + 1
end

local function drain()
  while true do
    local v, way = last:try_receive()
    if not v then return end
    arrive(v, way)
  end
end

local function look_at_failures()
  while true do
    local failure = failures:try_receive()
    if not failure then return end
    counts.failed = counts.failed + 1
    if tostring(failure.error):find "memory" then
      counts.memory = counts.memory + 1
    end
  end
end

-- The most that was resident in each fifth of the run.
local peaks, rounds = {0, 0, 0, 0, 0}, 0
while casting.now() - began < seconds do
  for _ = 1, 50 do actions[random(#actions)]() end
  drain()
  look_at_failures()
  -- A handle is small, whatever hangs on it: Lua would collect it late.
  rounds = rounds + 1
  if rounds % 100 == 0 then collectgarbage() end
  local fifth = math.floor((casting.now() - began) / seconds * 5) + 1
  if fifth <= 5 then peaks[fifth] = math.max(peaks[fifth], resident()) end
end
for _, session in ipairs(sessions) do
  close(session, " at the end")
end
stop:close()
local sent = kit.join(survivors[1], "the producer")
kit.join(survivors[2], "the relay")
kit.join(survivors[3], "the last relay")
drain()
kit.check(got == sent and next == sent + 1, "%d messages of %d arrived", got,
  sent)
-- What a short run has at its beginning says nothing.
local early = math.max(peaks[1], peaks[2])
kit.check(seconds < 60 or math.max(peaks[4], peaks[5]) <= early * 1.15 + 8,
  "memory grew: %s MB", table.concat(peaks, ", "))
print(("chaos: %d messages; %d sessions, %d tasks, %d cancelled, %d closed, " ..
  "%d failed (%d for memory); MB: %.0f %.0f %.0f %.0f %.0f"):format(got,
  counts.sessions, counts.spawned, counts.cancelled, counts.closed,
  counts.failed, counts.memory, peaks[1], peaks[2], peaks[3], peaks[4],
  peaks[5]))
