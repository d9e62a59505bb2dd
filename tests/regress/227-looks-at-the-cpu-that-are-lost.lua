-- 227: A session's processor time was looked at once. Where the hook was set on
-- a coroutine that executed no instruction any more, nobody looked again, and
-- the task that ran next in the same slice computed beyond the limit for ever.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
casting.on_error(casting.channel(math.huge)) -- they fail on purpose

-- A pattern that takes N ^ 3 steps, in C: it is in the middle of that when the
-- time is over. `direct`: it is all that its task does.
local source = [[
  local n, direct, compute = ...
  local c = require "casting"
  local find = string.find
  local text, pattern = ("a"):rep(n), ("a*"):rep(3) .. "b"
  if direct then c.spawn(find, text, pattern) end
  c.spawn(compute)
  if direct then return end
  return find(text, pattern)
]]

local N = 100
for _, options in ipairs {{sandbox = true}, {jit = false}} do
  for _, direct in ipairs {false, true} do
    options.cpu = 0.01
    local session = casting.session(options)
    session:spawn(source, N, direct, helper.compute)
    assert(session:wait(20 * helper.slow), "a task goes on beyond the limit")
    assert(session:close(20 * helper.slow))
  end
end
