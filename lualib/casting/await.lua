-- await.lua - waits until a task has begun its work, or has ended.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local error, tostring = error, tostring

-- Returns when the task has sent something into the channel `sign`, which has
-- room for it, or has returned. Raises its error if it has failed before; if it
-- was cancelled, a text, since that does not mean that the caller was. When
-- both have happened, select may tell of either; then the sign counts. So of
-- the end it is told no more than that: the failure of a task that has begun is
-- for those who join it, and is reported if nobody does.
return function(task, sign)
  local which = casting.select {sign, internal.notice(task)}
  if which ~= 2 or sign:try_receive() then return end
  local ok, e = task:join()
  if ok then return end
  if casting.is_cancelled(e) then e = tostring(e) end
  error(e, 0)
end
