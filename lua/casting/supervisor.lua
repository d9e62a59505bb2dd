-- supervisor.lua - casting.supervisor: makes a supervisor and its children.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local error, pcall = error, pcall

return function(spec)
  local checked = internal.checked("supervisor", 3,
    internal.childspec.supervisor, spec)
  local session = casting.session {name = checked.name or "supervisor"}
  local requests, started = casting.channel(), casting.channel(1)
  local parent
  if not checked.detached then parent = casting.self() end
  local task = session:spawn(internal.run, "supervise", checked, requests,
    started, parent)
  local ok, handle = pcall(function()
    internal.await(task, started)
    return internal.handle.new(task, requests, checked)
  end)
  if ok then return handle end
  task:cancel("shutdown")
  error(handle, 0)
end
