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
--   bytes    what was read, while there is no memory for more; or nil
--   out      events to be returned, a list like raw
--   found    directories to be added, which were found by an event, a list
--   seen     number -> names in a new directory that were told as made, so that
--            the events which tell so, too, are not; until all is read; or nil
--   moving   path -> number of a directory that was moved there, until it tells
--            so itself, right after the move; or nil
--   job      what is being added by a helper; nil: nothing
--   anew     after events were lost: all is being found anew
--   doomed   numbers that lost their last path during one of these
--   dropped  numbers that the system was told to drop, and may still tell of
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
--   unwanted  a root that was given up
--   settled; then `why` it failed, or nil, and `word`, which is about that
--
-- `next` does one thing after the other, and each is complete before it waits
-- again: so a cancelled one has lost nothing.

local _, internal = ...
local error, getmetatable, pairs, pcall, setmetatable =
  error, getmetatable, pairs, pcall, setmetatable
local bad, files, kind = internal.bad, internal.files, internal.kind
local Check, Map, Net = internal.check, internal.fs_watch_map,
  internal.net_common

local methods = {}
local Watch = {__name = "casting.watch", __metatable = "casting.watch",
  __index = methods}

-- -- lists -------------------------------------------------------------------

local function new_list()
  return {first = 1, last = 0}
end

local function push(list, v)
  list.last = list.last + 1
  list[list.last] = v
end

local function pop(list)
  local v = list[list.first]
  if v ~= nil then
    list[list.first] = nil
    list.first = list.first + 1
  end
  return v
end

-- -- adding ------------------------------------------------------------------

local function tell(self, what, path, directory, from)
  push(self.out, {kind = what, path = path, from = from,
    type = directory and "directory" or nil})
end

local function release(self, number)
  if self.job or self.anew then
    self.doomed[#self.doomed + 1] = number
  elseif not self.closed then
    self.dropped[number] = true
    files.watch_drop(self.stream, number)
  end
end

-- Releases the doomed numbers that have no path now.
local function release_doomed(self)
  local doomed = self.doomed
  self.doomed = {}
  for i = 1, #doomed do
    if not self.map.names[doomed[i]] then release(self, doomed[i]) end
  end
end

-- The names in a directory that was added.
local function enter_names(self, job, number, names)
  local seen = not job.quiet and {} or nil
  for i = 1, #names, 2 do
    local name, directory = names[i], names[i + 1]
    local path = Map.join(job.path, name)
    if seen then
      seen[name] = true
      tell(self, "made", path, directory)
    end
    if directory and self.tree then
      push(job.into, {given = path, path = path, root = false,
        quiet = job.quiet, into = job.into})
    end
  end
  if not seen then return end
  self.seen = self.seen or {}
  self.seen[number] = seen
end

-- A helper has done the job. Below a root it is wanted if the directory that it
-- was found in is still watched.
local function settle(self, job)
  if job.settled then return end
  local number, directory, names, word = files.watch_result(job.watching)
  local paths = self.map.paths
  job.settled, self.job = true, nil
  if directory == nil then
    job.why, job.word = names, word
  elseif not job.unwanted and
    (job.root or paths[files.watch_parent(job.path)]) then
    self.dropped[number] = nil
    self.map:enter(job.path, number, job.root, directory)
    enter_names(self, job, number, names)
  end
  if number then self.doomed[#self.doomed + 1] = number end
  release_doomed(self)
end

-- Waits for the job that is under way: true; or nil, "timeout".
local function await_job(self, deadline)
  local job = self.job
  while job and not job.settled do
    local ok, why = files.watch_wait(job.watching, Net.left(deadline))
    if not ok then return nil, why end
    settle(self, job)
  end
  return true
end

-- Settles the job if a helper has done it.
local function look_at_job(self)
  local job = self.job
  if job and files.watch_wait(job.watching, 0) then settle(self, job) end
end

-- Begins a job when no other one is under way: true; or nil, why.
local function begin(self, job, deadline)
  while self.job do
    local ok, why = await_job(self, deadline)
    if not ok then return nil, why end
  end
  if self.closed then return nil, "closed" end
  local what = job.quiet and "directories" or "all"
  local watching, why = files.watch_add(self.stream, job.given, not job.root,
    self.tree and what)
  if not watching then return nil, why end
  job.watching, self.job = watching, job
  return true
end

-- A directory below a root could not be added. That it is not there any more is
-- told by events.
local function tell_failed(self, job)
  if not job.why or job.word == "gone" or job.why == "closed" then return end
  push(self.out, {kind = "failed", path = job.path, type = "directory",
    why = job.why})
end

-- Adds a root, with what is below it: true; or nil, why.
local function add_root(self, job)
  local into = job.into
  local ok, why = begin(self, job)
  if ok then ok, why = await_job(self) end
  if not ok then return nil, why end
  if job.why then return nil, job.why end
  for sub in function() return pop(into) end do
    ok, why = begin(self, sub)
    if ok then ok, why = await_job(self) end
    if not ok then return nil, why end
    if sub.word == "full" or sub.why == "closed" then return nil, sub.why end
    tell_failed(self, sub)
  end
  return true
end

-- -- events ------------------------------------------------------------------

-- Reads: true; or nil, why. `seconds` may be 0.
local function read(self, seconds)
  local bytes, why = self.bytes, nil
  if not bytes then bytes, why = self.stream:read(nil, seconds) end
  if not bytes then return nil, why end
  self.bytes = bytes
  local list = files.watch_parse(bytes)
  self.bytes, self.nreads = nil, self.nreads + 1
  for i = 1, #list do
    local e = list[i]
    e.nreads = self.nreads
    push(self.raw, e)
    if e.what == "to" then self.mates[e.cookie or 0] = e end
  end
  return true
end

-- A directory has come to a watch of a tree.
local function find(self, path)
  push(self.found, {given = path, path = path, root = false, quiet = false,
    into = self.found})
end

-- Was the name told as made already?
local function was_seen(self, e)
  local seen = self.seen and self.seen[e.number]
  if not seen or not seen[e.name] then return false end
  seen[e.name] = nil
  return true
end

local function made(self, e, names)
  if was_seen(self, e) then return end
  for i = 1, #names do
    local path = Map.join(names[i], e.name)
    tell(self, "made", path, e.directory)
    if e.directory and self.tree then find(self, path) end
  end
end

-- It is not in this directory any more: nothing of it is watched, but for a
-- path that the program has added, which has events of its own.
local function leave_below(self, path)
  local map = self.map
  local list = map:below(path)
  for i = 1, #list do
    if map.paths[list[i]].root then
      tell(self, "removed", list[i], map.paths[list[i]].directory)
    end
    map:leave(list[i])
  end
  local entry = map.paths[path]
  if entry and not entry.root then map:leave(path) end
end

local function removed(self, e, names)
  was_seen(self, e)
  for i = 1, #names do
    local path = Map.join(names[i], e.name)
    tell(self, "removed", path, e.directory)
    if e.directory then leave_below(self, path) end
  end
end

-- A directory of a tree was moved to that path.
local function follow(self, path)
  local entry = self.map.paths[path]
  if not entry then return find(self, path) end
  self.moving = self.moving or {}
  self.moving[path] = entry.number
end

-- e and `mate` are the two halves; there may be other numbers of paths on both
-- sides.
local function moved(self, e, mate, names)
  local to = self.map:copy_names(mate.number)
  local known = was_seen(self, mate)
  was_seen(self, e)
  for i = 1, #names > #to and #names or #to do
    local from = names[i] and Map.join(names[i], e.name)
    local path = to[i] and Map.join(to[i], mate.name)
    if not from then
      tell(self, "made", path, e.directory)
    elseif not path or known then
      tell(self, "removed", from, e.directory)
    else
      tell(self, "moved", path, e.directory, from)
    end
    if e.directory then
      if from and path then self.map:rename(from, path) end
      if from then leave_below(self, from) end
      if path and self.tree then follow(self, path) end
    end
  end
end

-- Directories that were taken for moved ones have not told so: there was
-- something else by their names when these were added.
local function correct(self)
  local moving = self.moving
  self.moving = nil
  for path, number in pairs(moving) do
    local entry = self.map.paths[path]
    if entry and entry.number == number then
      tell(self, "removed", path, true)
      leave_below(self, path)
      tell(self, "made", path, true)
      find(self, path)
    end
  end
end

-- About what was added itself. Below a root, the directory that it lies in
-- tells of it, too.
local function told_itself(self, e, names)
  local map = self.map
  for i = 1, #names do
    local path = names[i]
    if self.moving and e.what == "left" then self.moving[path] = nil end
    local entry = map.paths[path] -- nil: it was below another of these
    if entry and entry.root then
      local over = e.what == "gone" or e.what == "left"
      tell(self, over and "removed" or e.what, path, entry.directory)
      if over then
        entry.root = false
        leave_below(self, path)
      end
    end
  end
  if e.what == "gone" then map:forget(e.number) end
end

-- Events were lost, and with them perhaps directories that were made or moved:
-- all that is below roots is looked for anew, and what is not found is
-- released. It is told after that, so that who looks at everything then misses
-- nothing.
local function overflow(self)
  local map, others = self.map, {}
  self.seen, self.moving, self.dropped, self.found = nil, nil, {}, new_list()
  for path, entry in pairs(map.paths) do
    if not entry.root then
      others[#others + 1] = path
    elseif self.tree then
      push(self.found, {given = path, path = path, root = true, quiet = true,
        into = self.found})
    end
  end
  self.anew = true
  for i = 1, #others do map:leave(others[i]) end
end

-- The other half of e, if it was read: with one more look, if the two may have
-- been cut apart, or what a directory tells after that.
local function find_mate(self, e)
  local cookie = e.cookie or 0
  local mate = self.mates[cookie]
  if not mate and self.nreads == e.nreads or
    mate and e.directory and self.raw[self.raw.last] == mate then
    read(self, 0) -- what is wrong is told by the next one
  end
  return self.mates[cookie]
end

local NAMED = {changed = true, written = true, attributes = true}

-- Tells of the first event in raw: true; or nil, why.
local function digest(self, deadline)
  local map = self.map
  local e = self.raw[self.raw.first]
  local mate = e.what == "from" and find_mate(self, e)
  local other = mate and not map.names[mate.number] and mate.number or e.number
  if self.job and not map.names[other] and not self.dropped[other] and
    other > 0 then
    return await_job(self, deadline) -- perhaps that is its number
  end
  pop(self.raw)
  if e.what == "to" and self.mates[e.cookie or 0] == e then
    self.mates[e.cookie or 0] = nil
  end
  local names = map:copy_names(e.number)
  if e.what == "overflow" then
    overflow(self)
  elseif e.what == "lost" then
    self.dropped[e.number] = nil
    map:forget(e.number)
  elseif e.used or not names then
    return true -- a half that was told, or of what was dropped
  elseif not e.name then
    told_itself(self, e, names)
  elseif e.what == "made" or e.what == "to" then
    made(self, e, names)
  elseif mate and map.names[mate.number] then
    mate.used = true
    moved(self, e, mate, names)
  elseif e.what == "removed" or e.what == "from" then
    removed(self, e, names)
  elseif NAMED[e.what] then
    for i = 1, #names do
      tell(self, e.what, Map.join(names[i], e.name), e.directory)
    end
  end
  return true
end

-- Adds a directory that was found.
local function explore(self, deadline)
  local job = self.found[self.found.first]
  if not job.watching then
    local ok, why = begin(self, job, deadline)
    if not ok then return nil, why end
  end
  while not job.settled do
    local ok, why = await_job(self, deadline)
    if not ok then return nil, why end
  end
  if self.found[self.found.first] == job then pop(self.found) end
  tell_failed(self, job)
  return true
end

-- An event; or nil, why.
local function take(self, deadline)
  while true do
    if self.closed then return nil, "closed" end
    local ok, why = true
    local event = pop(self.out)
    if event then return event end
    look_at_job(self)
    if self.found.first <= self.found.last then
      ok, why = explore(self, deadline)
    elseif self.anew then
      self.anew = false
      release_doomed(self)
      push(self.out, {kind = "overflow"})
    elseif self.raw.first <= self.raw.last then
      ok, why = digest(self, deadline)
    elseif self.moving then
      correct(self)
    elseif self.seen then
      ok, why = read(self, 0)
      if not ok and why == "timeout" then
        ok, self.seen = true, nil -- all is read that was told before
      end
    else
      ok, why = read(self, Net.left(deadline))
    end
    if not ok then return nil, why end
  end
end

-- -- methods -----------------------------------------------------------------

function Watch.new(path, tree)
  local stream, why = files.watch_open(path)
  if not stream then return nil, why end
  local self = {stream = stream, tree = tree or false, title = path,
    raw = new_list(), mates = {}, nreads = 0, out = new_list(),
    found = new_list(), doomed = {}, dropped = {}}
  self.map = Map.new(self.tree, function(number) release(self, number) end)
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

-- watch:add(path): true; or nil, why.
function methods:add(path)
  local key = check_path(self, "add", path)
  local entry = self.map.paths[key]
  local again = entry and entry.root
  local job = {given = path, path = key, root = true, quiet = true,
    into = new_list()}
  local ok, done, why = pcall(add_root, self, job)
  if ok and done then return true end
  if not job.settled then job.unwanted = true end
  entry = self.map.paths[key]
  if not again and entry and entry.root then self.map:drop(key) end
  if not ok then error(done, 0) end
  if why == "closed" then return nil, why end
  return nil, path .. ": " .. why
end

-- watch:drop(path): true; false if it was not added.
function methods:drop(path)
  local key = check_path(self, "drop", path)
  local entry = self.map.paths[key]
  if self.closed or not entry or not entry.root then return false end
  look_at_job(self)
  self.map:drop(key)
  local kept = new_list()
  for event in function() return pop(self.out) end do
    if not event.path or self.map:covers(event.path) then push(kept, event) end
  end
  self.out = kept
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
