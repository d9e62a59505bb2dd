-- semaphore_with.lua - semaphore:with: a call that holds a permit.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local error, pcall, type = error, pcall, type
local Check = internal.check

local function leave(permit, ok, ...)
  permit:release()
  if not ok then error((...), 0) end
  return ...
end

return function(semaphore, f, ...)
  Check.expect(1, "with", semaphore, "semaphore")
  if type(f) ~= "function" then Check.expect(2, "with", f, "function") end
  local permit, why = semaphore:acquire()
  if not permit then return nil, why end
  return leave(permit, pcall(f, ...))
end
