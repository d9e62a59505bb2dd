-- fs_watch_map.lua - which paths a watch watches, by which numbers.
-- SPDX-License-Identifier: MIT
--
-- The system gives each thing that is watched a number, the same one whatever
-- path it was added by. So a number can have several paths: two links to one
-- file, a directory and a symbolic link to it. Each of them is told of.
--
--   paths   path -> {number=, root=, directory=, link=, since=, sure=}; a root
--           was added by the program, the others are below one, in a watch of a
--           tree; told: the `since` of the last time that what is in it was
--           told, or nil; link: the path is a symbolic link; seen: {names=,
--           sure=}, the names in a new directory that were told as made, so
--           that the events before `sure` which tell so, too, are not; without
--           names, or nil, when all was read
--   names   number -> list of its paths
--   kids    directory -> {n=, has=}: how many paths lie in it, and the set of
--           them: those of `paths`, and what leads to them
--   tree    all directories below roots are watched, too
--
-- A path is known by what files.watch_key makes of it: without slashes at its
-- end. A number without a path is released, at once or when no helper may be
-- adding another path of the same thing: see fs_watcher.lua.

local _, internal = ...
local pairs, setmetatable = pairs, setmetatable
local files = internal.files

local Map = {}
Map.__index = Map

-- release(number): it has no path any more.
function Map.new(tree, release)
  return setmetatable({paths = {}, names = {}, kids = {}, tree = tree,
    release = release}, Map)
end

function Map.join(path, name)
  return (path == "/" and "/" or path .. "/") .. name
end

-- Makes the path one of those that lie in its directory.
local function link(self, path)
  while true do
    local top = files.watch_parent(path)
    local kids = self.kids[top]
    if top == "" or kids and kids.has[path] then return end
    if kids then
      kids.has[path] = true
      kids.n = kids.n + 1
    else
      self.kids[top] = {n = 1, has = {[path] = true}}
    end
    path = top
  end
end

-- Undoes it, if nothing below the path is left.
local function unlink(self, path)
  while path ~= "" and not self.paths[path] and not self.kids[path] do
    local top = files.watch_parent(path)
    local kids = self.kids[top]
    if not kids or not kids.has[path] then return end
    kids.has[path] = nil
    kids.n = kids.n - 1
    if kids.n > 0 then return end
    self.kids[top] = nil
    path = top
  end
end

local function set(self, path, entry)
  self.paths[path] = entry
  if entry then link(self, path) else unlink(self, path) end
end

-- The paths below `top`: a list, since the map may change meanwhile; each one
-- after that of the directory in which it lies.
function Map:below(top)
  local list, ways, i = {}, {top}, 1
  while ways[i] do
    local kids = self.kids[ways[i]]
    for path in pairs(kids and kids.has or {}) do
      ways[#ways + 1] = path
      if self.paths[path] then list[#list + 1] = path end
    end
    i = i + 1
  end
  return list
end

-- The paths of the number: a list of its own; nil: it has none.
function Map:copy_names(number)
  local names = self.names[number]
  if not names then return nil end
  local list = {}
  for i = 1, #names do list[i] = names[i] end
  return list
end

-- The topmost root that the path is, or lies below; nil: none.
function Map:top_of(path)
  local top
  while path ~= "" do
    local entry = self.paths[path]
    if entry and entry.root then top = path end
    path = files.watch_parent(path)
  end
  return top
end

-- Are both paths those of one thing?
function Map:is_same(a, b)
  local one, two = self.paths[a], self.paths[b]
  return one ~= nil and two ~= nil and one.number == two.number
end

-- Is that path watched, or does it lie in a directory that is?
function Map:covers(path)
  return self.paths[path] ~= nil or self.paths[files.watch_parent(path)] ~= nil
end

-- The last name goes when the number is released, since that may raise.
local function take_out(self, path, number)
  local names = self.names[number]
  for i = #names, 1, -1 do
    if names[i] == path then
      if #names == 1 then self.release(number) end
      for j = i, #names do names[j] = names[j + 1] end
    end
  end
  if #names == 0 then self.names[number] = nil end
end

-- In a tree, what lies below `path` is released, but for roots.
local function leave_below(self, path)
  local list = self.tree and self:below(path) or {}
  for i = 1, #list do
    local e = self.paths[list[i]]
    if e and not e.root then self:leave(list[i]) end
  end
end

-- From now on the path is that of the number. It was found after so many bytes
-- of events were there, `since`, and before there were more than `sure`. What
-- was found below another number by that path is not there. Returns its entry.
function Map:enter(path, number, root, directory, since, sure)
  local entry = self.paths[path]
  if entry and entry.number == number then
    entry.root = entry.root or root
    if entry.since < since then entry.since, entry.sure = since, sure end
    return entry
  end
  if entry then leave_below(self, path) end
  local names = self.names[number]
  if names then
    names[#names + 1] = path
  else
    self.names[number] = {path}
  end
  local new = {number = number, root = root or entry and entry.root,
    directory = directory, link = false, since = since, sure = sure}
  set(self, path, new)
  if entry then take_out(self, path, entry.number) end
  return new
end

function Map:leave(path)
  local entry = self.paths[path]
  if not entry then return end
  take_out(self, path, entry.number)
  set(self, path, nil)
end

-- The system knows the number no more.
function Map:forget(number)
  local names = self.names[number]
  if not names then return end
  for i = 1, #names do set(self, names[i], nil) end
  self.names[number] = nil
end

-- Only roots are left, and all numbers put into `doomed`.
function Map:restart(doomed)
  local new = Map.new(self.tree, self.release)
  for path, e in pairs(self.paths) do
    if e.root then
      new:enter(path, e.number, true, e.directory, e.since, e.sure).link =
        e.link
    end
  end
  for number in pairs(self.names) do doomed[#doomed + 1] = number end
  self.paths, self.names, self.kids = new.paths, new.names, new.kids
end

-- A directory has got another name. What is below it goes by that from now on;
-- a path that the program has added stays until it is told that it is gone.
function Map:rename(from, to)
  local entry = self.paths[from]
  if entry and self.tree then
    local new = self:enter(to, entry.number, false, true, entry.since,
      entry.sure)
    new.seen, new.told = entry.seen or new.seen, entry.told or new.told
    if not entry.root then self:leave(from) end
  end
  local list = self:below(from)
  for i = 1, #list do
    local path = list[i]
    local e = self.paths[path]
    local new = self:enter(Map.join(to, files.watch_below(path, from)),
      e.number, e.root, e.directory, e.since, e.sure)
    new.link, new.seen, new.told = e.link, e.seen or new.seen,
      e.told or new.told
    self:leave(path)
  end
end

-- The path is no root any more: it goes, with all that only it covers. What
-- lies below another root stays, unless a link leads there.
function Map:drop(path)
  if not self.tree then return self:leave(path) end
  self.paths[path].root = false
  local list = self:below(path)
  list[#list + 1] = path
  for i = 1, #list do
    local top = list[i]
    local e = self.paths[top]
    while e and not e.root do
      if e.link then break end
      top = files.watch_parent(top)
      e = self.paths[top]
    end
    if not e or not e.root then self:leave(list[i]) end
  end
end

return Map
