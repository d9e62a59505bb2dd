-- worker.lua - what casting.map runs in each of its sessions.
-- SPDX-License-Identifier: MIT
--
-- Takes batches of items from `jobs`, and sends a message for each to `done`:
--   first, results   of the items from number `first` on
--   first, false, number, error, traceback
--                    f has failed for the item of that number; the worker ends
--
-- The function is copied into the session, and not called there by
-- internal.run: on LuaJIT f can yield across it, but not across a function in
-- C. Its upvalues cross by name.

local casting, internal = ...
local builtin = internal.builtin

-- Calls f for the items of a batch, a list with its n. Returns the results; or
-- nil, the number of the item for which f has failed, and {error =, trace =}.
local function compute(f, first, items)
  local results, at = {n = items.n}, first
  local function all()
    for i = 1, items.n do
      at = first + i - 1
      results[i] = (f(items[i], at))
    end
  end
  local function handler(e)
    if casting.is_cancelled(e) then return e end
    return {error = e, trace = internal.trace(e)}
  end
  local ok, problem = builtin.xpcall(all, handler)
  if ok then return results end
  if casting.is_cancelled(problem) then builtin.error(problem, 0) end
  if builtin.type(problem) ~= "table" then -- the handler had no memory
    problem = {error = problem, trace = builtin.tostring(problem)}
  end
  return nil, at, problem
end

-- Sends that an item has failed. If the error cannot cross, its text is sent.
local function send(done, first, number, e, trace)
  local ok, problem = builtin.pcall(done.send, done, first, false, number, e,
    trace)
  if ok then return end
  if casting.is_cancelled(problem) then builtin.error(problem, 0) end
  done:send(first, false, number, builtin.tostring(e), trace)
end

return function(f, jobs, done)
  while true do
    local first, items = jobs:receive()
    if first == nil then return end
    local results, number, problem = compute(f, first, items)
    if not results then
      return send(done, first, number, problem.error, problem.trace)
    end
    local ok, unsent = builtin.pcall(done.send, done, first, results)
    if not ok then
      if casting.is_cancelled(unsent) then builtin.error(unsent, 0) end
      local i, why = internal.misfit(results)
      why = why or unsent
      return send(done, first, first + (i or 1) - 1, why, internal.trace(why))
    end
  end
end
