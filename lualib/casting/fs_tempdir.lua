-- fs_tempdir.lua - fs.tempdir: a directory that has a name of its own.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Fs, files = internal.fs_common, internal.files

-- fs.tempdir([options]): its path; or nil, why
return function(options)
  return Fs.call(files.temp, Fs.read_dir("tempdir", options), false)
end
