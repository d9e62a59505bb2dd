-- 223: casting.map did not look at results while it waited for the next item of
-- a channel: a failure was not seen, and who sent the next item after the call
-- of `progress` only, waited for ever.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local function fail() error("at once", 0) end
local function double(n) return 2 * n end

for _, batch in ipairs {1, 3} do
  local source = casting.channel(math.huge)
  source:send(1)
  local t = casting.spawn(casting.map, source, fail,
    {sessions = 1, batch = batch})
  local ok, e = t:join(helper.LONG)
  assert(ok == false and e.index == 1 and e.error == "at once", tostring(e))

  source = casting.channel()
  local done = casting.channel(math.huge)
  local sender = casting.spawn(function()
    for i = 1, 4 do
      source:send(i)
      if i < 4 then done:receive() end
    end
    source:close()
  end)
  t = casting.spawn(casting.map, source, double, {sessions = 2, batch = batch,
    progress = function(n) done:send(n) end})
  local results
  ok, results = t:join(helper.LONG)
  assert(ok, tostring(results))
  assert(results.n == 4)
  for i = 1, 4 do assert(results[i] == 2 * i) end
  assert(sender:join(helper.LONG))

  -- All of it, in order, with no more on the way than may be.
  source = casting.channel(2)
  local sent = 0
  sender = casting.spawn(function()
    for i = 1, 100 do
      source:send(i)
      sent = i
    end
    source:close()
  end)
  local most = 0
  results = casting.map(source, double, {sessions = 2, batch = batch,
    window = 3, progress = function(n) most = math.max(most, sent - n) end})
  assert(results.n == 100 and sender:join(helper.LONG))
  for i = 1, 100 do assert(results[i] == 2 * i) end
  assert(most <= 3 * batch + 4, most)
end

-- A channel that is closed, or is closed without an item.
local source = casting.channel()
source:close()
assert(casting.map(source, double).n == 0)
