-- 178: When the handle of a task crosses, the results of the tasks that it
-- leads to are packed with its own. Code that runs meanwhile (__save) may take
-- something that moves out of results that were packed before; if it was
-- collected, the process crashed.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local net, LONG = casting.net, helper.LONG
local gate, waits = casting.named("gate178", 9), casting.named("waits178", 9)

local gated = {}
gated.__index = gated
function gated.make(n) return setmetatable({n = n}, gated) end
function gated:__save()
  waits:send(true)
  assert(gate:receive(LONG))
  return gated.make, self.n
end
package.loaded.gated178 = gated

local function collect()
  for _ = 1, 4 do collectgarbage() end
end

local function ended(...)
  local task = casting.spawn(function(...) return ... end, ...)
  assert(task:join(LONG))
  return task
end

-- What another session gets by a join.
local session = casting.session()
local function joined(out)
  return session:spawn(function(out, long) -- luacheck: ignore
    local task = assert(out:receive(long))
    local ok, v = task:join(long)
    if not ok then return tostring(v) end
    return type(v.stream) .. " " .. type(v.next)
  end, out, LONG):await(LONG)
end

for _, way in ipairs{"kept", "taken out"} do
  local results = {stream = (assert(net.pair()))}
  -- Another table, which the collector alone knows at last.
  local held = setmetatable({results.stream}, {__mode = "v"})
  local last = casting.spawn(function() return gated.make(7) end)
  assert(last:join(LONG))
  results.next = last
  local first = ended(results)
  local out = casting.channel(4)
  local sender = casting.spawn(function() return out:send(first) end)
  assert(waits:receive(LONG))
  if way == "taken out" then
    results.stream = nil
    collect()
    if held[1] then -- something on the C stack may have it for a while
      casting.sleep(0)
      collect()
    end
  end
  local gone = held[1] == nil
  gate:send(true)
  assert(sender:join(LONG))
  local got = joined(out)
  if way == "kept" then
    assert(got == "userdata userdata", got)
  else
    assert(gone, "the stream was not collected")
    assert(got:find("a result has been collected", 1, true), got)
    -- The next message has what the results have by now.
    out:send(first)
    got = joined(out)
    assert(got == "nil userdata", got)
  end
end
session:close()
