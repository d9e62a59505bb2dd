-- request.lua - a task that asks a supervisor, in the session of that.
-- SPDX-License-Identifier: MIT
--
-- A handle starts it there (ask.lua). So who may not start tasks in that
-- session cannot ask, and it is session:spawn that decides. The request and its
-- answer need not cross: both tasks use one table.

local casting, internal = ...
local select = select
local asked = internal.asked

-- Returns true and what the supervisor says; or nil if it has ended. When both
-- have happened, select may tell of the end: the answer is there all the same.
return function(task, op, ...)
  local at = asked[task]
  if not at then return nil end
  local ended, reply = task:monitor(), casting.channel(1)
  local request = {op = op, n = select("#", ...), ...}
  at.list[reply] = request
  local which, taken = casting.select {{at.channel, reply}, ended}
  if which == 1 and taken then casting.select {reply, ended} end
  at.list[reply] = nil
  local answer = request.answer
  if not answer then return nil end
  return true, internal.unpack(answer, answer.n)
end
