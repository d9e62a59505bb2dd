-- 195: A monitor with a channel of the program's kept that channel, with all in
-- it, as long as the task ran, even if it was of somebody else, and the session
-- that had made the monitor had closed. In a sandbox it ends with that session.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local LONG = helper.LONG

local server = casting.session():spawn("require 'casting'.sleep(1e6)")
local outer = casting.session{sandbox = true, memory = 64e6}
local left = outer:spawn(function(server, long) -- luacheck: ignore
  local c = require "casting"
  local function memory()
    collectgarbage()
    collectgarbage()
    return c.self():session():stats().memory
  end
  local before
  for _ = 1, 6 do
    local s = c.session()
    s:spawn([[
      local server, c = ..., require "casting"
      local a = c.channel(math.huge)
      for i = 1, 20 do a:send(("x"):rep(50000) .. i) end
      for i = 1, 10 do server:monitor(a) end
      local own = server:monitor()
      own:try_send(a)
      a:send(own)
    ]], server):await(long)
    s:close(long)
    s = nil -- luacheck: ignore
    before = before or memory()
    collectgarbage()
  end
  return memory() - before
end, server, LONG):await(LONG)
assert(left < 300000, left)

-- Whose session goes on is told; the other's place in the channel is free.
local ends = casting.channel(math.huge)
local function watch(server, ends) server:monitor(ends) end
local one = casting.session{sandbox = true}
local two = casting.session{sandbox = true}
one:spawn(watch, server, ends):await(LONG)
two:spawn(watch, server, ends):await(LONG)
one:close(LONG)
server:cancel()
server:join(LONG)
local task, ok = ends:receive(LONG)
assert(task == server and ok == false)
assert(#ends == 0)
two:close(LONG)

-- Tasks that end while the session closes.
for _ = 1, math.ceil(200 / helper.slow) do
  local home, watcher = casting.session(), casting.session{sandbox = true}
  local gate = casting.channel()
  local tasks = {}
  for i = 1, 10 do
    tasks[i] = home:spawn(function(g) g:receive() end, gate)
  end
  watcher:spawn(function(of, to)
    for i = 1, #of do of[i]:monitor(to) end
  end, tasks, ends):await(LONG)
  local closing = casting.spawn(function() watcher:close(LONG) end)
  gate:close()
  for i = 1, 10 do assert(tasks[i]:join(LONG)) end
  assert(closing:join(LONG))
  assert(#ends <= 10)
  while #ends > 0 do ends:receive(LONG) end
  home:close(LONG)
end
outer:close(LONG)
