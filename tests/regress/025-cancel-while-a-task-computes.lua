-- session:cancel was served when the running task gave way: one that never did,
-- since what it called did not wait, went on for ever with all others.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"
local helper = require "helper"

local closed, started = casting.channel(), casting.channel(math.huge)
closed:close()
local bodies = {"pcall(closed.receive, closed)", "local n = 1"}
for i, body in ipairs(bodies) do
  -- LuaJIT's compiled loops see no hooks.
  local session, tasks = casting.session {jit = i == 1}, {}
  for i = 1, 3 do
    tasks[i] = session:spawn("local closed, started = ... started:send(1) " ..
      helper.loops("while true do " .. body .. " end"), closed, started)
  end
  started:receive()
  assert(session:cancel "enough" and session:cancel "too late")
  for i = 1, 3 do
    local ok, e = tasks[i]:join(60)
    assert(ok == false and casting.is_cancelled(e), tostring(e))
    assert(e.reason == "enough", e.reason)
  end
  assert(session:spawn("return 'alive'"):await() == "alive")
  assert(session:close(60))
end
