-- 230: A hook that stops a task could fail for want of calls of C, or of room
-- on the stack, before it had hooks called again: then the handler of xpcall
-- could not be stopped. (Seen on 5.1 and LuaJIT.)
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local unpack = helper.unpack

-- Calls of C in calls of C, as many as there can be. The sandbox has not needed
-- the module before, which is then made for the error.
local calls = [[
  local left = ...
  local most = 0
  local function probe(n)
    most = n
    string.gsub("x", "x", function() probe(n + 1) end)
  end
  pcall(probe, 1)
  local function nest(n)
    if n >= most - left then while true do end end
    string.gsub("x", "x", function() nest(n + 1) end)
  end
  xpcall(function() nest(1) end, function() while true do end end)
  while true do end
]]
for left = 0, 2 do
  local box = casting.session {sandbox = true, cpu = 1000}
  local task = box:spawn(helper.loops(calls), left)
  while box:stats().cpu < 0.03 do casting.sleep(0.002) end
  task:cancel()
  assert(task:join(20 * helper.slow) == false, "it goes on, " .. left)
  assert(box:close(20 * helper.slow))
end

-- Before 5.2 no function of C has more than 8000 of them.
local names = {}
for i = 1, 100 do names[i] = "x" .. i end
local arguments = [[
  local unpack = ...
  local c = require "casting"
  local none = {}
  local function take() end
  local function compute()
    local ]] .. table.concat(names, ", ") .. [[

    while true do take(unpack(none, 1, 7950)) end
  end
  for _ = 1, 3 do
    c.with_timeout(0.002, xpcall, compute, function() while true do end end)
  end
]]

local box = casting.session {sandbox = true, cpu = 1000}
local ok, e = box:spawn(helper.loops(arguments), unpack):join(20 * helper.slow)
assert(ok, e)
assert(box:close(20 * helper.slow))
