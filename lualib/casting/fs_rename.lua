-- fs_rename.lua - fs.rename: another name for a file or directory.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local files = internal.files

-- fs.rename(from, to)
return function(from, to) return files.rename(from, to) end
