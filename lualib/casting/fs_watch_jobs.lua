-- fs_watch_jobs.lua - how a watch adds paths, by helpers.
-- SPDX-License-Identifier: MIT
--
-- The fields of a watch and of a job are told in fs_watcher.lua.

local _, internal = ...
local pairs = pairs
local files, Map, Net =
  internal.files, internal.fs_watch_map, internal.net_common

local Jobs = {}

-- -- lists -------------------------------------------------------------------

function Jobs.new_list()
  return {first = 1, last = 0}
end

function Jobs.push(list, v)
  list[list.last + 1] = v
  list.last = list.last + 1
end

function Jobs.pop(list)
  local v = list[list.first]
  if v ~= nil then
    list[list.first] = nil
    list.first = list.first + 1
  end
  return v
end

-- -- adding ------------------------------------------------------------------

function Jobs.tell(self, what, path, directory, from, own)
  Jobs.push(self.out, {own = own or false, event = {kind = what, path = path,
    from = from, type = directory and "directory" or nil}})
end

function Jobs.release(self, number)
  if self.job or self.anew then
    self.doomed[#self.doomed + 1] = number
  elseif not self.closed then
    self.dropped[number] = true
    files.watch_drop(self.stream, number)
  end
end

-- Releases the doomed numbers that have no path now, if it is known.
function Jobs.release_doomed(self)
  local doomed = self.doomed
  if self.job or self.anew then return end
  for i = #doomed, 1, -1 do
    if not self.map.names[doomed[i]] then Jobs.release(self, doomed[i]) end
    doomed[i] = nil
  end
end

-- A directory to be looked for by that path, and what is below it.
local function new_job(path, quiet, into)
  return {given = path, path = path, root = false, quiet = quiet, into = into}
end

-- Has the task that is in `next` look again.
function Jobs.ring(self)
  if not self.waiting then return end
  local number = files.watch_ring(self.stream)
  if number then self.dropped[number] = true end
end

-- The names in a directory that was added.
local function enter_names(self, job, names, sure)
  local seen = not job.quiet and {} or nil
  for i = 1, #names, 2 do
    local name, directory = names[i], names[i + 1]
    local path = Map.join(job.path, name)
    if seen then
      seen[name] = true
      Jobs.tell(self, "made", path, directory)
    end
    if directory and self.tree then
      Jobs.push(job.into, new_job(path, job.quiet, job.into))
    end
  end
  if not seen then return end
  local entry = self.map.paths[job.path]
  entry.seen = {names = seen, sure = sure}
  self.seen = self.seen or {}
  self.seen[entry.seen] = true
end

-- All is read.
function Jobs.forget_seen(self)
  for seen in pairs(self.seen or {}) do seen.names = nil end
  self.seen = nil
end

-- Below a root it is wanted if the directory that it was found in is still
-- watched.
local function is_wanted(self, job)
  local paths = self.map.paths
  if job.unwanted then return false end
  if job.again then return paths[job.path] and paths[job.path].root end
  return job.root or paths[files.watch_parent(job.path)] ~= nil
end

-- What a helper has found: the events that are queued may be older.
local function enter(self, job, number, directory, names, link)
  local sure = self.nbytes + files.watch_queued(self.stream)
  local old = self.map.paths[job.path]
  local known = old and old.number == number and old.told
  local entry = self.map:enter(job.path, number, job.root, directory, job.since,
    sure)
  self.dropped[number] = nil
  entry.link = link
  if directory and not job.quiet then entry.told = job.since end
  if job.tells then Jobs.tell(self, "made", job.path, directory) end
  -- What is in one that was told is known.
  if not known or job.root or job.afresh then
    enter_names(self, job, names, sure)
  end
end

-- What was not found by its path, or by an old one, is looked for again; what
-- is in it then is told, also if it was there: more may have come.
local function put_aside(self, job, adds)
  local again = new_job(job.path, false, self.found)
  again.began, again.tells = not job.stale and job.began, job.tells
  again.afresh = job.afresh
  Jobs.push(self.again, again)
  if adds then Jobs.ring(self) end
end

-- A root is not there any more, and its end was not told.
local function lose_root(self, job)
  local entry = self.map.paths[job.path]
  Jobs.tell(self, "removed", job.path, entry.directory, nil, true)
  self.map:leave(job.path)
end

-- Settles the job: false if no helper has done it yet. `adds`: not by the task
-- that is in `next`.
local function settle(self, job, adds)
  if job.settled then return true end
  local number, directory, names, word = files.watch_result(job.watching)
  if number == false then return false end
  if number then self.doomed[#self.doomed + 1] = number end
  job.settled, self.job, self.unsure = true, nil, true
  local wanted = is_wanted(self, job)
  if directory == nil and not job.stale then job.why, job.word = names, word end
  if wanted and (job.stale or word == "gone" and not job.root) then
    put_aside(self, job, adds)
  elseif wanted and word == "gone" and job.again then
    lose_root(self, job)
  elseif wanted and directory ~= nil then
    enter(self, job, number, directory, names, word == "link")
  end
  Jobs.release_doomed(self)
  self.unsure = false
  return true
end

-- Waits for the job that is under way: true; or nil, "timeout".
function Jobs.await(self, deadline, adds)
  local job = self.job
  while job and not job.settled do
    local ok, why = files.watch_wait(job.watching, Net.left(deadline))
    if not ok then return nil, why end
    settle(self, job, adds)
  end
  return true
end

-- Settles the job if a helper has done it.
function Jobs.look(self, adds)
  if self.job then settle(self, self.job, adds) end
end

-- Begins a job when no other one is under way: true; or nil, why.
local function begin(self, job, deadline, adds)
  while self.job do
    local ok, why = Jobs.await(self, deadline, adds)
    if not ok then return nil, why end
  end
  if self.closed then return nil, "closed" end
  local what = job.quiet and "directories" or "all"
  job.since = self.nbytes + files.watch_queued(self.stream)
  local watching, why = files.watch_add(self.stream, job.given, not job.root,
    self.tree and what)
  if not watching then return nil, why end
  job.watching, self.job = watching, job
  if self.raw.first > self.raw.last and not self.bytes then
    job.began = self.nreads
  end
  return true
end

-- A directory below a root could not be added. That it is not there any more is
-- told by events. `adds`: not by the task that is in `next`.
local function tell_failed(self, job, adds)
  if not job.why or job.word == "gone" or job.why == "closed" then return end
  Jobs.push(self.out, {own = false, event = {kind = "failed", path = job.path,
    type = "directory", why = job.why}})
  if adds then Jobs.ring(self) end
end

-- Adds a root, with what is below it: true; or nil, why.
function Jobs.add_root(self, job)
  local into = job.into
  local ok, why = begin(self, job, nil, true)
  if ok then ok, why = Jobs.await(self, nil, true) end
  if not ok then return nil, why end
  if job.why then return nil, job.why end
  while into.first <= into.last do
    local sub = into[into.first]
    ok, why = begin(self, sub, nil, true)
    if ok then ok, why = Jobs.await(self, nil, true) end
    if not ok then return nil, why end
    if sub.word == "full" or sub.why == "closed" then return nil, sub.why end
    Jobs.pop(into)
    tell_failed(self, sub, true)
  end
  return true
end

-- A directory has come to a watch of a tree. "perhaps": if it is there it is
-- told as made. "anew": what is in it is not known, even if its number is.
function Jobs.find(self, path, how)
  local job = new_job(path, false, self.found)
  job.tells, job.afresh = how == "perhaps", how == "anew"
  Jobs.push(self.found, job)
end

local function carry_list(list, from, to)
  for i = list.first, list.last do
    local job = list[i]
    local rest = files.watch_below(job.path, from)
    if not job.root and (job.path == from or rest and not to) then
      job.unwanted = true
    elseif not job.root and rest then -- a root is told of by itself
      local path = Map.join(to, rest)
      job.given, job.path, job.stale = path, path, job.watching ~= nil
    end
  end
end

-- The directory `from` is now `to`, which is looked for if need be, or not
-- there any more: so are those that are still to be added below it.
function Jobs.carry(self, from, to)
  carry_list(self.found, from, to)
  carry_list(self.again, from, to)
  for list in pairs(self.adding) do carry_list(list, from, to) end
  if self.job then carry_list({self.job, first = 1, last = 1}, from, to) end
end

-- All is read: what was not found before that is looked for by the path that it
-- has now, unless it had it already.
function Jobs.try_again(self)
  for job in function() return Jobs.pop(self.again) end do
    if job.began ~= self.nreads and is_wanted(self, job) then
      Jobs.push(self.found, job)
    end
  end
end

-- Adds a directory that was found.
function Jobs.explore(self, deadline)
  local job = self.found[self.found.first]
  if not job.watching then
    local ok, why = begin(self, job, deadline)
    if not ok then return nil, why end
  end
  while not job.settled do
    local ok, why = Jobs.await(self, deadline)
    if not ok then return nil, why end
  end
  if self.found[self.found.first] == job then Jobs.pop(self.found) end
  tell_failed(self, job)
  return true
end

return Jobs
