-- map.lua - casting.map: a function applied to many items, in many sessions.
-- SPDX-License-Identifier: MIT
--
-- Batches of items go to the workers through one channel, and their results
-- come back through another. At most `window` batches are on their way, and
-- both channels have room for these: so neither side ever waits to send, and an
-- endless source, or a slow caller, does not fill the memory.

local casting, internal = ...
local error, pcall, tostring = error, pcall, tostring
local Check, Failures, Group = internal.check, internal.failures, internal.group
local bad, got, kind = internal.bad, internal.got, internal.kind
local read_sessions = internal.map_sessions
local insist = internal.insist -- loaded now: later there may be no memory

local COUNT = 1000000000 -- items at most

-- -- arguments ----------------------------------------------------------------

local function check_source(source)
  local is = kind(source)
  if is ~= "table" and is ~= "function" and is ~= "channel" then
    bad(1, "map", "list, iterator or channel expected, got " .. is)
  end
  if is ~= "table" then return end
  local n, problem = Check.length(source)
  if not n then bad(1, "map", problem) end
  return n
end

local function check_function(f)
  Check.expect(2, "map", f, "function")
  local crosses, why = internal.spawnable(f)
  if not crosses then bad(2, "map", why) end
end

-- The option of that name, a number of something, or the default.
local function read_count(options, name, default)
  local v = options[name]
  if v == nil then return default end
  if not Check.is_integer(v, 1, COUNT) then
    bad(3, "map", name .. " must be an integer from 1 on, " .. COUNT ..
      " at most, got " .. got(v))
  end
  return v
end

local KNOWN = {sessions = true, window = true, batch = true, progress = true}

-- Each option is read once: an __index could return another value each time.
local function read_options(options, total)
  options = Check.options(3, "map", options, KNOWN)
  local o = {batch = read_count(options, "batch", 1)}
  o.sessions, o.ours = read_sessions(3, "map", options.sessions, 1,
    total)
  o.window = read_count(options, "window", 4 * o.sessions.n)
  o.progress = options.progress
  local problem = Check.mismatch("progress", o.progress, "function")
  if problem then bad(3, "map", problem) end
  return o
end

-- -- items ------------------------------------------------------------------

-- A function that returns the next batch of a list or an iterator.
local function batches(source, size, total)
  local at = 0
  local next_item = source
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
    return items
  end
end

-- A batch that begins with an item which has come out of a channel. If there
-- are not enough in there at the moment, they are not waited for: the sender
-- may wait for the results of these.
local function batch_of(channel, item, size)
  local items = {n = 0}
  repeat
    items.n = items.n + 1
    items[items.n] = item
    if items.n < size then item = channel:try_receive() end
  until items.n == size or item == nil
  return items
end

-- -- work -------------------------------------------------------------------

-- One call of map.
--   f, progress, window   as they were given
--   total                 how many items there are; nil: the source decides
--   channel               the source, if that is a channel; false: it has no
--                         item more, or is something else
--   next_batch            else returns the next batch; nil: there is none
--   batch                 how many items one has at most
--   sent                  how many items were sent
--   sessions, ours        where the workers run; whether map has made these
--   jobs, done            the channels to the workers, and back
--   group                 the workers
--   on_way                how many batches are on their way
--   results               of the items, by their number; n: how many are there
local function new_run(source, f, total, options)
  local window, n = options.window, options.sessions.n
  local channel = kind(source) == "channel" and source
  return {f = f, group = Group.new(), results = {n = 0}, on_way = 0, sent = 0,
    progress = options.progress, total = total, window = window,
    batch = options.batch, channel = channel,
    next_batch = not channel and batches(source, options.batch, total),
    sessions = options.sessions, ours = options.ours,
    jobs = casting.channel(window), done = casting.channel(window + n)}
end

-- Makes the sessions, if none were given, and starts a worker in each.
local function start(run)
  for i = 1, run.sessions.n do
    if run.ours then
      run.sessions[i] = casting.session {name = "map " .. i}
    end
    run.group:adopt(run.sessions[i]:spawn(internal.worker, run.f, run.jobs,
      run.done))
  end
end

-- The item of that number has failed: cancels the workers and raises the
-- failure, which the group has from then on, too.
local function fail(run, number, e, trace)
  if Failures.is(e) then
    e.index = e.index or number
  else
    e = Failures.of_item(number, e, trace)
  end
  run.group.failures[#run.group.failures + 1] = e
  run.group:cancel("item " .. number .. " failed: " .. tostring(e.error))
  error(e, 0)
end

-- The items from number `first` on could not be sent: an item cannot cross.
-- There is room for the message, so the send has not waited.
local function unsent(run, first, items, e)
  if casting.is_cancelled(e) then error(e, 0) end
  local i, why = internal.misfit(items)
  why = why or e
  fail(run, first + (i or 1) - 1, why, internal.trace(why))
end

local function send(run, items)
  local first = run.sent + 1
  run.sent = run.sent + items.n
  run.on_way = run.on_way + 1
  local ok, e = pcall(run.jobs.send, run.jobs, first, items)
  if not ok then unsent(run, first, items, e) end
end

-- Sends batches of a list or an iterator until `window` are on their way.
local function feed(run)
  while run.next_batch and run.on_way < run.window do
    local items = run.next_batch()
    if not items then return end
    send(run, items)
  end
end

-- The channel that is the source had an item; nil: it is closed.
local function receive(run, item)
  if item == nil then
    run.channel = false
  else
    send(run, batch_of(run.channel, item, run.batch))
  end
end

-- A message of a worker has come (see worker.lua): keeps the results in it.
local function keep(run, first, results, number, e, trace)
  if not results then fail(run, number, e, trace) end
  run.on_way = run.on_way - 1
  local all = run.results
  for i = 1, results.n do all[first + i - 1] = results[i] end
  all.n = all.n + results.n
  if run.progress then run.progress(all.n, run.total) end
end

-- A worker has ended before the work has. Either an item has failed, and the
-- message about that still lies in `done`: then that is raised when it is
-- received. Or the worker has failed for a reason that has nothing to do with
-- an item, or its session was closed.
local function worker_ended(run, ok, e)
  if ok and (run.group.count > 0 or #run.done > 0) then return end
  if #run.group.failures > 0 then
    error(Failures.join(run.group.failures), 0)
  end
  error("map: a worker was stopped: " .. tostring(e), 0)
end

-- One of the channels {done, ends, source} had a message.
local function step(run, which, ...)
  if which == 1 then return keep(run, ...) end
  if which == 3 then return receive(run, ...) end
  local task, ok, e = run.group:taken(...)
  if task then worker_ended(run, ok, e) end
end

-- All of the work: to be called under the group's guard. The source, if that is
-- a channel, is waited for together with the results, so that a failure is seen
-- at once, and `progress` is called while nothing comes.
local function work(run)
  start(run)
  local cases = {run.done, run.group.ends}
  feed(run)
  while run.on_way > 0 or run.channel do
    cases[3] = run.on_way < run.window and run.channel
    step(run, casting.select(cases))
    feed(run)
  end
  run.jobs:close()
  run.group:drain()
end

-- Closes what map has made. All sessions are asked to close before the first is
-- waited for, as the wait may be interrupted.
local function close(run)
  run.jobs:close()
  if not run.ours then return end
  for i = 1, run.sessions.n do
    local session = run.sessions[i]
    if session then insist(session.close, session, 0) end
  end
  for i = 1, run.sessions.n do
    if run.sessions[i] then run.sessions[i]:close() end
  end
end

return function(source, f, options)
  local total = check_source(source)
  check_function(f)
  local o = read_options(options, total)
  Check.crosses(2, "map", f, o.sessions.n)
  local run = new_run(source, f, total, o)
  run.group:guard(function(group)
    close(run)
    group:drain()
  end, work, run)
  close(run)
  return run.results
end
