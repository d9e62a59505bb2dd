-- A finalizer that received a handle while one was just being made took the
-- reference that was meant for it: the program crashed.
-- still: calls do not nest any deeper.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"

local function work(n)
  local casting = require "casting"
  local feed, side = casting.channel(math.huge), casting.channel(math.huge)
  local proxy = rawget(_G, "newproxy") -- tables have no __gc in 5.1
  local function litter()
    local function receive() side:try_receive() end
    if proxy then
      getmetatable(proxy(true)).__gc = receive
    else
      setmetatable({}, {__gc = receive})
    end
  end
  for _ = 1, n do
    feed:send(casting.channel(), casting.channel())
    side:send(casting.channel())
  end
  local kept = {}
  for i = 1, n do
    for _ = 1, 5 do litter() end
    kept[i % 100] = {feed:receive()}
    kept[i % 100][1]:close()
  end
  return n
end

assert(casting.session():spawn(work, 20000):await() == 20000)
