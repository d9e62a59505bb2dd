-- supervisor.lua - casting.supervisor: makes a supervisor and its children.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local error, pcall = error, pcall
local insist = internal.insist

-- Stops a supervisor that could not be started: its children first, then its
-- session.
local function abandon(task, session)
  if task then task:cancel("shutdown") end
  if session then session:close(0) end
end

return function(spec)
  local Spec = internal.childspec
  local checked = Spec.supervisor(spec, Spec.place("supervisor", 1))
  local started = casting.channel(1)
  local parent, session, task
  if not checked.detached then parent = casting.self() end
  local ok, handle = pcall(function()
    session = casting.session {name = checked.name or "supervisor"}
    task = session:spawn(internal.run, "supervise", checked, started, parent)
    internal.await(task, started)
    return internal.new_handle(task, checked)
  end)
  if ok then return handle end
  insist(abandon, task, session)
  error(handle, 0)
end
