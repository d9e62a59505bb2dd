-- shield.lua - calls a function that a cancellation does not interrupt.
-- SPDX-License-Identifier: MIT

local casting = ...

return rawget(casting, "shield") or function(f, ...) return f(...) end
