-- 218: Some failures were never reported, since casting itself had received
-- them: of a task that had made a supervisor; of a supervisor that was asked
-- something; of a child, or of a task that has lost a race, if it took a second
-- until its session was closed, or the others had ended.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local reports = casting.channel(math.huge)
casting.on_error(reports)

-- The maker of a supervisor.
casting.spawn(function()
  casting.supervisor {children = {}}
  error("the maker", 0)
end)

-- A supervisor. Whether it told of its end or of the closed channel was left to
-- chance.
local sup = casting.supervisor {intensity = 0, events = casting.channel(1),
  children = {{id = "x", start = function() error("the supervisor", 0) end}}}
while sup.task:status() ~= "failed" do casting.yield() end
for _ = 1, 20 do
  local n, why = sup:count_children()
  assert(n == nil and why == "noproc")
end

-- A child whose session closes slowly.
casting.spawn(function()
  local slow = casting.supervisor {children = {{id = "slow",
    restart = "temporary", start = function()
      local casting = require "casting"
      local begun = casting.channel(1)
      casting.spawn(function()
        begun:send(true)
        pcall(casting.sleep, math.huge)
        local t = casting.now() + 1.2
        casting.shield(casting.shield, function()
          pcall(casting.sleep, t - casting.now())
        end)
      end)
      begun:receive()
      error("the child", 0)
    end}}}
  slow:wait()
end)

-- A task that loses a race against one that does not end at once.
local i = casting.spawn(casting.race, {
  function() return "won" end,
  function()
    pcall(casting.sleep, 60)
    error("the loser", 0)
  end,
  function()
    pcall(casting.sleep, 60)
    casting.shield(function() pcall(casting.sleep, 1.2) end)
  end})

local missing = {["the maker"] = true, ["the supervisor"] = true,
  ["the child"] = true, ["the loser"] = true}
local deadline = casting.now() + 20
while next(missing) do
  local report = reports:receive(math.max(0, deadline - casting.now()))
  assert(report, "not reported: " .. tostring(next(missing)))
  for what in pairs(missing) do
    if tostring(report.error):find(what, 1, true) then missing[what] = nil end
  end
end
assert(i:await(helper.LONG) == 1)
casting.on_error(nil)
