-- await.lua - waits until a task has begun its work, or has ended.
-- SPDX-License-Identifier: MIT

local casting = ...
local error = error

-- Returns when the task has sent something into the channel `sign`, which has
-- room for it, or has returned. Raises its error if it has failed before. When
-- both have happened, select may return either; then the sign counts.
return function(task, sign)
  local which, ok, e = casting.select {sign, task:monitor()}
  if which == 2 and not ok and not sign:try_receive() then error(e, 0) end
end
