-- new_handle.lua - makes a handle of a supervisor (handle.lua).
-- SPDX-License-Identifier: MIT

local _, internal = ...
local setmetatable = setmetatable
local Handle = internal.handle

-- `spec` is the supervisor's specification, checked.
return function(task, spec)
  return setmetatable({task = task, auto_shutdown = spec.auto_shutdown}, Handle)
end
