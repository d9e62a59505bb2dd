-- members.lua - a list of tasks, as all and race take it.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local error, type = error, type
local Group = internal.group

local LEVEL = 4 -- of who called the public function: as in scope.lua

-- Checks a list of tasks and functions before anything is begun. Functions
-- become tasks of this session. Returns a group of them all, and the tasks in
-- order.
return function(list, name)
  if type(list) ~= "table" then
    error("bad argument #1 to '" .. name .. "' (table expected, got " ..
      type(list) .. ")", LEVEL)
  end
  local n = list.n or #list
  for i = 1, n do
    local v = list[i]
    if not Group.is_task(v) and type(v) ~= "function" then
      error("bad argument #1 to '" .. name .. "' (item " .. i ..
        ": task or function expected, got " .. type(v) .. ")", LEVEL)
    elseif v == casting.self() then
      error("bad argument #1 to '" .. name .. "' (item " .. i ..
        ": a task cannot wait for itself)", LEVEL)
    end
  end
  local group, tasks = Group.new(), {n = n}
  group:guard(nil, function()
    for i = 1, n do
      local v = list[i]
      if type(v) == "function" then
        tasks[i] = group:adopt(casting.spawn(v))
      else
        tasks[i] = group:add(v)
      end
    end
  end)
  return group, tasks
end
