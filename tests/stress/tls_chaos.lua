-- tls_chaos.lua - connections with TLS that are read, written, half closed,
-- reset, moved and given up at random, by tasks that are cancelled and sessions
-- that close, while the certificates of the servers and what clients trust are
-- reloaded; other connections are left alone: on those no byte is lost, doubled
-- or changed. In the end no descriptor is left.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/tls_chaos.lua [SEED] [SECONDS]     (2 seconds by default)

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;./modules/tls/tests/?.lua;" .. package.path
local kit = require "kit"
local helper = require "helper"
local casting = require "casting"
local has_tls, tls = pcall(require, "casting.tls")
if not has_tls or not helper.has_children() then
  print "tls_chaos: skipped, there is no casting.tls, or no other program"
  os.exit(0)
end
local certs = require("certs").make()
local net = require "casting.net"

local seed = kit.arguments()
local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
local seconds = tonumber(arg[2]) or 2
local random = kit.generator(seed)
local failures = casting.channel(math.huge)
casting.on_error(failures) -- what the victims fail with is no concern here

local function descriptors()
  local pipe = io.popen "ls /proc/$PPID/fd 2>/dev/null | wc -l"
  local n = pipe and tonumber((pipe:read "*a":gsub("%s", "")))
  if pipe then pipe:close() end
  return n ~= 0 and n or nil
end

-- The certificates with which servers begin, and what they get later; both are
-- good for "localhost".
local identities = {
  {cert = certs.server.cert, key = certs.server.key},
  {cert = certs.second.cert, key = certs.second.key},
}
local function identity(i)
  local o = {server = true}
  for k, v in pairs(identities[i]) do o[k] = v end
  return o
end
local function trust(version)
  return {ca = certs.ca.cert, max = version}
end

local server_side = assert(tls.context(identity(1)))
local client_sides = {assert(tls.context(trust())),
  assert(tls.context(trust "1.2"))}

-- The set that is polled stays, and so does what OpenSSL opens once.
do
  local a, b = net.pair()
  local t = casting.spawn(function() return a:starttls(server_side) end)
  assert(b:starttls {context = client_sides[1], name = "localhost"})
  assert(t:await())
  a:close()
  b:close()
end
local before = descriptors()

-- -- those that survive ------------------------------------------------------

-- Frames of random sizes go to an echo server and come back.
local echo = assert(net.listen("127.0.0.1", 0, {tls = server_side}))
local _, echo_port = echo:name()
local stop = casting.channel()
local core = {casting.session(), casting.session()}

local function serve_echo(listener)
  return listener:serve(function(stream)
    while true do
      local s = stream:read()
      if not s or not stream:write(s) then break end
    end
  end, {handshake = 1000})
end

local function talk(port, seed, stop, context) -- luacheck: ignore
  local net = require "casting.net" -- luacheck: ignore
  local state = seed
  local function random(n) -- luacheck: ignore
    state = (state * 16807) % 2147483647
    return math.floor(state / 2147483647 * n) + 1
  end
  local function open()
    return assert(net.connect("localhost", port,
      {tls = {context = context, timeout = 1000}}))
  end
  local stream = open()
  local n = 0
  while not stop:closed() do
    n = n + 1
    local size = random(4) == 1 and random(100000) or random(200)
    local text = (string.char(96 + random(26))):rep(size) .. n .. "\n"
    assert(stream:write{("%d\n"):format(#text), {text}})
    local count = assert(stream:read "l")
    assert(tonumber(count) == #text, "another length came back")
    local back
    local how = random(3)
    if how == 1 then
      back = assert(stream:read(#text))
    elseif how == 2 then
      back = assert(stream:read "L")
    else
      -- A read that ends early takes nothing.
      local early, why = stream:read(#text + 1, 0.001)
      assert(early == nil and why == "timeout", why or "too much came back")
      back = assert(stream:read_until "\n") .. "\n"
    end
    assert(back == text, "something else came back")
    if random(10) == 1 then -- another connection, perhaps with this session
      assert(stream:shutdown())
      assert(stream:read "a" == "")
      stream:close()
      stream = open()
    end
  end
  assert(stream:shutdown())
  assert(stream:read "a" == "")
  stream:close()
  return n
end

local servers, talkers = {}, {}
for i, session in ipairs(core) do
  servers[i] = session:spawn(serve_echo, echo)
  for k = 1, 2 do
    talkers[#talkers + 1] = session:spawn(talk, echo_port, seed + 10 * i + k,
      stop, client_sides[k])
  end
end
talkers[#talkers + 1] = casting.spawn(talk, echo_port, seed + 99, stop,
  client_sides[2])

-- -- those that do not -------------------------------------------------------

local wild = assert(net.listen("127.0.0.1", 0, {tls = server_side}))
local _, wild_port = wild:name()
-- connect() is that of a client; l is the listener, s and k are contexts.
local bodies = {
  "while true do local s = l:accept() if not s then break end " ..
    "c.spawn(function() while s:read() do end s:close() end) end",
  "for s in l do s:write(('x'):rep(100000)) s:abort() end",
  "for s in l do s:write 'hello' s:shutdown() s:read('a', 0.01) end",
  "for s in l do ch:try_send(s) end",
  "for s in l do s:tls(0.002) ch:try_send(s) end",
  "l:serve(function(s) while s:read() do s:write 'y' end end, " ..
    "{handshake = 0.01})",
  "while true do local s = ch:receive() s:write('moved', 0.01) " ..
    "if not ch:try_send(s) then s:close() end end",
  "while true do local s = ch:receive() s:tls(0) s:close() end",
  "while true do local s = connect() if s then " ..
    "s:write(('y'):rep(3000000), 0.01) s:close() end c.sleep(0.001) end",
  "while true do local s = connect() if s then " ..
    "s:read('l', 0.005) if not ch:try_send(s) then s:abort() end end " ..
    "c.sleep(0.001) end",
  "local s = connect() while s and s:read() do end",
  "local s = connect() if s then c.spawn(function() while " ..
    "s:write(('z'):rep(70000)) do end end) c.spawn(function() " ..
    "while s:read() do end end) c.sleep(0.01) s:close() end",
  "local a, b = net.pair() c.spawn(function() a:starttls(s) end) " ..
    "b:starttls {context = k, name = 'localhost', timeout = 0.01}",
  "local a, b = net.pair() c.spawn(function() a:starttls(s) a:close() end) " ..
    "b:starttls {context = k, name = 'localhost'} b:read()",
  "local a, b = net.pair() c.spawn(function() a:starttls(s) end) " ..
    "b:write '\\22\\3\\1\\0\\5hello' b:read 'a'",
  "local a, b = net.pair() while true do c.select{ch, a, l, " ..
    "timeout = 0.002} b:write 'x' a:read() end",
  "c.with_timeout(0.005, function() for s in l do s:read 'a' end end)",
  "c.shield(function() local s = l:accept(0.002) if s then " ..
    "s:read(1, 0.002) end end)",
  "coroutine.wrap(function() for s in l do s:read(5) s:close() end end)()",
  "local s = connect() if s then local a, b = net.pair() " ..
    "c.spawn(function() s:copy(a) end) b:read(3) b:close() end",
  "local s = connect() ch:try_send(s) c.yield() pcall(s.read, s)",
  "while true do local t = c.spawn(connect) c.sleep(0.002) t:cancel() end",
}
for i, body in ipairs(bodies) do bodies[i] = helper.loops(body) end
local before_body = [[
  local ch, l, port, s, k = ...
  local c = require "casting"
  local net = require "casting.net"
  local function connect()
    return net.connect("localhost", port, {tls = k, timeout = 0.05})
  end
]]

local sessions, alone, tasks, channels = {}, {}, {}, {}
local counts = {spawned = 0, cancelled = 0, sessions = 0, reloads = 0}

local function close(session)
  local ok = session:close(30 * factor)
  if not ok then io.stderr:write(casting.report(1000), "\n") end
  kit.check(ok, "%s did not close", session:name())
end

local function some(list)
  return #list > 0 and list[random(#list)] or nil
end

local actions = {
  function()
    if #sessions >= 5 then return end
    counts.sessions = counts.sessions + 1
    sessions[#sessions + 1] = casting.session{tasks = 60,
      memory = random(3) == 1 and 3e6 or nil}
  end,
  function() channels[random(4)] = casting.channel(random(3) - 1) end,
  function()
    local session, ch = some(sessions), channels[random(4)]
    if not session or not ch then return end
    local text = before_body .. bodies[random(#bodies)]
    local ok, task = pcall(session.spawn, session, text, ch, wild, wild_port,
      server_side, client_sides[random(2)])
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
    local ch = channels[random(4)]
    if ch and random(6) == 1 then ch:close() end
  end,
  function()
    local ch = channels[random(4)]
    local s = ch and ch:try_receive()
    if s then s:close() end
  end,
  function()
    local session = some(sessions)
    if session and random(10) == 1 then session:cancel "all" end
  end,
  function()
    if #sessions == 0 or random(10) > 1 then return end
    local session = table.remove(sessions, random(#sessions))
    if random(4) > 1 then
      close(session)
    else
      session:cancel "left alone" -- what a task spawns meanwhile goes on
      alone[#alone + 1] = session
    end
  end,
  function()
    if random(3) > 1 then return end
    counts.reloads = counts.reloads + 1
    if random(2) == 1 then
      assert(server_side:reload(identity(random(2))))
    else
      local i = random(2)
      assert(client_sides[i]:reload(trust(i == 2 and "1.2" or nil)))
    end
  end,
  function() require("casting.tls.core").age(server_side, random(20000)) end,
  function() casting.sleep(0.0005) end,
  function() casting.sleep(0.0005) end,
}

-- -- the run -----------------------------------------------------------------

local began = casting.now()
while casting.now() - began < seconds do
  actions[random(#actions)]()
  -- A failure that nobody takes keeps its task, and so its sockets.
  while failures:try_receive() do end -- luacheck: ignore
  for _, task in ipairs(talkers) do
    if task:status() == "failed" then kit.join(task, "a connection") end
  end
end

stop:close()
local rounds = 0
for i, task in ipairs(talkers) do
  rounds = rounds + kit.join(task, "connection " .. i, 60 * factor)
end
kit.check(rounds > #talkers, "nothing was sent")
wild:close()
echo:close()
for _, task in ipairs(servers) do kit.join(task, "a server", 60 * factor) end
for _, session in ipairs(sessions) do close(session) end
for _, session in ipairs(alone) do close(session) end
for _, session in ipairs(core) do close(session) end

-- What lay in channels.
for _, list in ipairs {tasks, channels, sessions, talkers, servers, core} do
  for k in pairs(list) do list[k] = nil end
end
local deadline, left = casting.now() + 30 * factor
repeat
  collectgarbage()
  collectgarbage()
  casting.sleep(0.02)
  left = descriptors()
until not before or left <= before or casting.now() > deadline
kit.check(not before or left <= before, "%s descriptors are left, of %s",
  tostring(left), tostring(before))
require("certs").remove()
print(("tls_chaos: %d frames; %d tasks, %d cancelled, %d sessions, %d reloads")
  :format(rounds, counts.spawned, counts.cancelled, counts.sessions,
    counts.reloads))
