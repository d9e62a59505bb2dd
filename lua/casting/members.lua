-- members.lua - a list of tasks, as all and race take it.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local type = type
local bad, kind = internal.bad, internal.kind
local Check, Group = internal.check, internal.group

-- The items: each is read once, for __index may give another one each time.
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
    elseif v == self then
      bad(1, name, "item " .. i .. ": a task cannot wait for itself")
    end
    items[i] = v
  end
  return items
end

-- Checks a list of tasks and functions before anything is begun; and whether
-- there is room for a result of each, if they are to be returned. Functions
-- become tasks of this session. Returns a group of them all, and the tasks in
-- order.
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
