-- stream_worker.lua - what stream:map runs in each of its sessions.
-- SPDX-License-Identifier: MIT
--
-- Takes chunks of items from `jobs`, and sends messages to `done`:
--   first, results, seconds   of the items from number `first` on: a list with
--                    its n, nil for an item that is left out; and how long it
--                    took
--   first, true, number, ...  f has called report(...) in the item of that
--                    number
--   first, false, number, error, traceback
--                    f has failed for the item of that number; the worker ends
-- Results take the places of the items.
-- See worker.lua for why f is called here, and for how errors come out.

local casting, internal = ...
local builtin = internal.builtin

-- Sends that an item has failed. If the error cannot cross, its text is sent.
local function send_failure(done, first, number, e, trace)
  local ok, problem = builtin.pcall(done.send, done, first, false, number, e,
    trace)
  if ok then return end
  if casting.is_cancelled(problem) then builtin.error(problem, 0) end
  done:send(first, false, number, builtin.tostring(e), trace)
end

local function handler(e)
  if casting.is_cancelled(e) then return e end
  return {error = e, trace = internal.trace(e)}
end

-- The same for an error that a call has brought, of the item `number`.
local function fail(done, first, number, problem)
  if casting.is_cancelled(problem) then builtin.error(problem, 0) end
  if builtin.type(problem) ~= "table" then -- the handler had no memory
    problem = {error = problem, trace = builtin.tostring(problem)}
  end
  send_failure(done, first, number, problem.error, problem.trace)
end

-- Sends the results. False: one of them cannot cross.
local function send(done, first, results, seconds)
  local ok, problem = builtin.pcall(done.send, done, first, results, seconds)
  if ok then return true end
  if casting.is_cancelled(problem) then builtin.error(problem, 0) end
  local i, why = internal.misfit(results)
  why = why or problem
  send_failure(done, first, first + (i or 1) - 1, why, internal.trace(why))
end

return function(f, jobs, done)
  local first, items, at
  local function report(...)
    return done:send(first, true, at, ...)
  end
  local function all()
    local f, list, number = f, items, first -- luacheck: ignore
    for i = 1, list.n do
      at = number
      list[i] = (f(list[i], number, report))
      number = number + 1
    end
  end
  while true do
    first, items = jobs:receive()
    if first == nil then return end
    local began = casting.now()
    local ok, problem = builtin.xpcall(all, handler)
    if not ok then return fail(done, first, at, problem) end
    if not send(done, first, items, casting.now() - began) then return end
  end
end
