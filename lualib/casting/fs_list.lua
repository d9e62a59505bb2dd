-- fs_list.lua - fs.list: the names in a directory.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Fs, files = internal.fs_common, internal.files

-- fs.list(path): a sorted list of names, and name -> type; or nil, why
return function(path)
  local text, why = Fs.call(files.list, path, true)
  if not text then return nil, why end
  local names, types = Fs.decode(text)
  return names, types
end
