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
-- It is told of the end and no more: how the supervisor has failed is for those
-- who join it.
return function(task, op, ...)
  local at = asked[task]
  if not at or at.over then return nil end
  local request = {op = op, reply = casting.channel(1), n = select("#", ...),
    ...}
  local ended = internal.notice(task)
  at.last = at.last + 1
  at.list[at.last] = request
  at.channel:try_send(at.last)
  casting.select {request.reply, ended}
  local answer = request.answer
  if not answer then return nil end
  return true, internal.unpack(answer, answer.n)
end
