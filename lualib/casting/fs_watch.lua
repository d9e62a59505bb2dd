-- fs_watch.lua - fs.watch: what happens in directories.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local error, pcall, type = error, pcall, type
local bad, got = internal.bad, internal.got
local Check, files, Watch =
  internal.check, internal.files, internal.fs_watcher

local KNOWN = {tree = true}

-- The list of the paths that the argument tells of.
local function read_paths(paths)
  if type(paths) == "string" then paths = {paths} end
  if type(paths) ~= "table" then
    bad(1, "watch", "a path or a list of paths expected, got " .. got(paths))
  end
  local list, n = {}, #paths
  if n == 0 then bad(1, "watch", "no path in the list") end
  for i = 1, n do
    local path = paths[i]
    if type(path) ~= "string" then
      bad(1, "watch", "a path must be a string, got " .. got(path))
    end
    if not files.watch_key(path) then
      bad(1, "watch", "a path has a zero byte")
    end
    list[i] = path
  end
  return list
end

local function add_all(watch, list)
  for i = 1, #list do
    local ok, why = watch:add(list[i])
    if not ok then return nil, why end
  end
  return true
end

-- fs.watch(path or list [, options]): a watch; or nil, why.
return function(paths, options)
  local list = read_paths(paths)
  local tree = Check.options(2, "watch", options, KNOWN).tree
  local problem = Check.mismatch("tree", tree, "boolean")
  if problem then bad(2, "watch", problem) end
  local watch, why = Watch.new(list[1], tree)
  if not watch then return nil, list[1] .. ": " .. why end
  local ok, done
  ok, done, why = pcall(add_all, watch, list)
  if ok and done then return watch end
  watch:close()
  if not ok then error(done, 0) end
  return nil, why
end
