-- race.lua - casting.race: the task that ends first; the others are cancelled.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local error, select = error, select
local Failures, members = internal.failures, internal.members

local function index_of(tasks, task)
  for i = 1, tasks.n do
    if tasks[i] == task then return i end
  end
end

-- What the winner leaves: {ok, results...; n =}.
local function outcome(...)
  return {n = select("#", ...), ...}
end

-- The failures of those who lose against a task that has not failed are
-- nobody's result: they are reported like any failure that nobody joins.
local function wait(group, tasks)
  local task, ok, e = group:take()
  local index = index_of(tasks, task)
  group.blind = ok or casting.is_cancelled(e)
  group:cancel("task " .. index .. " of a race has won")
  local winner = ok and outcome(task:join(0)) or {false, e}
  group:drain()
  return winner, index
end

return function(list)
  local group, tasks = members(list, "race")
  if tasks.n == 0 then
    internal.bad(1, "race", "it is empty: nothing can win")
  end
  local winner, index = group:guard(nil, wait, group, tasks)
  if winner[1] then
    winner[1] = index
    return internal.unpack(winner, winner.n)
  elseif group.blind then -- it was cancelled
    error(winner[2], 0)
  end
  error(Failures.join(group.failures), 0)
end
