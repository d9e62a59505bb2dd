-- shield.lua - waits for others in a task that may have been cancelled.
-- SPDX-License-Identifier: MIT

local casting, internal = ...

local function prolonged(f, ...)
  internal.prolong()
  return f(...)
end

-- casting.shield, for twice as long: those that are waited for were cancelled
-- as well, perhaps a moment later, and may shield their own clean-up.
return function(f, ...)
  return casting.shield(prolonged, f, ...)
end
