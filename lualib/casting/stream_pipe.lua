-- stream_pipe.lua - a stream:map that runs: items out to workers, results back.
-- SPDX-License-Identifier: MIT
--
-- A task of its own, the feeder, takes items from what comes before, and sends
-- them to the workers in chunks; who pulls the results takes them from the
-- workers. Both run in the session of the stream, so they share this table, and
-- neither loses control but where it waits. Invariants:
--   1. on_way is the number of items that were sent and whose chunk was not
--      pulled to its end: never more than `limit`. So neither channel fills the
--      memory, and jobs, which is unbounded, never waits.
--   2. If the feeder waits at the gate, `waiting` is set, and something is on
--      its way: so somebody will pull, and open the gate.
--   3. When the feeder has ended and nothing is on its way, `done` is closed,
--      or who pulls has not begun to wait.
--
--   up, ready, lists  what comes before: see stream_run.lua
--   buffer        the list for `lists`: what is in it is copied when it is sent
--   jobs, done    the channels to the workers, and back (stream_worker.lua)
--   ordered       whether results come in the order of the items
--   held          results that came too early: number of the first item -> list
--   due           the number of the item that is next in order
--   size, most    how many items are in a chunk, and may be; fixed: it stays
--   results, at   the list that is being pulled, and how far
--   finished      of how many items there are results

local casting, internal = ...
local error = error
local Failures = internal.failures

local QUICK = 0.0005 -- seconds for a chunk that are few
local SLOW = 0.002 -- and too many

local MOST = 256 -- items in a chunk

local Pipe = {SLOW = SLOW}

local NONE = {n = 0}

-- `n` workers will take its jobs.
function Pipe.new(run, options, n, up, ready, lists)
  local window = options.window
  local most = options.batch or MOST
  if window then
    local share = (window - window % (2 * n)) / (2 * n)
    if most > share then most = share > 1 and share or 1 end
  end
  local pipe = {run = run, up = up, ready = ready, lists = lists,
    buffer = {n = 0}, ordered = options.ordered,
    progress = options.progress, size = options.batch and most or 1,
    most = most, fixed = options.batch ~= nil, limit = window or 4 * n,
    share = not window and 4 * n,
    jobs = casting.channel(1 / 0), done = casting.channel(4 * n + 64),
    gate = casting.channel(1), waiting = false, ended = false, sent = 0,
    on_way = 0, held = {}, due = 1, results = NONE, at = 0, finished = 0}
  Pipe.resize(pipe, pipe.size)
  return pipe
end

-- From now on a chunk has so many items. Without a window, as many chunks as
-- before are on their way.
function Pipe.resize(pipe, size)
  pipe.size = size
  if pipe.share then pipe.limit = pipe.share * size end
end

-- -- feeding ------------------------------------------------------------------

-- An item should not wait long for others that go with it.
local function hurry(pipe, began)
  if not pipe.fixed and casting.now() - began > SLOW then
    Pipe.resize(pipe, 1)
  end
end

-- The same of what comes straight from a source that waits for no more than one
-- item, if it can tell.
local function fill_list(pipe, size)
  local began = casting.now()
  local items = pipe.lists(size, pipe.buffer)
  if size > 1 and not pipe.ready then hurry(pipe, began) end
  return items
end

-- The next chunk, a list with its n; nil: there is nothing more. Items of a
-- source that has no more at the moment are not waited for.
local function fill(pipe, context)
  if pipe.over then return nil end
  local up, ready, size = pipe.up, pipe.ready, pipe.size
  local free = pipe.limit - pipe.on_way
  if size > free then size = free end
  if not context.sparing then context.want = size end
  if pipe.lists then return fill_list(pipe, size) end
  local item = up()
  if item == nil then return nil end
  if size == 1 then return {n = 1, item} end
  local items, n, began = {item}, 1, casting.now()
  while n < size and (not ready or ready()) do
    item = up()
    if item == nil then
      pipe.over = true
      break
    end
    n = n + 1
    items[n] = item
  end
  hurry(pipe, began)
  items.n = n
  return items
end

-- What the feeder does, with its context (stream_run.lua).
function Pipe.feed(pipe, context)
  while true do
    while pipe.on_way >= pipe.limit do
      pipe.waiting = true
      pipe.gate:receive()
    end
    local items = fill(pipe, context)
    if not items then break end
    local first = pipe.sent + 1
    pipe.sent = pipe.sent + items.n
    pipe.on_way = pipe.on_way + items.n
    context.first, context.sending = first, items
    pipe.jobs:send(first, items)
    context.sending = nil
  end
  pipe.ended = true
  pipe.jobs:close()
  if pipe.on_way == 0 then pipe.done:close() end
end

-- -- pulling ------------------------------------------------------------------

-- Chunks grow as long as they are quick, so a channel costs little for each
-- item, and no item waits long for others.
local function pace(pipe, n, seconds)
  if pipe.fixed or n < pipe.size then return end
  if seconds < QUICK then
    local size = pipe.size * 2
    Pipe.resize(pipe, size < pipe.most and size or pipe.most)
  elseif seconds > SLOW and pipe.size > 1 then
    Pipe.resize(pipe, (pipe.size - pipe.size % 2) / 2)
  end
end

-- These results are the next to be pulled.
local function begin(pipe, results)
  pipe.results, pipe.at = results, 0
  pipe.due = pipe.due + results.n
  return true
end

-- The results that were pulled last are not on their way any more.
local function settle(pipe)
  pipe.on_way = pipe.on_way - pipe.results.n
  pipe.results, pipe.at = NONE, 0
  if pipe.waiting and pipe.on_way < pipe.limit then
    pipe.waiting = false
    pipe.gate:try_send(true)
  end
end

-- A message of a worker has come. True: there is something to pull; false:
-- there is nothing more; nil: neither.
local function taken(pipe, first, results, number, ...)
  if first == nil then return false end
  if results == false then
    local e, trace = ...
    error(Failures.is(e) and e or Failures.of_item(number, e, trace), 0)
  elseif results == true then
    if pipe.progress then pipe.progress(pipe.finished, number, ...) end
    return nil
  end
  pipe.finished = pipe.finished + results.n
  pace(pipe, results.n, number) -- here, the seconds
  if pipe.progress then pipe.progress(pipe.finished) end
  if not pipe.ordered or first == pipe.due then return begin(pipe, results) end
  pipe.held[first] = results
  return nil
end

-- A member of the run's group has ended, or a worker has something.
local function selected(pipe, which, ...)
  if which == 1 then return taken(pipe, ...) end
  pipe.run.ended(...)
  return nil
end

local function tried(pipe, first, word, ...)
  if first ~= nil or word ~= "empty" then
    return taken(pipe, first, word, ...)
  end
  return selected(pipe, casting.select {pipe.done, pipe.run.group.ends})
end

-- Waits for the next results. Only the last pipe of a stream, which the caller
-- of the stream pulls, looks after the ends of tasks.
local function advance(pipe)
  settle(pipe)
  while true do
    local results = pipe.held[pipe.due]
    if results then
      pipe.held[pipe.due] = nil
      return begin(pipe, results)
    end
    if pipe.on_way == 0 and pipe.ended then return false end
    local more
    if pipe.last then
      more = tried(pipe, pipe.done:try_receive())
    else
      more = taken(pipe, pipe.done:receive())
    end
    if more ~= nil then return more end
  end
end

-- The next result; nil: there are no more.
function Pipe.pull(pipe)
  while true do
    local results = pipe.results
    local at = pipe.at
    while at < results.n do
      at = at + 1
      local v = results[at]
      if v ~= nil then
        pipe.at = at
        return v
      end
    end
    pipe.at = at
    if not advance(pipe) then return nil end
  end
end

-- The same for lists of results, in which there may be nil.
function Pipe.pull_list(pipe)
  if not advance(pipe) then return nil end
  pipe.at = pipe.results.n
  return pipe.results
end

-- Is there a result, or soon an end, without waiting?
function Pipe.ready(pipe)
  return pipe.at < pipe.results.n or #pipe.done > 0 or
    (pipe.ended and pipe.on_way == 0)
end

return Pipe
