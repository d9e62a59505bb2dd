-- 069: userdata that hold references for an operation (session:tasks, a
-- traceback, a report) were still there when the program ended, and the failure
-- of a task that nothing else had was said after the timers had stopped.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local helper = require "helper"
if not helper.has_children() then return end

for _ = 1, 3 do
  local result = helper.run [[
    collectgarbage "stop"
    local casting = require "casting"
    casting.on_error(casting.channel(math.huge))
    local session = casting.session()
    local go = casting.channel()
    for _ = 1, 5 do
      session:spawn(function(go) go:receive() error "on purpose" end, go)
      casting.spawn(function() go:receive() error "on purpose" end)
    end
    casting.yield()
    for _, s in ipairs {session, casting.spawn(function() end):session()} do
      for _, task in ipairs(s:tasks()) do task:traceback() end
      s:tasks()
    end
    casting.report()
    go:close()
    session:wait()
    casting.run()
  ]]
  assert(result.status == 0 and result.err == "", result.err)
end
