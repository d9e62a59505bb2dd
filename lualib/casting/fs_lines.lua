-- fs_lines.lua - fs.lines: the lines of a file.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Fs = internal.fs_common

-- fs.lines(path [, what]). What goes wrong is raised, as io.lines does. The
-- fourth value is what a loop closes, from 5.4 on.
return function(path, what)
  Fs.check_path("lines", path)
  what = Fs.check_line(2, "lines", what)
  local file, why = internal.fs_open(path)
  if not file then Fs.fail("lines", why, 3) end
  return function()
    local line, problem = file:read(what)
    if line then return line end
    file:close()
    if problem then Fs.fail("lines", problem, 2) end
  end, nil, nil, file
end
