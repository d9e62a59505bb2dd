-- fs_walk.lua - fs.walk: a directory and all that is in it.
-- SPDX-License-Identifier: MIT
--
-- Directories that were begun stand on a stack, so that no path is too deep.
-- A level: the directory's path with a slash, its names, their types, how many
-- these are, and which was the last.

local _, internal = ...
local bad, got = internal.bad, internal.got
local Check, Fs, files = internal.check, internal.fs_common, internal.files

local KNOWN = {depth = true}

-- The names in the directory `path`, as a level of the stack; or nil and why.
local function enter(path, follow)
  local text, why = Fs.call(files.list, path, follow)
  if not text then return nil, why end
  local names, types, n = Fs.decode(text)
  return {path = files.within(path), names = names, types = types, n = n,
    at = 0}
end

local function check_depth(depth)
  if depth ~= nil and depth ~= 1 / 0 and not Check.is_integer(depth, 0) then
    bad(2, "walk", "depth must be a non-negative integer or math.huge, got " ..
      got(depth))
  end
  return depth or 1 / 0
end

-- fs.walk(path [, options]): an iterator over path, type and why a directory
-- could not be listed. Each directory is listed when it is given.
return function(path, options)
  Fs.check_path("walk", path)
  options = Check.options(2, "walk", options, KNOWN)
  local depth = check_depth(options.depth)
  local info, problem = Fs.call(files.stat, path, true)
  local levels, n, begun = {}, 0, false

  -- Gives one; a directory is entered, if it is not too deep.
  local function give(at, kind, follow)
    if kind ~= "directory" or n >= depth then return at, kind end
    local level, why = enter(at, follow)
    if not level then return at, kind, why end
    n = n + 1
    levels[n] = level
    return at, kind
  end

  return function()
    if not begun then
      begun = true
      if not info then Fs.fail("walk", problem, 2) end
      return give(path, info.type, true)
    end
    while n > 0 do
      local level = levels[n]
      level.at = level.at + 1
      local name = level.names[level.at]
      if name then return give(level.path .. name, level.types[name], false) end
      levels[n] = nil
      n = n - 1
    end
  end
end
