-- fs_watch_events.lua - what a watch tells of the events that it has read.
-- SPDX-License-Identifier: MIT
--
-- Nothing here waits. The fields of a watch are told in fs_watcher.lua.

local _, internal = ...
local pairs = pairs
local Jobs, Map = internal.fs_watch_jobs, internal.fs_watch_map
local carry, find, tell = Jobs.carry, Jobs.find, Jobs.tell

local Events = {}

-- Was the name in the directory of that path told as made already?
local function was_seen(self, path, e)
  local entry = self.map.paths[path]
  local seen = entry and entry.seen
  if not seen or not seen.names or e.at > seen.sure or
    not seen.names[e.name] then
    return false
  end
  seen.names[e.name] = nil
  return true
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

-- A link that was added is there no more, or leads elsewhere.
local function lose_link(self, path, e)
  local entry = path and self.map.paths[path]
  if not entry or not entry.link or entry.since >= e.at then return end
  tell(self, "removed", path, entry.directory, nil, true)
  entry.root, entry.link = false, false
  leave_below(self, path)
end

-- Was the directory of that path found after e, and what is in it told? Then e,
-- about that path, tells of what was before, or of what was told.
local function is_newer(self, path, e)
  local entry = self.tree and self.map.paths[path]
  return entry and entry.told and entry.told >= e.at or false
end

-- Was it found after e?
local function is_later(self, path, e)
  local entry = self.tree and path and self.map.paths[path]
  return entry and entry.directory and entry.since >= e.at or false
end

-- A directory that was told already is not watched if it was left since. One
-- that was moved there may have taken another one's place.
local function made(self, e, names)
  for i = 1, #names do
    local seen = was_seen(self, names[i], e)
    local path = Map.join(names[i], e.name)
    local newer = is_newer(self, path, e)
    local own = newer and self.map.paths[path].root
    lose_link(self, path, e)
    if not seen and (own or not newer or e.what == "to") then
      tell(self, "made", path, e.directory)
    end
    if e.directory and self.tree and not newer and
      not (seen and self.map.paths[path]) then
      find(self, path)
    end
  end
end

local function removed(self, e, names)
  for i = 1, #names do
    local path = Map.join(names[i], e.name)
    was_seen(self, names[i], e)
    if not is_newer(self, path, e) then
      tell(self, "removed", path, e.directory)
      if e.directory then leave_below(self, path) end
      lose_link(self, path, e)
    end
  end
end

-- Something else was, or may have been, found by that path.
local function find_anew(self, path)
  tell(self, "removed", path, true)
  leave_below(self, path)
  tell(self, "made", path, true)
  find(self, path, "anew")
end

-- A directory of a tree was moved to that path. If it was taken for one that
-- was moved before, and has not told so, that was another one: a directory is
-- not moved again before it has told.
local function follow(self, path, from)
  local entry = self.map.paths[path]
  if not entry then return find(self, path) end
  local moving = self.moving or {}
  self.moving = moving
  for other, m in pairs(moving) do
    if m.number == entry.number and other ~= path then
      moving[other] = nil
      find_anew(self, other)
    end
  end
  moving[path] = {number = entry.number, from = from}
end

-- A directory has come to that path: what was found below it after that, and
-- before it was known, may be something else.
local function doubt(self, path, at)
  local map = self.map
  local list = map:below(path)
  for i = 1, #list do
    local entry = map.paths[list[i]]
    if entry and not entry.root and entry.sure >= at then
      find_anew(self, list[i])
    end
  end
end

-- A directory was moved. What was found by one of the paths after that is
-- right.
local function move_directory(self, from, path, mate)
  local map = self.map
  local stays, there = is_later(self, from, mate), is_later(self, path, mate)
  local old, new = from and map.paths[from], path and map.paths[path]
  local same = not there or not old or old.number == new.number
  if from and path and not stays and same then
    map:rename(from, path)
    carry(self, from, path)
  end
  if from and not stays then leave_below(self, from) end
  if not path or not self.tree or there then return end
  if stays then find(self, path) else follow(self, path, from) end
  doubt(self, path, mate.at)
end

-- Puts the paths of the second list in the order in which those of the first
-- lie in the same tree, since a thing moves within each.
local function pair(map, names, to)
  if #names < 2 and #to < 2 then return end
  for i = 1, #names do
    local top = map:top_of(names[i])
    for k = i, #to do
      if map:top_of(to[k]) == top then
        to[i], to[k] = to[k], to[i]
        break
      end
    end
  end
end

-- Tells of one pair of paths: from the directory `old` to `new`, one of which
-- may be nil.
local function tell_moved(self, e, mate, old, new)
  local map = self.map
  local from = old and Map.join(old, e.name)
  local path = new and Map.join(new, mate.name)
  local known = path and was_seen(self, new, mate)
  if from then was_seen(self, old, e) end
  local stays = from and is_newer(self, from, mate)
  local there = path and is_newer(self, path, mate)
  lose_link(self, from, mate)
  lose_link(self, path, mate)
  if not from or stays and path then
    if not there and not known then tell(self, "made", path, e.directory) end
  elseif not path or known or there and not map:is_same(from, path) then
    if not stays then tell(self, "removed", from, e.directory) end
  else
    tell(self, "moved", path, e.directory, from)
  end
  if e.directory then move_directory(self, from, path, mate) end
end

-- e and `mate` are the two halves; there may be other numbers of paths on both
-- sides.
local function moved(self, e, mate, names)
  local to = self.map:copy_names(mate.number)
  pair(self.map, names, to)
  for i = 1, #names > #to and #names or #to do
    tell_moved(self, e, mate, names[i], to[i])
  end
end

-- Directories that were taken for moved ones have not told so: there was
-- something else by their names when these were added. What was taken for them
-- may still have the name from before.
function Events.correct(self)
  local map, moving = self.map, self.moving
  self.moving = nil
  for path, m in pairs(moving) do
    local entry = map.paths[path]
    if not entry then
      find(self, path) -- it was taken for one that it has replaced
    elseif entry.number == m.number then
      find_anew(self, path)
      if m.from and not map.paths[m.from] then find(self, m.from, "perhaps") end
    end
  end
end

-- Is that e, "left", the end of the move to the path, or of one before it was
-- found there?
local function has_arrived(self, e, path)
  local m = self.moving and self.moving[path]
  if m and m.number == e.number then
    self.moving[path] = nil
    return true
  end
  local entry = self.map.paths[path]
  return entry ~= nil and e.at <= entry.since
end

-- About what was added itself. Below a root, the directory that it lies in
-- tells of it, too.
local function told_itself(self, e, names)
  local map = self.map
  for i = 1, #names do
    local path = names[i]
    local stays = e.what == "left" and has_arrived(self, e, path)
    local entry = map.paths[path] -- nil: it was below another of these
    if entry and entry.root and not stays then
      local over = e.what == "gone" or e.what == "left"
      tell(self, over and "removed" or e.what, path, entry.directory,
        nil, true)
      if over then
        entry.root = false
        leave_below(self, path)
      end
    end
  end
  if e.what == "gone" then
    map:forget(e.number)
    self.dropped[e.number] = true -- "lost" comes, and is no other one's
  end
end

-- Events were lost, and with them perhaps directories that were made or moved:
-- roots and all that is below them are looked for anew, and what is not found
-- is released. It is told after that, so that who looks at everything then
-- misses nothing.
function Events.overflow(self)
  local map, found = self.map, Jobs.new_list()
  self.seen, self.moving, self.dropped = nil, nil, {}
  self.again = Jobs.new_list()
  map:restart(self.doomed)
  for path in pairs(map.paths) do
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
