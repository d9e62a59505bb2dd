-- insist.lua - calls that clean up. They may fail for want of memory only, or
-- after they have done their part: session:close in a cancelled task.
-- SPDX-License-Identifier: MIT
--
-- What uses this loads it early: later there may be no memory for that.

local pcall = pcall

local TRIES = 100

-- Calls f(...), which may be called again, until it comes to its end.
return function(f, ...)
  for _ = 1, TRIES do
    if pcall(f, ...) then return end
  end
end
