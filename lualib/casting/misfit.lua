-- misfit.lua - finds a value that cannot cross.
-- SPDX-License-Identifier: MIT

local casting = ...

-- The number of the first item that cannot cross, and why; nothing if all can.
return function(items)
  for i = 1, items.n do
    local crosses, why = casting.transferable(items[i])
    if not crosses then return i, why end
  end
end
