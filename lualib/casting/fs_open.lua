-- fs_open.lua - fs.open: a file to be read, written, or both.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local type = type
local bad, got = internal.bad, internal.got
local Fs, files = internal.fs_common, internal.files

local R, W, NEW = Fs.READ, Fs.WRITE, Fs.CREATE
local MODES = {
  r = R, ["r+"] = R + W,
  w = W + NEW + Fs.TRUNCATE, ["w+"] = R + W + NEW + Fs.TRUNCATE,
  a = W + NEW + Fs.APPEND, ["a+"] = R + W + NEW + Fs.APPEND,
  wx = W + NEW + Fs.EXCLUSIVE, ["w+x"] = R + W + NEW + Fs.EXCLUSIVE,
  ax = W + NEW + Fs.APPEND + Fs.EXCLUSIVE,
  ["a+x"] = R + W + NEW + Fs.APPEND + Fs.EXCLUSIVE,
}

-- fs.open(path [, mode])
return function(path, mode)
  local how = mode == nil and R or MODES[mode]
  if not how then
    local shown = type(mode) == "string" and
      '"' .. internal.quote(mode) .. '"' or got(mode)
    bad(2, "open", 'mode must be "r", "w" or "a", with "+" to read and ' ..
      'write, and "x" if it must be new, got ' .. shown)
  end
  return Fs.call(files.open, path, how, 438)
end
