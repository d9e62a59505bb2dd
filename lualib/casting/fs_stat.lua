-- fs_stat.lua - fs.stat: what the system knows of a file.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Check, Fs, files = internal.check, internal.fs_common, internal.files

local KNOWN = {follow = true}

-- fs.stat(path [, options])
return function(path, options)
  options = Check.options(2, "stat", options, KNOWN)
  local follow = Fs.check_boolean(2, "stat", "follow", options.follow)
  return Fs.call(files.stat, path, follow ~= false)
end
