-- map.lua - casting.map: a function applied to many items, in many sessions.
-- SPDX-License-Identifier: MIT
--
-- Items go to the workers through one channel, and results come back through
-- another. At most `window` batches are on their way: so both channels can hold
-- them all, neither side ever waits to send, and a source of items that is
-- endless, or a caller that is slow, fills no memory.

local casting, internal = ...
local error, getmetatable, pairs, pcall, tostring, type =
  error, getmetatable, pairs, pcall, tostring, type
local Group, Failure = internal.group, internal.failure

-- -- arguments ----------------------------------------------------------------

-- For checked.lua.
local function bad(n, what)
  error({argument = n, text = what}, 0)
end

local function is_callable(v)
  return type(v) == "function" or getmetatable(v) == "casting.channel"
end

local function check_count(options, name)
  local v = options[name]
  if v ~= nil and (type(v) ~= "number" or not (v >= 1 and v < 2 ^ 31) or
      v % 1 ~= 0) then
    bad(3, name .. " must be an integer from 1 on")
  end
end

local function check_sessions(options)
  local given = options.sessions
  if type(given) ~= "table" then
    check_count(options, "sessions")
    return
  end
  if #given == 0 then
    bad(3, "sessions: the list is empty")
  end
  for i = 1, #given do
    if getmetatable(given[i]) ~= "casting.session" then
      bad(3, "sessions: item " .. i .. " is not a session")
    end
  end
end

local CHECKS = {sessions = check_sessions, window = check_count,
  batch = check_count, progress = function(options)
    if not is_callable(options.progress) then
      bad(3, "progress must be a function")
    end
  end}

local function check_options(options)
  for k in pairs(options) do
    local f = CHECKS[k]
    if not f then bad(3, "unknown option '" .. tostring(k) .. "'") end
    f(options, k)
  end
end

local function check(source, f, options)
  if type(source) ~= "table" and not is_callable(source) then
    bad(1, "list, iterator or channel expected, got " .. type(source))
  elseif type(f) ~= "function" then
    bad(2, "function expected, got " .. type(f))
  elseif options ~= nil and type(options) ~= "table" then
    bad(3, "table expected, got " .. type(options))
  end
  check_options(options or {})
end

-- The sessions to work in, and whether they are ours to close.
local function find_sessions(options, most)
  local given = options.sessions
  if type(given) == "table" then return given, false end
  local n = given or internal.cores()
  return {n = most and most < n and most or n}, true
end

-- -- items ------------------------------------------------------------------

-- A function that returns the next batch and the number of its first item.
local function batches(source, size)
  local at, total = 0, nil
  local next_item = source
  if type(source) == "table" then
    total = source.n or #source
  end
  return function()
    local items, n = {}, 0
    while n < size do
      local item
      if total then
        if at + n == total then break end
        item = source[at + n + 1]
      else
        item = next_item()
        if item == nil then
          next_item = function() end
          break
        end
      end
      n = n + 1
      items[n] = item
    end
    if n == 0 then return nil end
    items.n, at = n, at + n
    return items, at - n + 1
  end, total
end

-- -- work -------------------------------------------------------------------

-- What one run of map consists of.
local function new_run(source, f, options)
  local run = {f = f, group = Group.new(), results = {n = 0}, on_way = 0,
    progress = options.progress}
  run.next_batch, run.total = batches(source, options.batch or 1)
  run.sessions, run.ours = find_sessions(options, run.total)
  local n = run.sessions.n or #run.sessions
  run.window = options.window or 4 * n
  run.jobs = casting.channel(run.window)
  run.done = casting.channel(run.window + n)
  return run
end

local function start(run)
  for i = 1, run.sessions.n or #run.sessions do
    if run.ours then
      run.sessions[i] = casting.session {name = "map " .. i}
    end
    run.group:adopt(run.sessions[i]:spawn(internal.worker, run.f, run.jobs,
      run.done))
  end
end

local function feed(run)
  while run.on_way < run.window do
    local items, first = run.next_batch()
    if not items then return end
    run.on_way = run.on_way + 1
    run.jobs:send(first, items)
  end
end

local function fail(run, number, e, trace)
  if Failure.is(e) then
    e.index = e.index or number
  else
    e = Failure.new {error = e, traceback = trace, index = number}
  end
  run.group.failures[#run.group.failures + 1] = e
  run.group:cancel("item " .. number .. " failed: " .. tostring(e.error))
  error(e, 0)
end

local function keep(run, first, results, number, e, trace)
  if not results then fail(run, number, e, trace) end
  run.on_way = run.on_way - 1
  local all = run.results
  for i = 1, results.n do all[first + i - 1] = results[i] end
  all.n = all.n + results.n
  if run.progress then run.progress(all.n, run.total) end
end

-- A worker has ended while there is work: it has failed for a reason that has
-- nothing to do with an item, or its session was closed, or the news of an item
-- that has failed lie in `done`.
local function worker_ended(run, ok, e)
  if ok and (run.group.count > 0 or #run.done > 0) then return end
  if #run.group.failures > 0 then
    error(Failure.join(run.group.failures), 0)
  end
  error("map: a worker was stopped: " .. tostring(e), 0)
end

local function step(run, which, ...)
  if which == 1 then return keep(run, ...) end
  local _, ok, e = run.group:taken(...)
  worker_ended(run, ok, e)
end

local function work(run)
  start(run)
  local cases = {run.done, run.group.ends}
  feed(run)
  while run.on_way > 0 do
    step(run, casting.select(cases))
    feed(run)
  end
  run.jobs:close()
  run.group:drain()
end

-- All sessions are told to close before the first is waited for: the wait may
-- be interrupted.
local function close(run)
  run.jobs:close()
  if not run.ours then return end
  for i = 1, run.sessions.n do
    local session = run.sessions[i]
    if session then pcall(session.close, session, 0) end
  end
  for i = 1, run.sessions.n do
    if run.sessions[i] then run.sessions[i]:close() end
  end
end

return function(source, f, options)
  internal.checked("map", 3, check, source, f, options)
  options = options or {}
  local run = new_run(source, f, options)
  run.group:guard(function(group)
    close(run)
    group:drain()
  end, work, run)
  close(run)
  return run.results
end
