-- shield.lua - waits for others in a task that may have been cancelled.
-- SPDX-License-Identifier: MIT

local casting, internal = ...

local function prolonged(f, ...)
  internal.prolong()
  return f(...)
end

-- casting.shield(f, ...), which holds twice as long: the tasks that f waits for
-- were cancelled as well, perhaps a moment later, and may have shields of their
-- own for their clean-up.
return function(f, ...)
  return casting.shield(prolonged, f, ...)
end
