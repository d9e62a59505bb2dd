-- fs_mkdir.lua - fs.mkdir: a directory.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Check, Fs, files = internal.check, internal.fs_common, internal.files

local KNOWN = {parents = true, mode = true}

-- fs.mkdir(path [, options])
return function(path, options)
  options = Check.options(2, "mkdir", options, KNOWN)
  local parents = Fs.check_boolean(2, "mkdir", "parents", options.parents)
  local mode = Fs.check_mode(2, "mkdir", options.mode, 511)
  return Fs.call(files.mkdir, path, parents, mode)
end
