-- insist.lua - repeats calls that clean up until they succeed. Such a call may
-- fail for two reasons only: for want of memory, or because the task is
-- cancelled, and then the call has done its part before that (session:close).
-- SPDX-License-Identifier: MIT
--
-- A file that uses this loads it when it is loaded itself: later there may be
-- no memory for that.

local casting = ...
local pcall = pcall

local TRIES = 100

-- Calls f(...), which may be called again, until it returns. A cancellation is
-- not tried again: the task has no time for more than one call that meets it.
return function(f, ...)
  for _ = 1, TRIES do
    local ok, e = pcall(f, ...)
    if ok or casting.is_cancelled(e) then return end
  end
end
