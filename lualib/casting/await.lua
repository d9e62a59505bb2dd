-- await.lua - waits until a task has begun its work, or has ended.
-- SPDX-License-Identifier: MIT

local casting = ...
local error, tostring = error, tostring

-- Returns when the task has sent something into the channel `sign`, which has
-- room for it, or has returned. Raises its error if it has failed before; if it
-- was cancelled, a text, since that does not mean that the caller was. When
-- both have happened, select may return either; then the sign counts.
return function(task, sign)
  local which, ok, e = casting.select {sign, task:monitor()}
  if which ~= 2 or ok or sign:try_receive() then return end
  if casting.is_cancelled(e) then e = tostring(e) end
  error(e, 0)
end
