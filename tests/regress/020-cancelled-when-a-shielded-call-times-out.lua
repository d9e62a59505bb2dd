-- 020: a call in a shield, or in a __close handler, raised the cancellation
-- that it was to be kept from, if its own timeout had passed just before its
-- session came to serve the cancellation.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local function compute_for(seconds)
  local till = casting.now() + seconds
  while casting.now() < till do end
end

local result, slept
local task = casting.spawn(function()
  casting.shield(function()
    result = {casting.channel():receive(0.02)}
    casting.sleep(0.02)
    slept = true
  end)
  casting.sleep(1000)
end)
casting.yield()
compute_for(0.03) -- the timeout is over, and nobody has looked
task:cancel()
assert(not task:join(20))
assert(task:status() == "cancelled")
assert(result[1] == nil and result[2] == "timeout")
assert(slept)
