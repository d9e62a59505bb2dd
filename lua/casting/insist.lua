-- insist.lua - repeats calls that clean up until they succeed. Such a call may
-- fail for only two reasons: there is no memory, or the task is cancelled, and
-- then the call has done its part before (session:close).
-- SPDX-License-Identifier: MIT
--
-- What uses this loads it early: later there may be no memory for that.

local casting = ...
local pcall = pcall

local TRIES = 100

-- Calls f(...), which may be called again, until it comes to its end. A task
-- that was cancelled has no time for more than one call that says so.
return function(f, ...)
  for _ = 1, TRIES do
    local ok, e = pcall(f, ...)
    if ok or casting.is_cancelled(e) then return end
  end
end
