-- `local s <close> = casting.supervisor(...)` took the error that ends the
-- block for a timeout, raised another one, and left the supervisor running.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
if _VERSION < "Lua 5.4" then return end

local supervisor
local ok, e = pcall(load [[
  local casting, keep = ...
  local s <close> = casting.supervisor {
    children = {{id = "a", start = "require('casting').sleep(100)"}},
  }
  keep(s)
  error("the block's own", 0)
]], casting, function(s) supervisor = s end)
assert(not ok and e == "the block's own", e)
assert(supervisor.task:status() == "done")
