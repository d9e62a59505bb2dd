-- worker.lua - what casting.map runs in each of its sessions.
-- SPDX-License-Identifier: MIT
--
-- Takes batches of items from `jobs` and sends their results to `done`:
--   first, results   items from number `first` on
--   first, false, number, error, traceback
--                    f has failed for the item of that number; the worker ends

local casting = ...
local error, pcall, tostring, type, xpcall =
  error, pcall, tostring, type, xpcall

-- Calls f for the items of a batch. Their number is in `n`.
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
    return {error = e, trace = tostring(e) .. "\n" ..
      casting.self():traceback()}
  end
  local ok, problem = xpcall(all, handler)
  if ok then return results end
  if casting.is_cancelled(problem) then error(problem, 0) end
  if type(problem) ~= "table" then -- the handler had no memory
    problem = {error = problem, trace = tostring(problem)}
  end
  return nil, at, problem
end

-- What cannot cross is told in words.
local function send(done, first, number, e, trace)
  local ok, problem = pcall(done.send, done, first, false, number, e, trace)
  if ok then return end
  if casting.is_cancelled(problem) then error(problem, 0) end
  done:send(first, false, number, tostring(e), trace)
end

return function(f, jobs, done)
  while true do
    local first, items = jobs:receive()
    if first == nil then return end
    local results, number, problem = compute(f, first, items)
    if not results then
      return send(done, first, number, problem.error, problem.trace)
    end
    local ok, unsent = pcall(done.send, done, first, results)
    if not ok then
      if casting.is_cancelled(unsent) then error(unsent, 0) end
      return send(done, first, first, unsent, tostring(unsent))
    end
  end
end
