-- A deadline, or the end of a cpu budget, was missed for ever, if the poke came
-- just when a coroutine of the task had ended: the hook went with that.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"
local helper = require "helper"

local session = casting.session {jit = false}
local task = session:spawn(helper.loops [[
  local casting, wrap = require "casting", coroutine.wrap
  local function nothing() end
  for _ = 1, 100 do
    local ok, why = casting.with_timeout(0.002, function()
      while true do wrap(nothing)() end
    end)
    assert(ok == nil and why == "timeout")
  end
  return "stopped"
]])
assert(select(2, task:join(120)) == "stopped")
assert(session:close(60))

for _ = 1, 10 do
  session = casting.session{cpu = 0.01}
  task = session:spawn(helper.loops [[
    local wrap = coroutine.wrap
    local function nothing() end
    while true do wrap(nothing)() end
  ]])
  assert(task:join(120) == false)
  assert(session:close(60))
end
