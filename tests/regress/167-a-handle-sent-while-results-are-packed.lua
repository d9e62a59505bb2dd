-- 167: The first send of the handle of a task that has ended packs its results,
-- and a __save in them may wait. Meanwhile the task counted as packed: whoever
-- got its handle by another send was told "not enough memory" by a join. If
-- the first send was cancelled, all that joined elsewhere got that, for good.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local LONG = 60
local gate = casting.named("gate", 100)
local waits = casting.named("waits", 100)

-- Objects whose __save tells that it runs, and waits for a permit.
package.preload.gated = function()
  local C = {}
  C.__index = C
  function C.make(n) return setmetatable({n = n}, C) end
  function C:__save()
    local casting = require "casting" -- luacheck: ignore
    casting.named("waits"):send(true)
    assert(casting.named("gate"):receive(60))
    return C.make, self.n
  end
  return C
end
local gated = require "gated"

local session = casting.session()
local function join_there(task)
  return session:spawn(function(task) -- luacheck: ignore
    local ok, v = task:join(60)
    return ok, type(v) == "table" and v.n or v
  end, task):await(LONG)
end
local function check(...)
  local ok, n = ...
  assert(ok == true and n == 7, tostring(n))
end

local function ended()
  local task = casting.spawn(function() return gated.make(7) end)
  local ok, v = task:join(LONG)
  assert(ok and v.n == 7)
  return task
end

-- Two tasks send one handle; the first one packs when the second begins.
do
  local task, out = ended(), casting.channel(2)
  local function send() return out:send(task) end
  local first = casting.spawn(send)
  assert(waits:receive(LONG))
  local second = casting.spawn(send)
  casting.yield()
  casting.yield()
  local early = out:try_receive()
  if early then check(join_there(early)) end
  gate:send(true) -- the first gets it
  if not early then check(join_there((out:receive(LONG)))) end
  gate:send(true) -- what the second has packed counts no more
  assert(first:await(LONG) and second:await(LONG))
  check(join_there((out:receive(LONG))))
  local ok, v = task:join(LONG)
  assert(ok and v.n == 7)
  while waits:try_receive() do end
  while gate:try_receive() do end
end

-- The first sender is cancelled, or runs out of time.
for _, how in ipairs {"cancel", "timeout"} do
  local task, out = ended(), casting.channel(2)
  local sender = casting.spawn(function()
    if how == "cancel" then return out:send(task) end
    return casting.with_timeout(0.01, out.send, out, task)
  end)
  if how == "cancel" then
    assert(waits:receive(LONG))
    sender:cancel()
  end
  sender:join(LONG) -- a slow machine may be late before it packs
  assert(#out == 0)
  gate:send(true)
  check(join_there(task))
  while waits:try_receive() do end
end

-- A monitor, while it is packed. It packs as well, for those that are told.
do
  local task, out = ended(), casting.channel(2)
  local sender = casting.spawn(function() return out:send(task) end)
  assert(waits:receive(LONG))
  gate:send(true)
  gate:send(true)
  local ends = task:monitor(casting.channel(1 / 0))
  assert(sender:await(LONG))
  local same, ok, v = ends:receive(LONG)
  assert(same == task and ok and v.n == 7)
  check(join_there((out:receive(LONG))))
end

-- Readers in many sessions while it is packed again and again.
do
  local task = casting.spawn(function() return {n = 7} end)
  task:join(LONG)
  local ends = task:monitor(casting.channel(1 / 0))
  ends:receive(LONG)
  local full = casting.channel(0)
  local readers = {}
  for i = 1, 3 do
    readers[i] = casting.session():spawn(function(ends) -- luacheck: ignore
      local n = 0
      for task in ends do -- luacheck: ignore
        local ok, v = task:join(60)
        assert(ok and v.n == 7)
        n = n + 1
      end
      return n
    end, ends)
  end
  for _ = 1, 200 do
    task:monitor(ends)
    assert(not full:try_send(task))
    casting.yield()
  end
  ends:close()
  local n = 0
  for i = 1, 3 do n = n + readers[i]:await(LONG) end
  assert(n == 200, n)
end
session:close()
