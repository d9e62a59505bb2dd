-- race.lua - casting.race: the task that ends first; the others are cancelled.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local error, ipairs, select = error, ipairs, select
local Failures, members = internal.failures, internal.members

-- The first member that ends: {task =, ok =, results...; n =}.
local function first(group)
  local function keep(task, ok, ...)
    return {task = task, ok = ok, n = select("#", ...), ...}
  end
  return keep(group:take())
end

local function index_of(tasks, task)
  for i = 1, tasks.n do
    if tasks[i] == task then return i end
  end
end

-- The failures of the losers are nobody's result: they are reported like any
-- failure that nobody joins.
local function disown(group)
  for _, task in ipairs(group.failed) do internal.disown(task) end
end

local function wait(group, tasks)
  local winner = first(group)
  local index = index_of(tasks, winner.task)
  group:cancel("task " .. index .. " of a race has won")
  group:drain()
  return winner, index
end

return function(list)
  local group, tasks = members(list, "race")
  if tasks.n == 0 then
    internal.bad(1, "race", "it is empty: nothing can win")
  end
  local winner, index = group:guard(nil, wait, group, tasks)
  if winner.ok then
    disown(group)
    return index, internal.unpack(winner, winner.n)
  elseif casting.is_cancelled(winner[1]) then
    disown(group)
    error(winner[1], 0)
  end
  error(Failures.join(group.failures), 0)
end
