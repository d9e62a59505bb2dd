-- 228: What an error says of itself (__tostring) was asked where nothing could
-- stop that, if there was no memory to ask in a coroutine; or if __tostring was
-- no function, but something that can be called. A sandbox could compute there
-- for ever.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
casting.on_error(casting.channel(math.huge)) -- they fail on purpose

local function try(source)
  local box = casting.session {sandbox = true, memory = 1e6, cpu = 0.1}
  local task = box:spawn(helper.loops(source))
  assert(task:join(20 * helper.slow) == false, "the task goes on")
  assert(box:close(20 * helper.slow))
end

try [[
  local list, chain = {}, nil
  local function fill() while true do list[#list + 1] = {} end end
  local function link() while true do chain = {chain} end end
  local e = setmetatable({}, {__tostring = function() while true do end end})
  kept = {list, function() return chain end}
  pcall(fill) pcall(link) pcall(link)
  error(e)
]]
try [[
  local call = setmetatable({}, {__call = function() while true do end end})
  error(setmetatable({}, {__tostring = call}))
]]

-- What can be called still says what the error is.
local task = casting.session():spawn([[
  local call = setmetatable({}, {__call = function() return "said" end})
  error(setmetatable({}, {__tostring = call}))
]])
assert(task:join(20 * helper.slow) == false)
assert(task:traceback():find("^said\n"), task:traceback())
