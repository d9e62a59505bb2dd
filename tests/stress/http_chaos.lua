-- http_chaos.lua - servers, clients and websockets that are reset, cancelled,
-- given up, closed and sent nonsense at random, in sessions that close; beside
-- them clients that look at each answer of a server which all of them use. To
-- those nothing wrong is answered, and nothing is missing. In the end there is
-- no connection, task or descriptor left.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/http_chaos.lua [SEED] [SECONDS]    (2 seconds by default)
--
-- From a minute on it also looks at the memory, which must stay flat.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local casting = require "casting"
local has_http = pcall(require, "casting.http")
if not has_http then
  print "http_chaos: skipped, there is no casting.http"
  os.exit(0)
end
local webtalk, webwild = require "webtalk", require "webwild"
local fs, net = require "casting.fs", require "casting.net"

local seed = kit.arguments()
local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
local seconds = tonumber(arg[2]) or 2
local random = kit.generator(seed)
local failures = casting.channel(math.huge)
casting.on_error(failures) -- what handlers and victims fail with is no concern

local function descriptors()
  local pipe = io.popen "ls /proc/$PPID/fd 2>/dev/null | wc -l"
  local n = pipe and tonumber((pipe:read "*a":gsub("%s", "")))
  if pipe then pipe:close() end
  return n ~= 0 and n or nil
end

-- Megabytes that the process has.
local function memory()
  local file = io.open "/proc/self/status"
  local all = file and file:read "*a"
  if file then file:close() end
  local kilobytes = all and all:match "VmRSS:%s*(%d+)"
  return kilobytes and tonumber(kilobytes) / 1024
end

-- What runs in another session, where the modules of these tests are elsewhere.
local function call(path, module, name, ...)
  package.path = path
  return require(module)[name](...)
end
local function spawn(session, ...)
  return session:spawn(call, package.path, ...)
end

-- The set that is polled stays, and so does what lets a server refuse.
do
  local l = assert(net.listen("127.0.0.1", 0))
  local a = assert(net.connect(l:name()))
  assert(l:accept()):close()
  a:close()
  l:close()
end
local before = descriptors()

-- -- those that survive ------------------------------------------------------

local root = assert(fs.tempdir())
assert(fs.write(root .. "/file", webtalk.text_of(50000, 7)))
local address = webwild.address()
local listener = assert(net.listen(address, 0))
local _, port = listener:name()
local stop, wrong = casting.channel(), casting.channel(100)
local core = {casting.session(), casting.session()}
local servers, talkers = {}, {}
for i, session in ipairs(core) do
  servers[i] = spawn(session, "webtalk", "serve", listener, root)
  for k = 1, 2 do
    talkers[#talkers + 1] = spawn(session, "webtalk", "talk", address,
      port, seed + 10 * i + k, stop)
  end
end
talkers[#talkers + 1] = casting.spawn(webtalk.talk, address, port, seed + 99,
  stop)

-- -- those that do not -------------------------------------------------------

local wild = assert(net.listen(address, 0))
local _, wild_port = wild:name()
local ports = {port, wild_port, wild_port}
local sessions, alone, tasks = {}, {}, {}
local counts = {spawned = 0, cancelled = 0, sessions = 0}

local function close(session)
  local ok = session:close(60 * factor)
  if not ok then io.stderr:write(casting.report(1000), "\n") end
  kit.check(ok, "%s did not close", session:name())
end

local function some(list)
  return #list > 0 and list[random(#list)] or nil
end

local function act(...)
  local session = some(sessions)
  if not session then return end
  local ok, task = pcall(spawn, session, ...)
  if ok then
    counts.spawned = counts.spawned + 1
    tasks[random(30)] = task
  end
end

local actions = {
  function()
    if #sessions >= 5 then return end
    counts.sessions = counts.sessions + 1
    sessions[#sessions + 1] = casting.session {tasks = 200,
      memory = random(3) == 1 and 6e6 or nil}
  end,
  function()
    if random(3) > 1 then return end
    act("webwild", "serve", wild, {limit = random(50), grace = 0.01,
      header = 0.03, idle = 0.03, timeout = 0.03, body = random(200000)})
  end,
  function() act("webwild", "attack", address, ports, random(1e6), wrong) end,
  function() act("webwild", "attack", address, ports, random(1e6), wrong) end,
  function()
    local several = random(10) == 1 and 2 or nil
    act("webwild", "roll", address, random(1e6), several, wrong)
  end,
  function()
    local task = tasks[random(30)]
    if task and random(3) == 1 and task:cancel "chaos" then
      counts.cancelled = counts.cancelled + 1
    end
  end,
  function()
    local session = some(sessions)
    if session and random(30) == 1 then session:cancel "all" end
  end,
  function()
    if #sessions == 0 or random(20) > 1 then return end
    local session = table.remove(sessions, random(#sessions))
    if random(4) > 1 then
      close(session)
    else
      session:cancel "left alone" -- what a task spawns meanwhile goes on
      alone[#alone + 1] = session
    end
  end,
}

-- -- the run -----------------------------------------------------------------

local function look()
  -- A failure that nobody takes keeps its task, and so its connections.
  while failures:try_receive() do end -- luacheck: ignore
  for _, task in ipairs(talkers) do
    if task:status() == "failed" then kit.join(task, "a client") end
  end
  local what = wrong:try_receive()
  kit.check(not what, "%s", tostring(what))
end

local began, peak = casting.now(), nil
while casting.now() - began < seconds do
  actions[random(#actions)]()
  casting.sleep(0.002)
  look()
  if #alone > 5 then close(table.remove(alone, 1)) end
  if not peak and casting.now() - began > seconds / 2 then peak = memory() end
end
local last = memory()

stop:close()
local asked = 0
for i, task in ipairs(talkers) do
  asked = asked + kit.join(task, "client " .. i, 120 * factor)
end
kit.check(asked > #talkers, "nothing was asked")
wild:close()
listener:close()
for _, task in ipairs(servers) do kit.join(task, "a server", 60 * factor) end
for _, list in ipairs {sessions, alone} do
  for _, session in ipairs(list) do close(session) end
end
for _, session in ipairs(core) do
  local left = #session:tasks()
  kit.check(left == 0, "%d tasks are left\n%s", left, casting.report(100))
  close(session)
end
look()

for _, list in ipairs {tasks, sessions, talkers, servers, core, alone} do
  for k in pairs(list) do list[k] = nil end
end
local left
local deadline = casting.now() + 30 * factor
repeat
  collectgarbage()
  collectgarbage()
  casting.sleep(0.02)
  left = descriptors()
until not before or left <= before or casting.now() > deadline
kit.check(not before or left <= before, "%s descriptors are left, of %s",
  tostring(left), tostring(before))
fs.remove(root, {tree = true})
if seconds >= 60 and peak and factor == 1 then
  kit.check(last < 1.5 * peak + 60,
    "memory has grown from %.0f MB to %.0f MB", peak, last)
end
print(("http_chaos: %d answers; %d tasks, %d cancelled, %d sessions; %d MB")
  :format(asked, counts.spawned, counts.cancelled, counts.sessions,
    math.floor(last or 0)))
