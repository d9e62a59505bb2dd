-- all.lua - casting.all: the results of several tasks, in order.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local error, select = error, select
local Failures, members = internal.failures, internal.members

-- A task has ended: keeps its first result. The first task that fails, or was
-- cancelled, cancels the others.
local function ended(group, firsts, task, ok, e)
  if ok then
    firsts[task] = select(2, task:join(0))
  elseif #group.failures > 0 then
    group:cancel(group:reason())
  elseif not group.stopped then
    firsts.cancelled = e
    group:cancel(task:name() .. " was cancelled")
  end
end

local function wait(group, firsts)
  while group.count > 0 do ended(group, firsts, group:take()) end
end

return function(list)
  local group, tasks = members(list, "all", true)
  local firsts, results = {}, {}
  group:guard(nil, wait, group, firsts)
  if #group.failures > 0 then error(Failures.join(group.failures), 0) end
  if firsts.cancelled then error(firsts.cancelled, 0) end
  for i = 1, tasks.n do results[i] = firsts[tasks[i]] end
  return internal.unpack(results, tasks.n)
end
