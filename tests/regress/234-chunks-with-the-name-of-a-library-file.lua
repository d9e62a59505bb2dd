-- 234: Before 5.2 a chunk that had the name of the functions around cancel
-- scopes passed for one of them, in which nothing is raised, and no deadline
-- stopped it.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local session = casting.session {jit = false}
local task = session:spawn(helper.loops [[
  local c = require "casting"
  local compute =
    (loadstring or load)("while true do end", "=casting/guard.lua")
  return c.with_timeout(0.01, compute)
]])
local ok, result, e = task:join(10 * helper.slow)
assert(ok and result == nil and e == "timeout", "it was not stopped")
assert(session:close(20 * helper.slow))
