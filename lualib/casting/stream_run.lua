-- stream_run.lua - runs a stream: pulls items through its stages.
-- SPDX-License-Identifier: MIT
--
-- A stage becomes a function that returns the next item, or nil at the end; the
-- one of a stage calls that of the stage before. So nothing is taken from the
-- source before it is wanted. Where a stage is a map in sessions, there is a
-- pipe (stream_pipe.lua): what comes before it is pulled by a task of its own.
-- All tasks are one group: whatever goes wrong cancels them, and they have
-- ended when the stream has.
--
-- A *context* belongs to a task that pulls. It says what an error is about:
--   number    of the item for which a function is called; nil: of none
--   sending   the chunk that a feeder sends, from item `first` on
--   want      how many items will be pulled for sure, if there are so many;
--             nil: one. So no more are taken out of a channel than are used.
--   sparing   there is a take: one never knows of more than one item

local casting, internal = ...
local error, pcall, tostring, xpcall = error, pcall, tostring, xpcall
local Failures, Group, Pipe =
  internal.failures, internal.group, internal.stream_pipe
local kind, insist, shield = internal.kind, internal.insist, internal.shield

-- -- errors -------------------------------------------------------------------

-- What an error becomes: a failure with the item's number, if it was one of a
-- function of the program's, or of an item that cannot cross.
local function failure(context, e, trace)
  if casting.is_cancelled(e) or Failures.is(e) or e == "not enough memory" then
    return e
  end
  local number = context.number
  if context.sending then
    local i, why = internal.misfit(context.sending)
    number, e = context.first + (i or 1) - 1, why or e
    trace = why or trace
  end
  if not number then return e end
  return Failures.of_item(number, e, trace)
end

-- Calls f(...). Returns true and its result; or false and the error.
local function attempt(context, f, a, b)
  local trace
  local ok, e = xpcall(function() return f(a, b) end, function(e)
    if not casting.is_cancelled(e) and not Failures.is(e) then
      trace = internal.trace(e)
    end
    return e
  end)
  if ok then return true, e end
  return false, failure(context, e, trace or tostring(e))
end

-- -- sources ------------------------------------------------------------------

-- Each returns three functions. `up` returns the next item, or nil at the end.
-- `ready` says whether there is something, or an end, without waiting; it is
-- nil where that is not known. lists(want, items) puts up to so many of the
-- next items into a list that has been used before, and returns it, with its n,
-- or another one, or nil at the end. Where it is not known whether an item
-- comes soon, it looks at the clock now and then.

-- There are so many new items in the list: takes out what was left of others.
-- nil: there are none.
local function seal(items, count)
  for i = count + 1, items.n do items[i] = nil end
  items.n = count
  return count > 0 and items or nil
end

local function list_source(list, n)
  local at = 0
  return function()
    while at < n do
      at = at + 1
      local item = list[at]
      if item ~= nil then return item end
    end
  end, nil, function(want, items)
    local count = 0
    while at < n and count < want do
      at = at + 1
      local item = list[at]
      if item ~= nil then
        count = count + 1
        items[count] = item
      end
    end
    return seal(items, count)
  end
end

-- An item of several values is a list of them.
local function gather(...)
  local list, n = {...}, 8
  while list[n] == nil do n = n - 1 end
  list.n = n
  return list
end

-- As a generic `for` calls it. It is not called again after its end. Values
-- beyond the eighth are dropped: a function with `...` for each item would cost
-- as much as the rest.
local function iterator_source(f, state, control)
  local over = false
  local function next_item()
    local item, b, c, d, e, g, h, i = f(state, control)
    control = item
    if item == nil then
      over = true
    elseif b ~= nil or c ~= nil or d ~= nil then
      return gather(item, b, c, d, e, g, h, i)
    end
    return item
  end
  return function()
    if not over then return next_item() end
  end, nil, function(want, items)
    local count, began = 0, casting.now()
    while count < want and not over do
      -- As next_item, which would be another call for each.
      local item, b, c, d, e, g, h, i = f(state, control)
      control = item
      if item == nil then
        over = true
        break
      elseif b ~= nil or c ~= nil or d ~= nil then
        item = gather(item, b, c, d, e, g, h, i)
      end
      count = count + 1
      items[count] = item
      if count % 4 == 0 and casting.now() - began > Pipe.SLOW then break end
    end
    return seal(items, count)
  end
end

local function channel_source(channel, context)
  local list, at, n, closed = nil, 0, 0, false
  local function fetch(want, timeout)
    local word
    list, word = channel:receive_many(want, timeout)
    at, n, closed = 0, list and #list or 0, word == "closed"
  end
  return function()
    if at == n then
      if closed then return nil end
      fetch(context.want or 1)
      if closed then return nil end
    end
    at = at + 1
    return list[at]
  end, function()
    if at == n and not closed then fetch(context.want or 1, 0) end
    return at < n or closed
  end, function(want)
    if closed then return nil end
    fetch(want)
    if closed then return nil end
    list.n = n
    return list
  end
end

local function open_source(source, context)
  local is = kind(source.from)
  if is == "channel" then return channel_source(source.from, context) end
  if is == "table" then return list_source(source.from, source.n) end
  return iterator_source(source.from, source.state, source.control)
end

-- -- stages -------------------------------------------------------------------

local build

local stages = {}

function stages.source(_, stage, context)
  return open_source(stage, context)
end

function stages.filter(run, stage, context)
  local up, ready = build(run, stage.before, context)
  local f, number = stage.f, 0
  return function()
    while true do
      local item = up()
      if item == nil then return nil end
      number = number + 1
      context.number = number
      local keeps = f(item, number)
      context.number = nil
      if keeps then return item end
    end
  end, ready
end

function stages.batch(run, stage, context)
  local up, ready = build(run, stage.before, context)
  local size, over = stage.size, false
  return function()
    local list, n = {}, 0
    while not over and n < size do
      if not context.sparing then context.want = size - n end
      local item = up()
      if item == nil then
        over = true
      else
        n = n + 1
        list[n] = item
      end
    end
    if n > 0 then return list end
  end, ready
end

function stages.take(run, stage, context)
  context.sparing = true
  local up, ready = build(run, stage.before, context)
  local left = stage.size
  return function()
    if left == 0 then return nil end
    left = left - 1
    local item = up()
    if item == nil then left = 0 end
    return item
  end, ready
end

-- The task that feeds a pipe. It keeps what goes wrong for who waits for its
-- end, as an error crosses no more than it must.
local function start_feeder(run, pipe, context)
  run.group:adopt(casting.spawn(function()
    local ok, e = attempt(context, Pipe.feed, pipe, context)
    if ok then return end
    if casting.is_cancelled(e) then error(e, 0) end
    run.problem = run.problem or {e}
  end))
end

-- Makes the sessions, if none were given, and starts the workers.
local function start_workers(run, stage, pipe, sessions)
  local n = sessions.n
  for i = 1, n > 0 and n or 1 do
    local session = sessions[i]
    if n > 0 and not session then
      run.nmade = run.nmade + 1
      session = casting.session {name = "stream " .. run.nmade}
      run.made[run.nmade] = session
    end
    for _ = 1, stage.options.tasks do
      local f = internal.stream_worker
      run.group:adopt(session and session:spawn(f, stage.f, pipe.jobs,
        pipe.done) or casting.spawn(f, stage.f, pipe.jobs, pipe.done))
    end
  end
end

function stages.map(run, stage)
  local context, options = {}, stage.options
  local up, ready, lists = build(run, stage.before, context)
  -- Those of another pipe are not as long as they have to be.
  if stage.before.is ~= "source" then lists = nil end
  local sessions = options.sessions
  local n = (sessions.n > 0 and sessions.n or 1) * options.tasks
  local pipe = Pipe.new(run, options, n, up, ready, lists)
  start_workers(run, stage, pipe, sessions)
  start_feeder(run, pipe, context)
  run.pipe = pipe
  return function() return Pipe.pull(pipe) end,
    function() return Pipe.ready(pipe) end,
    function() return Pipe.pull_list(pipe) end
end

function build(run, stage, context)
  return stages[stage.is](run, stage, context)
end

-- -- running ------------------------------------------------------------------

-- A member of the group has ended, before the work has.
local function ended(run, number)
  local task, ok, e = run.group:taken(number)
  if run.problem then error(run.problem[1], 0) end
  if not task or ok then return end
  if #run.group.failures > 0 then
    error(Failures.join(run.group.failures), 0)
  end
  error("stream: a worker was stopped: " .. tostring(e), 0)
end

-- Closes what was made. All sessions are asked to close before the first is
-- waited for, as the wait may be interrupted.
local function close(run)
  local closing = run.source.closing
  run.source.closing = nil
  if closing ~= nil then
    pcall(shield, function() closing:close() end)
  end
  for i = 1, run.nmade do
    insist(run.made[i].close, run.made[i], 0)
  end
  for i = 1, run.nmade do run.made[i]:close() end
end

local function source_of(stage)
  while stage.before do stage = stage.before end
  return stage
end

-- Runs the stream that ends with this stage. consume(pull, context, lists)
-- takes its items, by either function: there is a `lists` after a map only,
-- since there the items have come already. Returns what that returns.
return function(stage, consume)
  local group, context = Group.new(), {}
  local run = {group = group, made = {}, nmade = 0, source = source_of(stage)}
  run.ended = function(number) return ended(run, number) end
  local function work()
    local pull, _, lists = build(run, stage, context)
    if run.pipe then run.pipe.last = true end
    local result = consume(pull, context, stage.is == "map" and lists)
    group:cancel("the stream has ended")
    group:drain()
    return result
  end
  local result = group:guard(function(g)
    close(run)
    g:drain()
  end, function()
    local ok, e = attempt(context, work)
    if not ok then error(e, 0) end
    return e
  end)
  close(run)
  return result
end
