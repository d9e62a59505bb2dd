-- 209: Some of what lives as long as a handle was charged to no sandbox: the
-- struct of a packed message, the reason that a task was cancelled for, and, of
-- a session that has closed, the slab of 64 kB that the struct of an ended task
-- of its own lies in. Of the last, a sandbox could have many times its limit.
-- Nor was what the packer remembers while a __save waits.
-- still: a task that waits does so where it was told to.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local LONG = helper.LONG

local box = casting.session {sandbox = true, memory = 64e6}

-- How many bytes fn(i) takes, on average.
local prelude = [[
  local c, long = require "casting", ...
  local function measure(n, fn)
    local function memory()
      collectgarbage()
      collectgarbage()
      return c.self():session():stats().memory
    end
    local before = memory()
    for i = 1, n do
      fn(i)
      if i % 100 == 0 then collectgarbage() end
    end
    return (memory() - before) / n
  end
]]
local function run(body)
  local ok, v, w, x = box:spawn(prelude .. body, LONG):join(LONG)
  assert(ok, tostring(v))
  return v, w, x
end

local with, without = run [[
  local kept = {}
  local function cancelled(reason)
    return function(i)
      local task = c.spawn(c.sleep, long)
      task:cancel(reason)
      task:join(long)
      kept[#kept + 1] = task
    end
  end
  measure(200, cancelled())
  return measure(2000, cancelled(("x"):rep(240))), measure(2000, cancelled())
]]
assert(with - without > 150, with .. " " .. without)

-- A message of a packed one and a number, less the parts of it.
local both, outer, inner = run [[
  local queue, one = c.channel(math.huge), c.pack(1)
  local function both(i) queue:send(c.pack(i), i) end
  for i = 1, 3000 do queue:send(i) end
  while queue:try_receive() do end
  measure(500, both)
  both = measure(1000, both)
  local outer = measure(1000, function(i) queue:send(one, i) end)
  return both, outer, measure(1000, function(i) queue:send(one) end)
]]
assert(both - outer - inner > 20, both .. " " .. outer .. " " .. inner)

local each = run [[
  local kept = {}
  return measure(20, function(i)
    local session, channel = c.session(), c.channel(1)
    session:spawn(function(channel)
      local task = require("casting").spawn(function() end)
      channel:send(task)
      task:join()
    end, channel):join(long)
    kept[i] = channel:receive(long)
    assert(session:close(long))
  end)
]]
assert(each > 30000 or helper.has_plain_memory(), each)

-- What is sent to a session while the __save of a part of it waits.
local waiting = run [[
  local big, other, gate = {}, c.session(), c.channel()
  for i = 1, 20000 do big[i] = {} end
  local part = setmetatable({}, {__save = function()
    gate:receive()
    return function() end
  end})
  local task
  local bytes = measure(1, function()
    task = c.spawn(function() other:spawn(function() end, big, part):join() end)
    while task:status() ~= "waiting" do c.yield() end
  end)
  gate:close()
  task:join(long)
  return bytes
]]
assert(waiting > 1.4e6, waiting)
assert(box:close(LONG))
