-- ask.lua - begins to ask a supervisor (request.lua).
-- SPDX-License-Identifier: MIT

local _, internal = ...
local error, pcall = error, pcall

local ENDED = {done = true, failed = true, cancelled = true}

-- Starts a task for the request `op` to the supervisor `task` in its session.
-- Returns that task; or nil if the supervisor has ended, or no task can be
-- started there any more.
return function(session, task, op, ...)
  if ENDED[task:status()] or not internal.usable(session) then return nil end
  local ok, result = pcall(session.spawn, session, internal.run, "request",
    task, op, ...)
  if ok then return result end
  if internal.usable(session) then error(result, 0) end
end
