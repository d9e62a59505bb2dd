-- 172: Who was told of the end of a task, as by a monitor, is not given what
-- moves in its results. If the task was sent to another session after that, a
-- join there did not get it either, though it would have without the monitor.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local net = require "casting.net"

local LONG = 60
local session = casting.session()

local function make() return (assert(net.pair())) end

local function ended()
  local task = casting.spawn(make)
  task:join(LONG)
  return task
end

local ways = {
  ["no monitor"] = ended,
  ["a monitor before the end"] = function()
    local task = casting.spawn(make)
    local monitor = task:monitor()
    task:join(LONG)
    return task, monitor
  end,
  ["a monitor after the end"] = function()
    local task = ended()
    return task, task:monitor()
  end,
  ["a monitor that was received"] = function()
    local task = ended()
    task:monitor():receive(LONG)
    return task
  end,
  ["a monitor of another session"] = function()
    local task = ended()
    local monitor = task:monitor()
    local ok, why = session:spawn(function(monitor) -- luacheck: ignore
      return monitor:receive(60)
    end, monitor):await(LONG)
    assert(ok == false and why:find("it moves", 1, true), why)
    return task
  end,
  ["a scope"] = function()
    local task
    casting.scope(function(scope)
      task = scope:spawn(make)
      task:join(LONG)
    end)
    return task
  end,
}

for what, way in pairs(ways) do
  local task, monitor = way()
  local ok, kind = session:spawn(function(task) -- luacheck: ignore
    local ok, v = task:join(60)
    return ok, type(v) == "userdata" and "userdata" or v
  end, task):await(LONG)
  assert(ok == true and kind == "userdata", what .. ": " .. tostring(kind))
  if monitor then assert(monitor:receive(LONG) == true) end
end
session:close()
