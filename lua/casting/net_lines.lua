-- net_lines.lua - stream:lines: an iterator.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local error, type = error, type
local bad, got, kind = internal.bad, internal.got, internal.kind

-- stream:lines([what]). The iterator is a function in Lua, so a task can yield
-- in it in all versions.
return function(stream, what)
  if kind(stream) ~= "userdata" then
    bad(1, "lines", "stream expected, got " .. kind(stream))
  end
  if what == nil then
    what = "l"
  elseif what ~= "l" and what ~= "L" then
    bad(2, "lines", '"l" or "L" expected, got ' ..
      (type(what) == "string" and "another string" or got(what)))
  end
  return function()
    local line, why, rest = stream:read(what)
    if line then return line end
    if why == "closed" then return rest end
    error("lines: " .. why, 2)
  end
end
