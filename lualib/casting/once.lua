-- once.lua - casting.once: what is done once in the whole process.
-- SPDX-License-Identifier: MIT
--
-- For each key there are two channels with names, out of which nobody receives:
-- what comes first into one is the semaphore of the key (two sessions may both
-- have made one), and into the other what the call has returned. The task that
-- holds the semaphore's place calls the function. If it fails, or ends, the
-- next one in the queue does. Invariants:
--   1. Results are sent by who holds the place, and has found none after it got
--      it; so once at most.
--   2. An entry of `busy` is that of a task of this session which holds it.

local casting, internal = ...
local error, pcall, select, type = error, pcall, select, type
local Check, peek = internal.check, internal.peek
local bad, got = internal.bad, internal.got

local LOCK, VALUE, MAIN = "\0once lock\0", "\0once value\0", {}
local cells, busy = {}, {}

local function cell_of(key)
  local cell = cells[key]
  if not cell then
    cell = {lock = casting.named(LOCK .. key, 1 / 0),
      value = casting.named(VALUE .. key, 1 / 0)}
    cells[key] = cell
  end
  return cell
end

local function semaphore_of(cell)
  local semaphore = cell.semaphore
  if not semaphore then
    if cell.lock:len() == 0 then cell.lock:send(casting.semaphore(1)) end
    semaphore = peek(cell.lock, 0)
    cell.semaphore = semaphore
  end
  return semaphore
end

-- The results in a message, of which the first is their number.
local function behind(_, ...)
  return ...
end

local function keep(cell, ...)
  cell.value:send(casting.pack(select("#", ...), ...))
end

local function finish(key, cell, permit, ok, ...)
  busy[key] = nil
  local kept, problem = true, nil
  if ok then kept, problem = pcall(keep, cell, ...) end
  permit:release()
  if not ok then error((...), 0) end
  if not kept then error(problem, 0) end
  return ...
end

return function(key, f, ...)
  if type(key) ~= "string" then
    bad(1, "once", "a key must be a string, got " .. got(key))
  end
  if type(f) ~= "function" then Check.expect(2, "once", f, "function") end
  local cell, me = cell_of(key), casting.self() or MAIN
  if cell.value:len() > 0 then return behind(peek(cell.value, 0)) end
  if busy[key] == me then
    error("once: '" .. internal.quote(key) ..
      "' needs itself: this task is just doing it", 2)
  end
  local permit = semaphore_of(cell):acquire()
  if cell.value:len() > 0 then
    permit:release()
    return behind(peek(cell.value, 0))
  end
  busy[key] = me
  return finish(key, cell, permit, pcall(f, ...))
end
