-- fs_write.lua - fs.write: what is in a file.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local pairs = pairs
local bad = internal.bad
local Check, Fs, files = internal.check, internal.fs_common, internal.files

local KNOWN = {append = true, atomic = true, exclusive = true, mode = true,
  sync = true}

local BITS = {append = Fs.APPEND, atomic = Fs.ATOMIC,
  exclusive = Fs.EXCLUSIVE, sync = Fs.SYNC}

-- fs.write(path, data [, options])
return function(path, data, options)
  options = Check.options(3, "write", options, KNOWN)
  local how = 0
  for option, bit in pairs(BITS) do
    if Fs.check_boolean(3, "write", option, options[option]) then
      how = how + bit
    end
  end
  if options.append and options.atomic then
    bad(3, "write", "append and atomic exclude each other")
  end
  local mode = Fs.check_mode(3, "write", options.mode, 438)
  return Fs.call(files.write, path, data, how, mode)
end
