-- exactly_once.lua - many producers and consumers over one channel: every
-- message arrives once, and each sender's messages keep their order.
-- SPDX-License-Identifier: MIT
--
-- Topologies: tasks of one session; sessions on one thread; sessions on
-- several. Channels: unbuffered, small, unbounded. See lib/kit.lua.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed, scale = kit.arguments()
-- ThreadSanitizer takes more than its share of time for each longjmp of Lua.
if scale < 1 then kit.scale = scale * scale end
local random = kit.generator(seed)

-- Sends id, 1 ... id, n; now and then lets others run.
local function produce(ch, id, n, seed)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  for i = 1, n do
    local payload = random(8)
    if payload == 1 then
      payload = ("p"):rep(random(200))
    elseif payload == 2 then
      payload = {id, {i}}
    end
    assert(ch:send(id, i, payload))
    if random(50) == 1 then casting.yield() end
  end
  return n
end

-- Receives until the end. Returns, for each producer, the list of numbers.
local function consume(ch, producers, seed)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  local seen = {}
  for i = 1, producers do seen[i] = {} end
  for id, i, payload in ch do
    local list = seen[id]
    list[#list + 1] = i
    if type(payload) == "table" then
      assert(payload[1] == id and payload[2][1] == i, "a mixed-up payload")
    elseif type(payload) == "string" then
      assert(payload == ("p"):rep(#payload), "a broken payload")
    end
    if random(50) == 1 then casting.yield() end
  end
  return seen
end

local total = 0

local function round(topology, capacity, producers, consumers, n)
  local ch = casting.channel(capacity)
  local sessions = {}
  local function spawn(...)
    if topology == "one session" then return casting.spawn(...) end
    -- Some sessions hold several of the tasks.
    local session
    if #sessions > 0 and random(3) == 1 then
      session = sessions[random(#sessions)]
    else
      session = casting.session()
      sessions[#sessions + 1] = session
    end
    return session:spawn(...)
  end
  local senders, receivers = {}, {}
  for i = 1, math.max(producers, consumers) do
    if i <= consumers then
      receivers[i] = spawn(consume, ch, producers, random(1000000))
    end
    if i <= producers then
      senders[i] = spawn(produce, ch, i, n, random(1000000))
    end
  end
  for i = 1, producers do
    kit.check(kit.join(senders[i], "a producer") == n, "lost a send")
  end
  kit.check(ch:close() == true, "closed by somebody else")
  local where = ("%s, capacity %s, %d to %d"):format(topology,
    tostring(capacity), producers, consumers)
  local arrived = {}
  for p = 1, producers do arrived[p] = {} end
  for c = 1, consumers do
    local seen = kit.join(receivers[c], "a consumer")
    for p = 1, producers do
      local last = 0
      for _, i in ipairs(seen[p]) do
        kit.check(i > last, "%s: %d after %d of sender %d", where, i, last, p)
        last = i
        kit.check(not arrived[p][i], "%s: %d of sender %d came twice", where,
          i, p)
        arrived[p][i] = true
      end
    end
  end
  for p = 1, producers do
    for i = 1, n do
      kit.check(arrived[p][i], "%s: %d of sender %d never came", where, i, p)
    end
  end
  total = total + producers * n
  for _, session in ipairs(sessions) do session:close() end
end

local min, max = casting.threads()
for _, topology in ipairs {"one session", "one thread", "threads"} do
  if topology == "one thread" then
    casting.threads(1, 1)
  else
    casting.threads(math.max(2, min), math.max(4, max))
  end
  for _, capacity in ipairs {0, 1, 7, 64, math.huge} do
    round(topology, capacity, 1, 1, kit.scaled(6000, 20))
    round(topology, capacity, 8, 1, kit.scaled(800, 5))
    round(topology, capacity, 1, 8, kit.scaled(6000, 20))
    round(topology, capacity, 6, 6, kit.scaled(1000, 5))
    round(topology, capacity, 30, 20, kit.scaled(200, 2))
  end
end
print(("exactly_once: %d messages, each once and in order"):format(total))
