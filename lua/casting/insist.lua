-- insist.lua - calls that clean up. They may fail for want of memory only, or
-- after they have done their part: session:close in a cancelled task.
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
