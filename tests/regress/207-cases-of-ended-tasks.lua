-- 207: The cases of a task's last select lay in memory until its handle was
-- collected, after its end; and when a sandbox's task that the host had started
-- ended, they were charged to nobody any more. They go with the task's end.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local LONG = helper.LONG

-- How the task ends after its select: well, with an error, cancelled; waiting
-- or not.
local function choose(how, n)
  local c = require "casting"
  local ch, cases = c.channel(1), {}
  for i = 1, n do cases[i] = ch end
  cases.timeout = how == "waits" and 1e6 or how == "late" and 0.001 or 0
  c.select(cases)
  if how == "fails" then error "on purpose" end
  return how
end
local ways = {"well", "late", "fails", "waits"}
casting.on_error(casting.channel(math.huge)) -- some fail on purpose

-- The host keeps the tasks, none of which may find the memory used up.
local box = casting.session {sandbox = true, memory = 16e6}
local handles = {}
local function run(how)
  local task = box:spawn(choose, how, 30000)
  handles[#handles + 1] = task
  if how == "waits" then
    while task:status() ~= "waiting" do casting.yield() end
    task:cancel()
  end
  local ok, v = task:join(LONG)
  if how == "fails" then
    assert(not ok and v:find "on purpose", v)
  elseif how == "waits" then
    assert(not ok and casting.is_cancelled(v), tostring(v))
  else
    assert(ok and v == how, tostring(v))
  end
end
for _ = 1, 2 do
  for _, how in ipairs(ways) do run(how) end
end

-- The sandbox keeps them itself: what it is charged for does not grow.
local ok, why = box:spawn(function(choose, ways, long)
  local c = require "casting"
  kept = {} -- luacheck: ignore
  for _ = 1, 3 do
    for _, how in ipairs(ways) do
      local task = c.spawn(choose, how, 30000)
      kept[#kept + 1] = task -- luacheck: ignore
      if how == "waits" then
        repeat
          c.yield()
          local s = task:status()
        until s == "waiting" or s == "failed"
        task:cancel()
      end
      local ok, v = task:join(long)
      if how == "well" or how == "late" then assert(ok, v) end
      assert(not tostring(v):find "memory", v)
      collectgarbage()
    end
  end
end, choose, ways, LONG):join(LONG)
assert(ok, why)
assert(box:close(LONG))
