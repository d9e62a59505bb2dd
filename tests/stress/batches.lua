-- batches.lua - batches and single messages over one channel, in all mixtures:
-- each message arrives once, those of one sender in order, and a send_all that
-- is cut tells how many have gone.
-- SPDX-License-Identifier: MIT
--
-- Senders send lists or single messages, with timeouts or without; receivers
-- take many or one, some are cancelled; at the end the channel is closed, now
-- and then in the middle. See lib/kit.lua.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed, scale = kit.arguments()
if scale < 1 then kit.scale = scale * scale end
local random = kit.generator(seed)

-- Sends numbers, id * 10^7 + i, and returns which have gone: a list of
-- {first, last}.
local function produce(ch, id, n, seed, timed)
  local random = require "kit".generator(seed)
  local gone, i = {}, 1
  local function item(k)
    local v = id * 10000000 + k
    return random(9) == 1 and {v} or v
  end
  while i <= n do
    local count = math.min(random(3) == 1 and 1 or random(40), n - i + 1)
    local timeout = timed and random(3) == 1 and random() / 2000 or nil
    local ok, why, sent
    if count == 1 and random(2) == 1 then
      ok, why = ch:send(item(i))
      sent = ok and 1 or 0
    else
      local list = {}
      for k = 1, count do list[k] = item(i + k - 1) end
      ok, why, sent = ch:send_all(list, timeout)
      if ok then sent = count end
    end
    if sent > 0 then gone[#gone + 1] = {i, i + sent - 1} end
    if why == "closed" then return gone end
    assert(ok or why == "timeout" and timeout)
    i = i + count
  end
  return gone
end

-- Receives until the end. `list`, of the same session, gets what has come, also
-- if the task is cancelled.
local function consume(ch, seed, out)
  local random = require "kit".generator(seed)
  local list = {}
  out:send "begun"
  local function keep(v)
    if type(v) == "table" then v = v[1] end
    list[#list + 1] = v
  end
  local ok, why = pcall(function()
    while true do
      local way = random(3)
      local got, word
      if way == 1 then
        got, word = ch:receive(random(2) == 1 and random() / 1000 or nil)
        if got ~= nil then keep(got) end
      else
        got, word = ch:receive_many(random(50),
          way == 2 and random() / 1000 or nil)
        for _, v in ipairs(got or {}) do keep(v) end
      end
      if word == "closed" then return end
    end
  end)
  require "casting".shield(function() out:send(list) end)
  if not ok then error(why, 0) end
end

local total = 0

local function round(apart, capacity, producers, consumers, n, how)
  local ch, out = casting.channel(capacity), casting.channel(math.huge)
  local sessions, senders, receivers = {}, {}, {}
  local function spawn(...)
    if not apart then return casting.spawn(...) end
    sessions[#sessions + 1] = casting.session()
    return sessions[#sessions]:spawn(...)
  end
  for i = 1, consumers do
    receivers[i] = spawn(consume, ch, random(1000000), out)
  end
  -- A task that is cancelled before it has begun would have nothing to tell.
  for _ = 1, consumers do assert(out:receive(100) == "begun") end
  for i = 1, producers do
    senders[i] = spawn(produce, ch, i, n, random(1000000), how == "timed")
  end
  if how == "cancelled" then
    for i = 2, consumers do
      casting.sleep(random() / 500)
      receivers[i]:cancel()
    end
  elseif how == "closed" then
    casting.sleep(random() / 200)
    ch:close()
  end
  local expected, count = {}, 0
  for i = 1, producers do
    for _, range in ipairs(kit.join(senders[i], "a sender")) do
      for k = range[1], range[2] do
        expected[i * 10000000 + k] = true
        count = count + 1
      end
    end
  end
  ch:close()
  for _ = 1, consumers do
    local last = {}
    for _, v in ipairs((assert(out:receive(100)))) do
      local id = math.floor(v / 10000000)
      kit.check(expected[v], "%s: %d came twice, or was not sent", how, v)
      kit.check(v > (last[id] or 0), "%s: %d after %d", how, v, last[id] or 0)
      last[id], expected[v] = v, nil
    end
  end
  local lost = next(expected)
  kit.check(lost == nil, "%s: %s never came", how, tostring(lost))
  for i = 1, consumers do receivers[i]:join() end
  for _, session in ipairs(sessions) do session:close() end
  total = total + count
end

casting.threads(2, 4)
for _, apart in ipairs {false, true} do
  for _, capacity in ipairs {0, 1, 7, 64, math.huge} do
    for _, how in ipairs {"plain", "timed", "cancelled", "closed"} do
      round(apart, capacity, 1, 1, kit.scaled(4000, 20), how)
      round(apart, capacity, 5, 1, kit.scaled(800, 5), how)
      round(apart, capacity, 1, 5, kit.scaled(4000, 20), how)
      round(apart, capacity, 6, 4, kit.scaled(800, 5), how)
    end
  end
end
print(("batches: %d messages, each once and in order"):format(total))
