-- fs_watcher.lua - watches, what fs.watch returns, and their methods.
-- SPDX-License-Identifier: MIT
--
-- A watch reads from a stream what the system tells of it (internal.files).
-- Fields:
--   stream   the descriptor, a watcher of the system's
--   map      the paths that are watched: fs_watch_map.lua
--   tree     with all directories below
--   title    the first path, for tostring
--   raw      what was read and not told yet: a list from raw.first to raw.last
--   mates    cookie -> the event in raw that tells the new name
--   nreads   how often something was read
--   nbytes   how many bytes were read; an event has `at`, where it ends there
--   bytes    what was read, while there is no memory for more; or false; and
--   kept     how many events were in raw before that
--   out      what is to be returned, a list like raw of {event=, own=}; own: it
--            tells of what the program has added, by its own number
--   found    directories to be added, which were found by an event, a list
--   again    jobs that found nothing by their path: perhaps events that are not
--            read yet tell of another one; a list
--   adding   the lists into which tasks put what they add, a set
--   adds     path -> {count=, keep=}: how many tasks are adding it, and whether
--            it stays if those fail
--   seen     the set of the `seen` of entries, until all is read; or nil
--   moving   path -> {number=, from=}: a directory that was moved there, until
--            it tells so itself, right after the move; or nil
--   job      what is being added by a helper; nil: nothing
--   anew     after events were lost: all is being found anew
--   doomed   numbers that lost their last path during one of these
--   unsure   a step is under way; so if one begins, the last one was broken off
--            for lack of memory: all is found anew, as after events were lost
--   dropped  numbers that are dropped or gone, and may still be told of
--   waiting  a task is in `next`
--   closed
--
-- A helper adds one path at a time. The task that asked may be cancelled, so
-- whoever comes next settles the job: the result is entered into the map, or if
-- nobody wants it any more it is released. So no path remains that is watched
-- and not known; and since no number is released while a helper may be finding
-- another path of it, none is known that is not watched.
--
-- A job:
--   watching  what internal.files knows it by
--   given     the path for the system
--   path      the path in the map
--   root      see the map
--   quiet     what is in it is not told as made
--   into      where directories in it are put
--   unwanted  a root that was given up; a directory that is there no more
--   again     a root that is found anew: it may be dropped meanwhile
--   tells     if it is there it is told as made
--   afresh    what is in it is not known, even if its number is
--   since     how many bytes of events there were when it was begun
--   stale     its path is another one since it was begun
--   began     nreads, if all was told then that was read
--   settled; then `why` it failed, or nil, and `word`, which is about that
--
-- `next` does one thing after the other, and each is complete before it waits
-- again: so a cancelled one has lost nothing.

local _, internal = ...
local error, getmetatable, pcall, setmetatable =
  error, getmetatable, pcall, setmetatable
local bad, files, kind = internal.bad, internal.files, internal.kind
local Check, Net = internal.check, internal.net_common
local Events, Jobs, Map =
  internal.fs_watch_events, internal.fs_watch_jobs, internal.fs_watch_map

local methods = {}
local Watch = {__name = "casting.watch", __metatable = "casting.watch",
  __index = methods}

-- -- events ------------------------------------------------------------------

-- Reads: true; or nil, why. `seconds` may be 0. What was read is parsed again
-- if there was no memory for that.
local function read(self, seconds)
  local raw = self.raw
  if self.bytes then
    raw.last = self.kept
  else
    local bytes, why = self.stream:read(nil, seconds)
    if not bytes then return nil, why end
    self.bytes, self.nbytes, self.kept = bytes, self.nbytes + #bytes, raw.last
  end
  local list = files.watch_parse(self.bytes, self.nbytes - #self.bytes)
  for i = 1, #list do
    local e = list[i]
    e.nreads = self.nreads + 1
    Jobs.push(raw, e)
    if e.what == "to" then self.mates[e.cookie or 0] = e end
  end
  self.bytes, self.nreads = false, self.nreads + 1
  return true
end

-- Does the other half of e, or what a directory tells after that, call for one
-- more look? They may have been cut apart.
local function wants_look(self, e)
  local mate = self.mates[e.cookie or 0]
  if e.what ~= "from" or e.looked then return false end
  return not mate and self.nreads == e.nreads or
    mate and e.directory and self.raw[self.raw.last] == mate
end

-- Tells of the first event in raw: true; or nil, why.
local function digest_first(self, deadline)
  local names = self.map.names
  local e = self.raw[self.raw.first]
  if wants_look(self, e) then
    e.looked = true
    read(self, 0) -- what is wrong is told by the next one
    return true
  end
  local cookie = e.cookie or 0
  local mate = e.what == "from" and self.mates[cookie]
  local other = mate and not names[mate.number] and mate.number or e.number
  if self.job and not names[other] and not self.dropped[other] and
    other > 0 then
    return Jobs.await(self, deadline) -- perhaps that is its number
  end
  self.unsure = true
  Jobs.pop(self.raw)
  if self.mates[cookie] == e then self.mates[cookie] = nil end
  Events.digest(self, e, mate)
  self.unsure = false
  return true
end

-- Reads what is there already.
local function catch_up(self)
  local ok, why = read(self, 0)
  if ok or why ~= "timeout" then return ok, why end
  Jobs.forget_seen(self)
  Jobs.try_again(self)
  return true
end

-- Does the next thing: true; or nil, why. `late`: there was no time to wait for
-- the helper, so only what has happened already is told.
local function step(self, deadline, late)
  if self.bytes then return read(self, 0) end
  local found = self.found.first <= self.found.last
  if late and self.anew then return nil, "timeout" end
  if found and not late then return Jobs.explore(self, deadline) end
  if self.anew then
    Jobs.push(self.out, {own = false, event = {kind = "overflow"}})
    self.anew = false
    Jobs.release_doomed(self)
  elseif self.raw.first <= self.raw.last then
    return digest_first(self, deadline)
  elseif self.moving then
    self.unsure = true
    Events.correct(self)
    self.unsure = false
  elseif late then
    return read(self, 0)
  elseif self.seen or self.again.first <= self.again.last then
    return catch_up(self)
  else
    return read(self, Net.left(deadline))
  end
  return true
end

-- An event; or nil, why.
local function take(self, deadline)
  local late = false
  while true do
    if self.closed then return nil, "closed" end
    Jobs.look(self)
    if self.unsure then
      Events.overflow(self)
      self.unsure = false
    end
    local told = Jobs.pop(self.out)
    if told then return told.event end
    local ok, why = step(self, deadline, late)
    if not ok and (late or why ~= "timeout" or
      self.found.first > self.found.last) then
      return nil, why
    end
    late = late or not ok
  end
end

-- -- methods -----------------------------------------------------------------

function Watch.new(path, tree)
  local stream, why = files.watch_open(path)
  if not stream then return nil, why end
  local new_list = Jobs.new_list
  local self = {stream = stream, tree = tree or false, title = path,
    raw = new_list(), mates = {}, nreads = 0, nbytes = 0, bytes = false,
    kept = 0, out = new_list(), found = new_list(), again = new_list(),
    adding = {}, adds = {}, doomed = {}, dropped = {}, unsure = false,
    anew = false, waiting = false, closed = false}
  self.map = Map.new(self.tree, function(number)
    Jobs.release(self, number)
  end)
  return setmetatable(self, Watch)
end

local function check(self, name)
  if getmetatable(self) ~= Watch then
    bad(1, name, "watch expected, got " .. kind(self))
  end
end

-- The path by which the map knows it.
local function check_path(self, name, path)
  check(self, name)
  Check.expect(2, name, path, "string")
  local key = files.watch_key(path)
  if not key then bad(2, name, "a path has a zero byte") end
  return key
end

-- watch:next([timeout]): an event; or nil, "timeout"; or nil, "closed".
function methods:next(timeout)
  check(self, "next")
  Net.check_seconds(2, "next", "timeout", timeout)
  if self.waiting then
    error("next: another task is waiting for this watch", 2)
  end
  self.waiting = true
  local ok, event, why = pcall(take, self, Net.deadline(timeout))
  self.waiting = false
  if not ok then error(event, 0) end
  return event, why
end

-- Raises the error of a call that was broken off. If that was in the middle of
-- a step, the task that waits for events is woken, and tells of an overflow.
local function fail(self, e)
  if self.unsure then pcall(Jobs.ring, self) end
  error(e, 0)
end

-- Several tasks may be adding one path.
local function begin_add(self, key)
  local adds, entry = self.adds[key], self.map.paths[key]
  if not adds then
    adds = {count = 0, keep = entry and entry.root or false}
    self.adds[key] = adds
  end
  adds.count = adds.count + 1
  return adds
end

-- If all have failed, it is not watched, unless it was before.
local function end_add(self, key, adds, done)
  adds.count = adds.count - 1
  adds.keep = adds.keep or done
  if adds.count > 0 then return end
  self.adds[key] = nil
  local entry = self.map.paths[key]
  if not adds.keep and entry and entry.root then self.map:drop(key) end
end

-- watch:add(path): true; or nil, why.
function methods:add(path)
  local key = check_path(self, "add", path)
  local job = {given = path, path = key, root = true, quiet = true,
    into = Jobs.new_list()}
  local adds = begin_add(self, key)
  self.adding[job.into] = true
  local ok, done, why = pcall(Jobs.add_root, self, job)
  self.adding[job.into] = nil
  end_add(self, key, adds, ok and done)
  if ok and done then return true end
  if not job.settled then job.unwanted = true end
  if not ok then fail(self, done) end
  if why == "closed" then return nil, why end
  return nil, path .. ": " .. why
end

-- Is it told although that path was dropped?
local function keeps(self, told, path)
  local event = told.event
  if not event.path or self.map:covers(event.path) then return true end
  if event.path == path then return false end
  return told.own or not files.watch_below(event.path, path)
end

local function drop(self, key)
  Jobs.look(self, true)
  self.unsure = true -- until it is done
  self.map:drop(key)
  local kept = Jobs.new_list()
  for i = self.out.first, self.out.last do
    if keeps(self, self.out[i], key) then Jobs.push(kept, self.out[i]) end
  end
  self.out, self.unsure = kept, false
end

-- watch:drop(path): true; false if it was not added.
function methods:drop(path)
  local key = check_path(self, "drop", path)
  local entry = self.map.paths[key]
  if self.closed or not entry or not entry.root then return false end
  local ok, e = pcall(drop, self, key)
  if not ok then fail(self, e) end
  return true
end

-- watch:close(): true; false if it was closed before.
function methods:close()
  check(self, "close")
  if self.closed then return false end
  self.closed = true
  self.stream:close()
  return true
end

-- For `for event in watch do`.
function Watch:__call()
  return methods.next(self)
end

-- Lua passes an error, if there is one, as an argument more.
function Watch:__close()
  methods.close(self)
end

function Watch:__tostring()
  check(self, "__tostring")
  return self.closed and "watch (closed)" or "watch: " .. self.title
end

function Watch.__save()
  error("a watch is used in its own session only", 0)
end

return Watch
