-- services.lua - 100,000 calls of a service whose callers are cancelled at
-- random, and which is killed at random, in every way: each call ends in a way
-- that the manual names, with its own answer, and nothing waits for ever.
-- SPDX-License-Identifier: MIT
--
-- Callers count what has become of their calls. One that is cancelled may have
-- been in a call, which then has no outcome: so the sum may lack as many calls
-- as there were cancellations. See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed = kit.arguments()
local random = kit.generator(seed)

local SESSIONS, CALLERS = 3, 24
local reports = casting.channel(math.huge) -- of casts that fail on purpose
casting.on_error(reports)

-- What is served.
local function make()
  local casting = require "casting"
  local object, n = {}, 0
  function object.echo(_, ...)
    n = n + 1
    return ...
  end
  function object.nap(_, seconds, v)
    casting.sleep(seconds)
    return v
  end
  function object.fail(_, v) error(v, 0) end
  function object.die()
    casting.self():cancel "by itself"
    casting.yield()
  end
  function object.helped(_, v) -- waits for a task of its own
    return casting.spawn(function()
      casting.yield()
      return v
    end):await()
  end
  return object
end

-- Makes n calls, and counts their outcomes. `made` is sent what was counted,
-- also if the task is cancelled.
local function caller(service, n, seed, made)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  local counts = {begun = 0, ok = 0, timeout = 0, gone = 0, raised = 0}
  local function judge(mark, raises, ok, first, second)
    if ok and first then
      assert(not raises and second == mark, "another's answer")
      counts.ok = counts.ok + 1
    elseif ok then
      assert(second == "timeout" or second == "gone", second)
      counts[second] = counts[second] + 1
    elseif casting.is_cancelled(first) then
      error(first, 0)
    else
      assert(raises and (first == mark or
        first == "the method was cancelled: by itself") or
        tostring(first):match "its caller has left", first)
      counts.raised = counts.raised + 1
    end
  end
  local function once(i)
    local how, mark, svc = random(12), seed * 1000003 + i, service
    if random(4) == 1 then svc = service:within(random() / 500) end
    counts.begun = counts.begun + 1
    if how == 1 then
      judge(mark, true, pcall(svc.call, svc, "fail", mark))
    elseif how == 2 then
      judge(mark, true, pcall(svc.call, svc, "die"))
    elseif how == 3 then
      judge(mark, false, pcall(svc.call, svc, "nap", random() / 1000, mark))
    elseif how == 4 then
      judge(mark, false, pcall(svc.call, svc, "helped", mark))
    elseif how == 5 then
      local text = ("x"):rep(random(200))
      judge(text, false, pcall(svc.call, svc, "echo", text))
    elseif how == 6 then
      local ok, word = svc:cast(random(5) == 1 and "fail" or "echo", mark)
      assert(ok or word == "full" or word == "gone")
      counts.ok = counts.ok + 1
    else
      judge(mark, false, pcall(svc.call, svc, "echo", mark))
    end
    if random(50) == 1 then casting.yield() end
  end
  local ok, e = pcall(function() for i = 1, n do once(i) end end)
  made:try_send(counts.begun, counts.ok, counts.timeout, counts.gone,
    counts.raised)
  if not ok then error(e, 0) end
end

-- One way to end what serves: its task, or its session, or both.
local function kill(supervisor)
  local child = supervisor:which_children()[1]
  if not child.task then return end
  local how = random(3)
  if how > 1 then child.task:cancel "killed" end
  if how < 3 then
    local ok, e = pcall(function() child.task:session():close(0) end)
    kit.check(ok or tostring(e):match "closed", "%s", tostring(e))
  end
end

local function storm(options, total)
  options.child, options.capacity = true, 50
  local service = casting.service(make, options)
  local supervisor = casting.supervisor {intensity = math.huge,
    children = {{id = "service", service = service}}}
  local made = casting.channel(math.huge)
  local sessions, tasks, sums, cancelled, begun = {}, {}, {0, 0, 0, 0, 0}, 0, 0
  local each = math.max(1, math.floor(total / CALLERS / 10))
  for i = 1, SESSIONS do sessions[i] = casting.session() end
  local function spawn(i)
    begun = begun + each
    tasks[i] = sessions[i % SESSIONS + 1]:spawn(caller, service, each,
      random(1000000), made)
  end
  for i = 1, CALLERS do spawn(i) end
  while begun < total do
    local i = random(CALLERS)
    if random(3) == 1 then tasks[i]:cancel "at random" end
    if random(8) == 1 then kill(supervisor) end
    local ok, e = tasks[i]:join(60)
    kit.check(ok ~= nil, "a caller waits for ever\n%s", casting.report())
    kit.check(ok or casting.is_cancelled(e), "%s", tostring(e))
    if not ok then cancelled = cancelled + 1 end
    spawn(i)
  end
  for i = 1, CALLERS do
    local ok, e = tasks[i]:join(60)
    kit.check(ok ~= nil, "a caller waits for ever\n%s", casting.report())
    kit.check(ok or casting.is_cancelled(e), "%s", tostring(e))
  end
  for i = 1, SESSIONS do sessions[i]:close() end
  local n, ok, late, gone, raised = made:try_receive()
  while n do
    for k, v in ipairs {n, ok, late, gone, raised} do sums[k] = sums[k] + v end
    n, ok, late, gone, raised = made:try_receive()
  end
  local open = sums[1] - sums[2] - sums[3] - sums[4] - sums[5]
  kit.check(open >= 0 and open <= cancelled, "%d calls of %d have no outcome",
    open, sums[1])
  kit.check(supervisor:stop(60), "the supervisor does not stop")
  kit.check(select(2, service:call("echo", 1)) == "gone", "it is still there")
  return sums
end

local total = kit.scaled(100000, 1000)
local line = {}
for _, options in ipairs {{}, {concurrent = 4}, {cancel = true},
    {cancel = true, concurrent = 4}} do
  local sums = storm(options, total / 4)
  for k, v in ipairs(sums) do line[k] = (line[k] or 0) + v end
end
casting.on_error(nil)
print(("services: %d calls: %d answered, %d timeouts, %d gone, %d raised")
  :format((table.unpack or unpack)(line))) -- luacheck: ignore
