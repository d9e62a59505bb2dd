-- supervisor.lua - casting.supervisor: makes a supervisor and its children.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local error, pcall = error, pcall
local insist, shield = internal.insist, internal.shield

-- Stops a supervisor that could not be started: its children first, then its
-- session. A wait that was interrupted goes on for as long as a shield holds.
local function abandon(task, session)
  if task then
    insist(task.cancel, task, "shutdown")
    pcall(shield, function() internal.notice(task):receive() end)
  end
  if session then insist(session.close, session, 0) end
end

return function(spec)
  local Spec = internal.childspec
  local checked = Spec.supervisor(spec, Spec.place("supervisor", 1))
  local started = casting.channel(1)
  local me, parent, session, task = casting.self(), nil, nil, nil
  local ok, handle = pcall(function()
    if me and not checked.detached then parent = internal.notice(me) end
    session = casting.session {name = checked.name or "supervisor"}
    task = session:spawn(internal.run, "supervise", checked, started, parent)
    internal.await(task, started)
    return internal.new_handle(task, checked)
  end)
  if ok then return handle end
  abandon(task, session)
  error(handle, 0)
end
