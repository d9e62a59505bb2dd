-- fs_common.lua - what the functions of casting.fs have in common.
-- SPDX-License-Identifier: MIT
--
-- Each of these functions has a file of its own (fs_read.lua and so on). Those
-- in C that they use are in internal.files, and check the paths.

local _, internal = ...
local error, type = error, type
local Check, files = internal.check, internal.files
local bad, got = internal.bad, internal.got

local Fs = {}

-- What open files are opened for: bits, as src/os/file.h has them.
Fs.READ, Fs.WRITE, Fs.APPEND, Fs.CREATE = 1, 2, 4, 8
Fs.TRUNCATE, Fs.EXCLUSIVE = 16, 32
-- As src/io/fileop.h has them.
Fs.ATOMIC, Fs.SYNC = 256, 512

-- Calls f, and once more if there was no descriptor left: files that nobody has
-- any more are closed by the collector.
function Fs.call(f, a, b, c, d)
  local result, second = f(a, b, c, d)
  if second == nil then return result end
  if result ~= nil or not files.is_full(second) then return result, second end
  files.collect()
  return f(a, b, c, d)
end

-- The option of that name in o, which is true or false.
function Fs.check_boolean(i, name, option, v)
  local problem = Check.mismatch(option, v, "boolean")
  if problem then bad(i, name, problem) end
  return v
end

-- A mode of the system's: permissions.
function Fs.check_mode(i, name, v, otherwise)
  if v == nil then return otherwise end
  if not Check.is_integer(v, 0, 4095) then
    bad(i, name, "mode must be an integer from 0 to 4095, got " .. got(v))
  end
  return v
end

-- "l" or "L", argument i of the function called `name`.
function Fs.check_line(i, name, what)
  if what == nil then return "l" end
  if what ~= "l" and what ~= "L" then
    bad(i, name, '"l" or "L" expected, got ' .. (type(what) == "string" and
      '"' .. internal.quote(what) .. '"' or got(what)))
  end
  return what
end

local TEMP = {dir = true}

-- The option `dir` of fs.temp and fs.tempdir.
function Fs.read_dir(name, options)
  options = Check.options(1, name, options, TEMP)
  local problem = Check.mismatch("dir", options.dir, "string")
  if problem then bad(1, name, problem) end
  problem = options.dir and files.problem(options.dir)
  if problem then bad(1, name, "dir " .. problem) end
  return options.dir
end

local TYPES = {o = "other", f = "file", d = "directory", l = "link",
  p = "pipe", s = "socket", b = "block", c = "character"}

-- What files.list returns: a list of names, and name -> type.
function Fs.decode(text)
  local names, types, n, at = {}, {}, 0, 0
  while true do
    local name, letter, following = files.name(text, at)
    if not name then return names, types, n end
    n = n + 1
    names[n], types[name] = name, TYPES[letter]
    at = following
  end
end

-- The path that argument 1 of the function called `name` is.
function Fs.check_path(name, path)
  Check.expect(1, name, path, "string")
  local problem = files.problem(path)
  if problem then bad(1, name, "a path " .. problem) end
end

-- Raises what went wrong, at that level above the caller.
function Fs.fail(name, why, level) error(name .. ": " .. why, level + 1) end

return Fs
