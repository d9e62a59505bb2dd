-- 018: a task whose results held its own handle was never freed, and its
-- session neither.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local session = casting.session()
local gone = setmetatable({}, {__mode = "v"})
do
  local task = session:spawn(function()
    local self = require "casting".self()
    return self, {self}
  end)
  local a, b = task:await(20)
  assert(a == task and b[1] == task)
  gone[1] = task
end
collectgarbage()
collectgarbage()
assert(gone[1] == nil)
session:close()
