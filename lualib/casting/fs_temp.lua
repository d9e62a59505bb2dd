-- fs_temp.lua - fs.temp: a file that has a name of its own.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Fs, files = internal.fs_common, internal.files

-- fs.temp([options]): the file, and its path; or nil, why
return function(options)
  return Fs.call(files.temp, Fs.read_dir("temp", options), true)
end
