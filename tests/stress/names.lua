-- names.lua - names that are looked up at random, by tasks that give up, are
-- cancelled, or whose sessions close, many of them for the same names; while
-- others, which are left alone, get an answer each time, and the right one.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/names.lua [SEED] [SECONDS]       (2 seconds by default)
--
-- It runs itself again with a library before the C library's (slownames.c), so
-- that no name server is asked. Without a C compiler only names are looked up
-- that need none, and they are quick.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local helper = require "helper"
local casting = require "casting"
local net = casting.net

local seed = kit.arguments()
local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
local seconds = tonumber(arg[2]) or 2

local slow = os.getenv "NAMES_BASE"
if not slow then
  local library = helper.library "tests/lua/slownames.c"
  if library then
    helper.environment = ("NAMES_BASE=%s LD_PRELOAD=%s ASAN_OPTIONS=" ..
      '"$ASAN_OPTIONS verify_asan_link_order=0"'):format(library, library)
    local status = os.execute(("%s tests/stress/names.lua %s %s"):format(
      helper.command(), tostring(seed), tostring(seconds)))
    os.remove(library)
    os.exit((status == true or status == 0) and 0 or 1)
  end
end

local random = kit.generator(seed)
local failures = casting.channel(math.huge)
casting.on_error(failures) -- what the victims fail with is no concern here

local function pick_name()
  if not slow then return ({"localhost", "::1", "127.0.0.1"})[random(3)] end
  return ("nap%d.%d.test"):format(random(20) - 1, random(10))
end

-- -- those that are left alone -----------------------------------------------

local stop = casting.channel()

local function look_up(seed, slow, stop)
  local c = require "casting"
  local state, n = seed, 0
  local function random(k)
    state = (state * 16807) % 2147483647
    return math.floor(state / 2147483647 * k) + 1
  end
  while not stop:closed() do
    local kind, name, wanted = random(4), "localhost", "127.0.0.1"
    if kind == 1 then
      name, wanted = "0::1", "::1"
    elseif kind > 2 and slow then
      name = ("nap%d.%d.test"):format(random(5) - 1, random(40))
    end
    local list, why
    if random(8) == 1 then
      table.sort({2, 1}, function() -- in place
        list, why = c.net.resolve(name)
        return false
      end)
    else
      list, why = c.net.resolve(name)
    end
    assert(list, why)
    assert(list[1] == wanted or name == "localhost" and list[1] == "::1",
      list[1])
    n = n + 1
  end
  return n
end

local core = {casting.session(), casting.session()}
local steady = {}
for i = 1, 6 do
  local session = core[i % 3]
  if session then
    steady[i] = session:spawn(look_up, seed + i, slow, stop)
  else
    steady[i] = casting.spawn(look_up, seed + i, slow, stop)
  end
end

-- -- the victims -------------------------------------------------------------

local bodies = {
  "while true do net.resolve(name, {timeout = 0.001}) end",
  "while true do net.resolve(name) end",
  "while true do pcall(net.resolve, name) c.yield() end",
  "while true do c.with_timeout(0.002, net.resolve, name) end",
  "c.shield(net.resolve, name)",
  "table.sort({2, 1}, function() return net.resolve(name) == 1 end)",
  "for i = 1, 40 do c.spawn(net.resolve, name, {timeout = i / 4000}) end",
  "for i = 1, 40 do c.spawn(net.resolve, (name:gsub('test', i .. '.test'))) " ..
    "end",
  "local t = c.spawn(net.resolve, name) c.yield() t:cancel() t:join()",
  "coroutine.wrap(function() net.resolve(name) error 'after it' end)()",
}

local sessions, tasks = {}, {}
local counts = {spawned = 0, cancelled = 0, sessions = 0}

local function close(session)
  local ok = session:close(30 * factor)
  if not ok then io.stderr:write(casting.report(1000), "\n") end
  kit.check(ok, "%s did not close", session:name())
end

local actions = {
  function()
    if #sessions >= 5 then return end
    counts.sessions = counts.sessions + 1
    sessions[#sessions + 1] = casting.session{tasks = 60,
      memory = random(3) == 1 and 3e6 or nil}
  end,
  function()
    local session = #sessions > 0 and sessions[random(#sessions)]
    if not session then return end
    local ok, task = pcall(session.spawn, session, "local name = ... " ..
      "local c = require 'casting' local net = c.net " ..
      bodies[random(#bodies)], pick_name())
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
  function() -- the main program, too
    local list, why = net.resolve(pick_name(), {timeout = random() / 200})
    kit.check(list or why == "timeout", "the main program: %s", tostring(why))
  end,
  function()
    if #sessions == 0 or random(10) > 1 then return end
    local session = table.remove(sessions, random(#sessions))
    if random(4) > 1 then close(session) else session:cancel "left alone" end
  end,
  function() casting.sleep(0.0005) end,
}

-- -- the run -----------------------------------------------------------------

local began = casting.now()
while casting.now() - began < seconds do
  actions[random(#actions)]()
  for i, task in ipairs(steady) do
    if task:status() == "failed" then kit.join(task, "lookup " .. i) end
  end
end

stop:close()
local n = 0
for i, task in ipairs(steady) do
  n = n + kit.join(task, "lookup " .. i, 60 * factor)
end
kit.check(n > #steady, "nothing was looked up")
for _, session in ipairs(sessions) do close(session) end
for _, session in ipairs(core) do close(session) end
print(("names: %d names; %d tasks, %d cancelled, %d sessions")
  :format(n, counts.spawned, counts.cancelled, counts.sessions))
