-- 017: a task of one's own session, whose handle went to another session after
-- the task had ended, gave no results there.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local task = casting.spawn(function() return {1, 2}, "x" end)
task:join()
local session = casting.session()
local t, x = session:spawn(function(task)
  return task:await()
end, task):await(20)
assert(t and t[2] == 2 and x == "x", "the results are lost")
session:close()
