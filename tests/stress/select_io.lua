-- select_io.lua - select over channels, streams, a listener and numbers, with
-- timeouts, cancels, reads by others and moves: every byte and message arrives
-- once, every connection is accepted, and no select is told of nothing.
-- SPDX-License-Identifier: MIT
--
-- See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed = kit.arguments()
local random = kit.generator(seed)

-- Serves connections by selects only, until the channel `orders` closes: what
-- it reads it counts. Returns how many connections it has had, the bytes that
-- it has read, and how many orders it has got.
local function serve(listener, orders, seed)
  local casting = require "casting"
  local net = casting.net
  local random = require "kit".generator(seed)
  local streams, served, bytes, norders, open = {}, 0, 0, 0, true

  local function read(i, alone)
    local s, why = streams[i]:read(nil, 0)
    if s then
      bytes = bytes + #s
    elseif why ~= "timeout" then
      streams[i]:close()
      table.remove(streams, i)
    else
      assert(not alone, "a select has told of nothing")
    end
  end

  while open or #streams > 0 do
    local cases = {listener, open and orders or false}
    local first = #cases
    for i, s in ipairs(streams) do
      cases[first + i] = random(3) == 1 and {net.wait, s:fd(), "r"} or s
    end
    -- Sends that nobody takes, in between.
    if random(4) == 1 then
      cases[#cases + 1] = {casting.channel(), {random(100)}}
    end
    if not open then cases.timeout = 0 end
    if open and random(5) == 1 then cases.timeout = random() * 0.002 end
    if random(20) == 1 then
      -- The same in a task that is stopped while it waits, or before.
      local t = casting.spawn(casting.select, cases)
      if random(2) == 1 then casting.yield() end
      t:cancel()
      local ok, i, v = t:join() -- it may have been faster
      if ok and i == 2 and v then norders = norders + 1 end
      if ok and i == 2 and not v then open = false end
    else
      local i, v = casting.select(cases)
      if i == 1 then
        local s = listener:accept(0) -- other sessions may be faster
        if s then
          served = served + 1
          streams[#streams + 1] = s
        end
      elseif i == 2 then
        if v == nil then
          open = false
        else
          norders = norders + 1
        end
      elseif i then
        read(i - first, true)
      elseif not open then
        casting.sleep(0.0005)
      end
    end
    -- Reads that nothing has told of.
    if #streams > 0 and random(3) == 1 then read(random(#streams)) end
  end
  return served, bytes, norders
end

-- Makes connections and writes to them, in pieces. Returns the bytes.
local function connect(host, port, n, seed)
  local casting = require "casting"
  local net = casting.net
  local random = require "kit".generator(seed)
  local bytes, streams = 0, {}
  for _ = 1, n do
    local s
    if net.socket then
      s = assert(net.socket(host, port, {}))
      assert(net.connect(s, host, port))
    else
      s = assert(net.connect(host, port))
    end
    streams[#streams + 1] = s
    for _ = 1, random(20) do
      local i = random(#streams)
      local size = random(4) == 1 and random(100000) or random(10)
      assert(streams[i]:write(("x"):rep(size)))
      bytes = bytes + size
      if random(4) == 1 then casting.yield() end
    end
    if random(3) == 1 then table.remove(streams, random(#streams)):close() end
  end
  for _, s in ipairs(streams) do s:close() end
  return bytes
end

-- Two ends of a pair that are owned by tasks which hand their end on, when no
-- select waits for it, and read it in between.
local function pass(inbox, outbox, n, seed)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  local bytes = 0
  while true do
    local s = inbox:receive()
    if not s then break end
    local peer = casting.spawn(function()
      local i = casting.select {s, timeout = random() * 0.001}
      return i
    end)
    if random(2) == 1 then casting.yield() end
    local got = s:read(nil, 0)
    if got then bytes = bytes + #got end
    local ok = pcall(outbox.send, outbox, s)
    peer:join()
    if not ok then
      n = n + 1
      outbox:send(s)
    end
  end
  outbox:close()
  return bytes, n
end

local connections, total, refused = 0, 0, 0

local function round(nservers, nclients, n)
  local net = casting.net
  local listener = assert(net.listen("127.0.0.1", 0, {}))
  local host, port = listener:name()
  local orders = casting.channel()
  local sessions, servers, clients = {}, {}, {}
  local function session()
    sessions[#sessions + 1] = casting.session()
    return sessions[#sessions]
  end
  for i = 1, nservers do
    local s = random(3) == 1 and sessions[1] or session()
    servers[i] = s:spawn(serve, listener, orders, random(1000000))
  end
  for i = 1, nclients do
    clients[i] = session():spawn(connect, host, port, n, random(1000000))
  end
  for _ = 1, n do
    orders:send(random(100))
    if random(3) == 1 then casting.sleep(0.0002) end
  end
  local written = 0
  for i = 1, nclients do
    written = written + kit.join(clients[i], "a client")
  end
  -- All connections lie in the backlog at least.
  while casting.select {listener, timeout = 0} == 1 do casting.sleep(0.001) end
  orders:close()
  local served, bytes, got = 0, 0, 0
  for i = 1, nservers do
    local a, b, c = kit.join(servers[i], "a server")
    served, bytes, got = served + a, bytes + b, got + c
  end
  kit.check(served == nclients * n, "%d connections of %d", served,
    nclients * n)
  kit.check(bytes == written, "%d bytes of %d", bytes, written)
  kit.check(got == n, "%d orders of %d", got, n)
  connections, total = connections + served, total + bytes
  listener:close()
  for _, s in ipairs(sessions) do s:close() end
end

local function moves(n)
  local net = casting.net
  local a, b = net.pair()
  local one, two, three = casting.channel(), casting.channel(),
    casting.channel(1)
  local s, t = casting.session(), casting.session()
  local first = s:spawn(pass, one, two, 0, random(1000000))
  local second = t:spawn(pass, two, three, 0, random(1000000))
  for _ = 1, n do
    b:write(("y"):rep(random(50)))
    one:send(a)
    a = three:receive()
  end
  one:close()
  local x, m = kit.join(first, "the first")
  local y, k = kit.join(second, "the second")
  b:close()
  local rest = a:read "a"
  a:close()
  local got = x + y + #rest
  kit.check(got == b:stats().written, "%d bytes of %d came through moves", got,
    b:stats().written)
  refused = refused + m + k
  s:close()
  t:close()
end

local min, max = casting.threads()
for _, threads in ipairs {1, 4} do
  casting.threads(threads == 1 and 1 or math.max(2, min),
    threads == 1 and 1 or math.max(threads, max))
  for _ = 1, kit.scaled(4) do
    round(1 + random(4), 1 + random(4), kit.scaled(30, 5))
    moves(kit.scaled(60, 10))
  end
end
print(("select_io: %d connections, %d bytes, %d moves refused meanwhile")
  :format(connections, total, refused))
