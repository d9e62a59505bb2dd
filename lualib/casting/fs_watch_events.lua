-- fs_watch_events.lua - what a watch tells of the events that it has read.
-- SPDX-License-Identifier: MIT
--
-- Nothing here waits. The fields of a watch are told in fs_watcher.lua.

local _, internal = ...
local pairs = pairs
local Jobs, Map = internal.fs_watch_jobs, internal.fs_watch_map
local carry, find, tell = Jobs.carry, Jobs.find, Jobs.tell

local Events = {}

-- Was the name told as made already?
local function was_seen(self, e)
  local seen = self.seen and self.seen[e.number]
  if not seen or e.at > seen.sure or not seen.names[e.name] then
    return false
  end
  seen.names[e.name] = nil
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
      tell(self, "removed", list[i], map.paths[list[i]].directory, nil, true)
    end
    map:leave(list[i])
  end
  local entry = map.paths[path]
  if entry and not entry.root then map:leave(path) end
  carry(self, path)
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

-- Something else was, or may have been, found by that path.
local function find_anew(self, path)
  tell(self, "removed", path, true)
  leave_below(self, path)
  tell(self, "made", path, true)
  find(self, path)
end

-- A directory has come to that path: what was found below it after that, and
-- before it was known, may be something else.
local function doubt(self, path, e)
  local map = self.map
  local list = map:below(path)
  for i = 1, #list do
    local entry = map.paths[list[i]]
    if entry and not entry.root and entry.sure >= e.at then
      find_anew(self, list[i])
    end
  end
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
      if from and path then
        self.map:rename(from, path)
        carry(self, from, path)
      end
      if from then leave_below(self, from) end
      if path and self.tree then
        follow(self, path)
        doubt(self, path, e)
      end
    end
  end
end

-- Directories that were taken for moved ones have not told so: there was
-- something else by their names when these were added.
function Events.correct(self)
  local moving = self.moving
  self.moving = nil
  for path, number in pairs(moving) do
    local entry = self.map.paths[path]
    if entry and entry.number == number then
      find_anew(self, path)
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
      tell(self, over and "removed" or e.what, path, entry.directory,
        nil, true)
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
function Events.overflow(self)
  local map, found = self.map, Jobs.new_list()
  self.seen, self.moving, self.dropped = nil, nil, {}
  self.again = Jobs.new_list()
  map:restart(self.doomed)
  for path in pairs(self.tree and map.paths or {}) do
    Jobs.push(found, {given = path, path = path, root = true, again = true,
      quiet = true, into = found})
  end
  self.found, self.anew = found, true
end

local NAMED = {changed = true, written = true, attributes = true}

-- Tells of e. `mate` is its other half, or nothing.
function Events.digest(self, e, mate)
  local map = self.map
  local names = map:copy_names(e.number)
  if e.what == "overflow" then
    Events.overflow(self)
  elseif e.what == "lost" then
    self.dropped[e.number] = nil
    map:forget(e.number)
  elseif e.used or not names then
    return -- a half that was told, or of what was dropped
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
end

return Events
