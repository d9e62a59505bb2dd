-- fs_remove.lua - fs.remove: a file, or a directory.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Check, Fs, files = internal.check, internal.fs_common, internal.files

local KNOWN = {tree = true}

-- fs.remove(path [, options])
return function(path, options)
  options = Check.options(2, "remove", options, KNOWN)
  local tree = Fs.check_boolean(2, "remove", "tree", options.tree)
  return Fs.call(files.remove, path, tree)
end
