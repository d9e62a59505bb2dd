-- members.lua - a list of tasks, as all and race take it.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local type = type
local bad, kind = internal.bad, internal.kind
local Check, Group = internal.check, internal.group

-- A copy of the list, checked: each item is read once, as an __index could
-- return another one each time.
local function read(list, name)
  Check.expect(1, name, list, "table")
  local n, problem = Check.length(list)
  if not n then bad(1, name, problem) end
  local items, self = {n = n}, casting.self()
  for i = 1, n do
    local v = list[i]
    if kind(v) ~= "task" and type(v) ~= "function" then
      bad(1, name, "item " .. i .. ": task or function expected, got " ..
        kind(v))
    elseif kind(v) == "task" and not internal.may(v) then
      bad(1, name, "item " .. i .. ": a task that this sandbox may not cancel")
    elseif v == self then
      bad(1, name, "item " .. i .. ": a task cannot wait for itself")
    end
    items[i] = v
  end
  return items
end

-- Checks a list of tasks and functions before anything is begun; if the results
-- will be returned, also whether there is room for one of each. Makes tasks of
-- this session out of the functions. Returns a group of all tasks, and the
-- tasks in order.
return function(list, name, returned)
  local items = read(list, name)
  if returned and not internal.room(items.n) then
    bad(1, name, "too many items to return a result of each")
  end
  local group, tasks = Group.new(), {n = items.n}
  group:guard(nil, function()
    for i = 1, items.n do
      local v = items[i]
      if type(v) == "function" then
        tasks[i] = group:adopt(casting.spawn(v))
      else
        tasks[i] = group:add(v)
      end
    end
  end)
  return group, tasks
end
