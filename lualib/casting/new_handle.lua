-- new_handle.lua - makes a handle of a supervisor (handle.lua).
-- SPDX-License-Identifier: MIT

local _, internal = ...
local setmetatable = setmetatable
local Handle = internal.handle

-- `spec` is the supervisor's specification, checked. This is not a member of
-- the class, which programs can reach.
return function(task, requests, spec)
  return setmetatable({task = task, requests = requests,
    auto_shutdown = spec.auto_shutdown}, Handle)
end
