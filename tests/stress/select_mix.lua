-- select_mix.lua - select on both sides, timeouts, try_*, random closes: what
-- was accepted arrives exactly once, what was refused never does.
-- SPDX-License-Identifier: MIT
--
-- See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed = kit.arguments()
local random = kit.generator(seed)

-- Offers id * 100000 + 1 ... n to random channels by random means. Returns the
-- number accepted by each channel and the list of what was refused in the end.
local function produce(channels, id, n, seed)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  local k = #channels
  local accepted, refused = {}, {}
  for c = 1, k do accepted[c] = {} end

  local function note(c, value)
    local list = accepted[c]
    list[#list + 1] = value
    return true
  end

  -- One attempt: true if accepted, false if not.
  local function attempt(value)
    local how = random(5)
    if how == 1 then
      local c = random(k)
      return channels[c]:send(value, c) and note(c, value)
    elseif how == 2 then
      local c = random(k)
      local ok, why = channels[c]:try_send(value, c)
      if ok then return note(c, value) end
      assert(why == "full" or why == "closed")
      return false
    end
    local cases, which = {}, {}
    for j = 1, random(4) do
      local c = random(k)
      which[j] = c
      cases[j] = random(6) > 1 and {channels[c], value, c} or false
    end
    if how == 3 then cases.timeout = 0 end
    if how >= 4 then cases.timeout = random() * 0.002 end
    local j, ok, why = casting.select(cases)
    if j == nil then
      assert(ok == "timeout")
      return false
    end
    if ok then return note(which[j], value) end
    assert(why == "closed")
    return false
  end

  for i = 1, n do
    local value = id * 100000 + i
    local tries = 0
    repeat
      tries = tries + 1
      local done = attempt(value)
      if not done and tries % 3 == 0 then casting.yield() end
    until done or tries > 30
    if tries > 30 then refused[#refused + 1] = value end
  end
  return accepted, refused
end

-- Receives by random means until every channel is closed and drained.
local function consume(channels, seed)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  local k, open = #channels, #channels
  local seen, shut = {}, {}
  for c = 1, k do seen[c] = {} end

  local function note(c, value, word)
    if value then
      assert(word == c, "came out of another channel")
      local list = seen[c]
      list[#list + 1] = value
    elseif word == "closed" then
      if not shut[c] then open = open - 1 end
      shut[c] = true
    else
      assert(word == "timeout" or word == "empty")
    end
  end

  while open > 0 do
    local how, c = random(5), random(k)
    if how == 1 then
      note(c, channels[c]:try_receive())
      casting.yield()
    elseif how == 2 then
      note(c, channels[c]:receive(random() * 0.002))
    else
      local cases, which = {}, {}
      for j = 1, random(5) do
        which[j] = random(k)
        cases[j] = not shut[which[j]] and channels[which[j]] or false
      end
      cases.timeout = how == 3 and 0 or random() * 0.002
      local j, value, word = casting.select(cases)
      if j == nil then
        assert(value == "timeout")
        if how == 3 then casting.yield() end
      else
        note(which[j], value, word)
      end
    end
  end
  return seen
end

-- Closes the channels, one after another, at random moments.
local function close(channels, gap, seed)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  local order = {}
  for c = 1, #channels do
    table.insert(order, random(#order + 1), channels[c])
  end
  for _, ch in ipairs(order) do
    casting.sleep(random() * gap)
    assert(ch:close() == true)
    assert(ch:close() == false)
  end
end

local sent, lost = 0, 0

local function round(topology, producers, consumers, n, gap)
  local channels, sessions = {}, {}
  for c = 1, 5 do
    channels[c] = casting.channel(({0, 0, 1, 5, math.huge})[c])
  end
  local function spawn(...)
    if topology == "one session" then return casting.spawn(...) end
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
  for i = 1, consumers do
    receivers[i] = spawn(consume, channels, random(1000000))
  end
  for i = 1, producers do
    senders[i] = spawn(produce, channels, i, n, random(1000000))
  end
  local closer
  if gap then closer = spawn(close, channels, gap, random(1000000)) end

  -- accepted[value] is the channel that took it.
  local accepted = {}
  for i = 1, producers do
    local taken, refused = kit.join(senders[i], "a producer")
    lost = lost + #refused
    kit.check(gap or #refused == 0 or #refused < n,
      "nothing was accepted by open channels")
    for c = 1, 5 do
      for _, value in ipairs(taken[c]) do
        kit.check(not accepted[value], "%d was accepted twice", value)
        accepted[value] = c
        sent = sent + 1
      end
    end
  end
  if closer then
    kit.join(closer, "the closer")
  else
    for c = 1, 5 do channels[c]:close() end
  end
  for i = 1, consumers do
    local seen = kit.join(receivers[i], "a consumer")
    for c = 1, 5 do
      local last = {}
      for _, value in ipairs(seen[c]) do
        kit.check(accepted[value] ~= nil, "%s: %d was refused or came twice",
          topology, value)
        kit.check(accepted[value] == c, "%d came by channel %d", value, c)
        accepted[value] = nil
        local id = math.floor(value / 100000)
        kit.check(value > (last[id] or 0), "%s: %d after %d by channel %d",
          topology, value, last[id] or 0, c)
        last[id] = value
      end
    end
  end
  local value, c = next(accepted)
  kit.check(value == nil, "%s: %s was accepted by channel %s and lost",
    topology, tostring(value), tostring(c))
  for _, session in ipairs(sessions) do session:close() end
end

local min, max = casting.threads()
for _, topology in ipairs {"one session", "one thread", "threads"} do
  if topology == "one thread" then
    casting.threads(1, 1)
  else
    casting.threads(math.max(2, min), math.max(4, max))
  end
  for _ = 1, kit.scaled(3) do
    round(topology, 4, 4, kit.scaled(200, 10))
    round(topology, 10, 3, kit.scaled(40, 5))
    round(topology, 3, 10, kit.scaled(80, 5))
  end
  for _ = 1, kit.scaled(8, 2) do
    round(topology, 1 + random(6), 1 + random(6), kit.scaled(120, 10), 0.004)
  end
end
print(("select_mix: %d messages once and in order, %d refused"):format(sent,
  lost))
