-- fs_watch_map.lua - which paths a watch watches, by which numbers.
-- SPDX-License-Identifier: MIT
--
-- The system gives each thing that is watched a number, the same one whatever
-- path it was added by. So a number can have several paths: two links to one
-- file, a directory and a symbolic link to it. Each of them is told of.
--
--   paths   path -> {number=, root=, directory=}; a root was added by the
--           program, the others are below one, in a watch of a tree
--   names   number -> list of its paths
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
  return setmetatable({paths = {}, names = {}, tree = tree, release = release},
    Map)
end

function Map.join(path, name)
  return (path == "/" and "/" or path .. "/") .. name
end

-- The paths below `top`: a list, since the map may change meanwhile.
function Map:below(top)
  local list = {}
  for path in pairs(self.paths) do
    if files.watch_below(path, top) then list[#list + 1] = path end
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

-- Is that path watched, or does it lie in a directory that is?
function Map:covers(path)
  return self.paths[path] ~= nil or self.paths[files.watch_parent(path)] ~= nil
end

local function take_out(self, path, number)
  local names = self.names[number]
  for i = #names, 1, -1 do
    if names[i] == path then
      for j = i, #names do names[j] = names[j + 1] end
    end
  end
  if #names > 0 then return end
  self.names[number] = nil
  self.release(number)
end

-- From now on the path is that of the number.
function Map:enter(path, number, root, directory)
  local entry = self.paths[path]
  if entry and entry.number == number then
    entry.root = entry.root or root
    return
  end
  self.paths[path] = {number = number, root = root or entry and entry.root,
    directory = directory}
  local names = self.names[number]
  if not names then
    names = {}
    self.names[number] = names
  end
  names[#names + 1] = path
  if entry then take_out(self, path, entry.number) end
end

function Map:leave(path)
  local entry = self.paths[path]
  if not entry then return end
  self.paths[path] = nil
  take_out(self, path, entry.number)
end

-- The system knows the number no more.
function Map:forget(number)
  local names = self.names[number]
  if not names then return end
  for i = 1, #names do self.paths[names[i]] = nil end
  self.names[number] = nil
end

-- A directory has got another name. What is below it goes by that from now on;
-- a path that the program has added stays until it is told that it is gone.
function Map:rename(from, to)
  local entry = self.paths[from]
  if entry and self.tree then
    self:enter(to, entry.number, false, true)
    if not entry.root then self:leave(from) end
  end
  local list = self:below(from)
  for i = 1, #list do
    local path = list[i]
    local e = self.paths[path]
    self:enter(Map.join(to, files.watch_below(path, from)), e.number, e.root,
      e.directory)
    self:leave(path)
  end
end

-- The path is no root any more: it goes, with all that only it covers. What
-- lies below another root stays.
function Map:drop(path)
  if not self.tree then return self:leave(path) end
  self.paths[path].root = false
  local list = self:below(path)
  list[#list + 1] = path
  for i = 1, #list do
    local top = list[i]
    local e = self.paths[top]
    while e and not e.root do
      top = files.watch_parent(top)
      e = self.paths[top]
    end
    if not e then self:leave(list[i]) end
  end
end

return Map
