-- await.lua - waits for a sign of a task, or for its end.
-- SPDX-License-Identifier: MIT

local casting = ...
local error = error

-- Returns when the task has sent something into `sign`, a channel with room
-- for it, or has ended well. Raises its error if it has ended before. If both
-- have happened, select may tell of either: the sign counts.
return function(task, sign)
  local which, ok, e = casting.select {sign, task:monitor()}
  if which == 2 and not ok and not sign:try_receive() then error(e, 0) end
end
