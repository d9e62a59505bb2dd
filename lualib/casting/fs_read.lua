-- fs_read.lua - fs.read: a whole file.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Fs, files = internal.fs_common, internal.files

-- fs.read(path [, max])
return function(path, max) return Fs.call(files.read, path, max) end
