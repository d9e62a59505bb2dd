-- idle.lua - a process with 100,000 waiting tasks in 1,000 sessions and nothing
-- to do sleeps: none of its threads runs, not even for a moment. Ten of the
-- sessions have threads of their own, of which one sleeps in C for ever.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/idle.lua [SEED] [SECONDS]     (2 seconds by default)
--
-- The kernel counts how often a thread has gone to sleep or was made to wait:
-- these counts stand still. A few seconds pass before that, in which threads of
-- the pool that are not needed any more end.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local helper = require "helper"

kit.arguments()
local seconds = tonumber(arg[2]) or 2
local SETTLE = 30 * helper.slow -- seconds
local RETIRED = 4 -- seconds after which those are gone that are not needed

if helper.version ~= "5.4" then
  print "idle: seen on 5.4 only; the threads are the same for all versions"
  return
end
if helper.tsan() then
  print "idle: skipped, ThreadSanitizer has a thread that wakes now and then"
  return
end
if not helper.has_children() or not io.open "/proc/self/task" then
  print "idle: no other program can be started here, or no /proc"
  return
end

local script = helper.spit(os.tmpname(), [[
  local casting = require "casting"
  local ch = casting.channel()
  local function wait(ch) ch:receive() end
  local sessions = {}
  for i = 1, 1000 do
    sessions[i] = casting.session {thread = i <= 10 and "own" or nil}
    sessions[i]:spawn(function(ch, wait)
      local c = require "casting"
      for _ = 2, 100 do c.spawn(wait, ch) end
      c.yield()
    end, ch, wait):await()
    sessions[i]:spawn(wait, ch)
  end
  sessions[1]:spawn(function()
    local found, bound = pcall(require, "bound") -- tests/modules/bound.c
    if found then bound.asleep(86400) end
  end)
  -- Somebody who will come, or this were a deadlock.
  casting.spawn(casting.sleep, 86400)
  io.stdout:write "ready\n"
  io.stdout:flush()
  ch:receive()
]])
local child = io.popen(("echo $$; exec %s %s"):format(helper.command(),
  script))
local pid = child:read "*l"
kit.check(child:read "*l" == "ready", "the child did not start")

local function switches()
  local pipe = io.popen(("cat /proc/%s/task/*/status"):format(pid))
  local sum, threads = 0, 0
  for line in pipe:lines() do
    local n = line:match "ctxt_switches:%s*(%d+)"
    if n then sum, threads = sum + tonumber(n), threads + 0.5 end
  end
  pipe:close()
  return sum, threads
end

-- How many switches there are in so many seconds, and ends of threads.
local function watch(time)
  local before, had = switches()
  os.execute("sleep " .. time)
  local after, threads = switches()
  return math.abs(after - before) + math.abs(threads - had), threads
end

local waited = 0
while watch(RETIRED) > 0 and waited < SETTLE do waited = waited + RETIRED end
local n, threads = watch(seconds)
os.execute("kill " .. pid)
child:close()
os.remove(script)
kit.check(n == 0, "%d switches in %g s of an idle process", n, seconds)
print(("idle: after %d s, no switch of any of %d threads in %g s"):format(
  waited + RETIRED, threads, seconds))
