-- semaphores.lua - a million permits for 1,000 tasks in four sessions: never
-- more than there are places, in order, and none is lost with its holder.
-- SPDX-License-Identifier: MIT
--
-- What holds permits is counted by a channel as well, with room for as many
-- places as the semaphore has: whoever holds a permit has put its places in
-- there, and finds room. The order is seen where there is one place only. Then
-- whoever has it was first in the queue, and a task of the same session that
-- comes after it cannot pass it while it is on its way. See lib/kit.lua.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed, scale = kit.arguments()
if scale < 1 then kit.scale = scale * scale end
local random = kit.generator(seed)

local SESSIONS, EACH = 4, 250

-- Runs in each session: `each` tasks that acquire `n` permits in turn. Returns
-- how many they have got.
local function crowd(semaphore, truth, each, n, seed)
  local casting = require "casting"
  local size, last, got, out = semaphore:size(), 0, 0, 0
  local function enter(permit, weight)
    assert(permit:held())
    for _ = 1, weight do
      assert(truth:try_send(true), "more are held than there are")
    end
  end
  local function leave(permit, weight)
    for _ = 1, weight do assert(truth:try_receive()) end
    assert(permit:release())
  end
  local tasks = {}
  for i = 1, each do
    local random = require "kit".generator(seed + i)
    tasks[i] = casting.spawn(function()
      for _ = 1, n do
        local weight = size == 1 and 1 or random(3)
        last = last + 1
        local number = last
        local permit = semaphore:acquire(weight)
        out = out + 1
        assert(size > 1 or number == out, "out of order")
        enter(permit, weight)
        if random(20) == 1 then casting.yield() end
        leave(permit, weight)
        got = got + 1
      end
    end)
  end
  casting.all(tasks)
  return got
end

local function orderly(size, total)
  local semaphore, truth = casting.semaphore(size), casting.channel(size)
  local n, tasks, sessions = math.ceil(total / SESSIONS / EACH), {}, {}
  for i = 1, SESSIONS do
    sessions[i] = casting.session()
    tasks[i] = sessions[i]:spawn(crowd, semaphore, truth, EACH, n,
      random(1000000))
  end
  local got = 0
  for i = 1, SESSIONS do
    got = got + kit.join(tasks[i], "a crowd", 600)
    sessions[i]:close()
  end
  kit.check(got == n * SESSIONS * EACH, "got %d permits", got)
  kit.check(semaphore:available() == size, "%d of %d places are left",
    semaphore:available(), size)
  return got
end

-- A task that acquires until it is cancelled, and may be so anywhere. What it
-- holds then ends with it.
local function mortal(semaphore, truth, counts, seed)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  local got = 0
  local function pause()
    if random(4) == 1 then casting.sleep(0.001) else casting.yield() end
  end
  local function once()
    local weight, limit = random(3), nil
    if random(3) == 1 then limit = random() / 1000 end
    local permit = semaphore:acquire(weight, limit)
    if not permit then return end
    got = got + 1
    for _ = 1, weight do
      assert(truth:try_send(true), "more are held than there are")
    end
    local ok, e = pcall(pause)
    for _ = 1, weight do assert(truth:try_receive()) end
    if not ok then error(e, 0) end
    if random(50) == 1 then error("a bug", 0) end
    assert(permit:release())
  end
  local ok, e = pcall(function() while true do once() end end)
  counts:try_send(got)
  if not ok then error(e, 0) end
end

local function mourned(size, rounds)
  local semaphore, truth = casting.semaphore(size), casting.channel(size)
  local counts = casting.channel(math.huge)
  local sessions, tasks = {}, {}
  local function spawn(i)
    local home = (i - 1) % SESSIONS + 1
    local task = sessions[home]:spawn(mortal, semaphore, truth, counts,
      random(1000000))
    tasks[i] = task
  end
  for i = 1, SESSIONS do sessions[i] = casting.session() end
  for i = 1, 10 * SESSIONS do spawn(i) end
  local function check(i)
    local ok, e = tasks[i]:join(60)
    kit.check(ok ~= nil, "a task did not end: %s", tasks[i]:status())
    kit.check(casting.is_cancelled(e) or e == "a bug", "%s", tostring(e))
  end
  for _ = 1, rounds do
    local i = random(#tasks)
    if random(20) == 1 then
      local home = (i - 1) % SESSIONS + 1
      sessions[home]:close()
      sessions[home] = casting.session()
      for k = home, #tasks, SESSIONS do
        check(k)
        spawn(k)
      end
    else
      tasks[i]:cancel()
      check(i)
      spawn(i)
    end
    if random(5) == 1 then casting.sleep(0.001) end
  end
  for i = 1, #tasks do tasks[i]:cancel() end
  for i = 1, #tasks do check(i) end
  for i = 1, SESSIONS do sessions[i]:close() end
  kit.check(semaphore:available() == size, "%d of %d places are left",
    semaphore:available(), size)
  kit.check(#truth == 0, "%d were not given back", #truth)
  local got = 0
  for n in function() return counts:try_receive() end do got = got + n end
  return got
end

local min, max = casting.threads()
casting.threads(math.max(2, min), math.max(4, max))
local total = orderly(7, kit.scaled(1000000, 2000))
total = total + orderly(1, kit.scaled(100000, 2000))
local dead = mourned(5, kit.scaled(2000, 50))
print(("semaphores: %d permits, and %d of tasks that died"):format(total, dead))
