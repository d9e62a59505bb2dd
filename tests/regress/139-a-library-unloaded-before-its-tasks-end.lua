-- 139: On 5.1 and LuaJIT, a finalizer of the program's that collected garbage
-- while the state closed hid from the library that it did: C libraries were
-- unloaded before the tasks ended that were to call their functions.
-- SPDX-License-Identifier: MIT
local helper = require "helper"

-- Later versions unload libraries last. (And 5.3 does not come to an end by
-- itself, at times, when a finalizer collects garbage while a state closes.)
if not helper.has_children() or _VERSION ~= "Lua 5.1" then return end
local result = helper.run [[
  local casting = require "casting"
  local processes = require "processes"
  local channel = casting.channel()
  casting.spawn(function()
    pcall(channel.receive, channel)
    io.write(type(processes.pid()), "\n")
  end)
  casting.yield()
  -- What is made last is finalized first.
  local meta = {__gc = function() collectgarbage() end}
  last = newproxy and newproxy(true) or setmetatable({}, meta)
  if newproxy then getmetatable(last).__gc = meta.__gc end
]]
assert(result.status == 0, result.status .. result.err)
assert(result.out == "number\n", result.out)
assert(result.err == "", result.err)

-- So it was when a task collected garbage while a finalizer waited.
result = helper.run [[
  local casting, processes = require "casting", require "processes"
  casting.spawn(function()
    pcall(casting.sleep, 0.05)
    for _ = 1, 20 do collectgarbage() end
    io.write(type(processes.pid()), "\n")
  end)
  casting.yield()
  last = newproxy(true)
  getmetatable(last).__gc = function() pcall(casting.sleep, 0.5) end
]]
assert(result.status == 0 and result.out == "number\n",
  result.status .. result.out .. result.err)

-- A finalizer may wait at the end whatever was required after it was made.
result = helper.run [[
  local casting = require "casting"
  local task = casting.spawn(function() casting.sleep(0.01) return 7 end)
  last = newproxy(true)
  getmetatable(last).__gc = function() io.write(tostring(task:await())) end
  require "processes"
]]
assert(result.status == 0 and result.out == "7",
  result.status .. result.out .. result.err)
