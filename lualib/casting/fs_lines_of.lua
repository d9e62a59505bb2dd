-- fs_lines_of.lua - file:lines: the lines that are left in an open file.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Fs = internal.fs_common

-- file:lines([what]). The iterator is a function in Lua, so a task can yield in
-- it in all versions.
return function(file, what)
  what = Fs.check_line(2, "lines", what)
  return function()
    local line, problem = file:read(what)
    if line then return line end
    if problem then Fs.fail("lines", problem, 2) end
  end
end
