-- 221: A sandbox that had no task left could not stop its supervisors, nor ask
-- whether they had ended: the error was that of spawn.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local box = casting.session {sandbox = true, tasks = 4}
local function try(LONG)
  local casting = require "casting"
  local log = casting.channel(math.huge)
  local sup = casting.supervisor {children = {{id = 1, args = {log},
    start = function(log)
      local casting = require "casting"
      log:send "begun"
      pcall(casting.sleep, math.huge)
      casting.shield(log.send, log, "ended in order")
    end}}}
  log:receive(LONG)
  local other = casting.spawn(casting.sleep, 1000)
  local found = {}
  found.asked, found.why = pcall(sup.which_children, sup)
  found.stopped = sup:stop()
  found.log = log:try_receive()
  found.again = sup:stop()
  local another = casting.spawn(casting.sleep, 1000)
  while pcall(casting.spawn, casting.sleep, 1000) do end -- it is full again
  found.after, found.what = sup:count_children()
  other:cancel()
  another:cancel()
  return found
end
local found = box:spawn(try, helper.LONG):await(helper.LONG)
assert(found.asked == false)
assert(found.why:find("which_children: spawn: session 'supervisor' shares",
  1, true), found.why)
assert(found.stopped == true, tostring(found.stopped))
assert(found.log == "ended in order")
assert(found.again == true)
assert(found.after == nil and found.what == "noproc", tostring(found.what))
