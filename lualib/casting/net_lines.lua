-- net_lines.lua - stream:lines: an iterator.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local error, type = error, type
local bad, kind = internal.bad, internal.kind
local Check, Net, sockets =
  internal.check, internal.net_common, internal.sockets

local KNOWN = {timeout = true, max = true}

-- What each read gets as its second argument: the seconds, or a table that
-- nobody else has. Raises now if it is bad, and not at the first line.
local function read_how(how)
  if type(how) ~= "table" then
    Net.check_seconds(3, "lines", "timeout", how)
    return how
  end
  Check.options(3, "lines", how, KNOWN)
  local own = {timeout = how.timeout, max = how.max}
  Net.check_seconds(3, "lines", "timeout", own.timeout)
  Net.check_count(3, "lines", "max", own.max, 1)
  return own
end

-- stream:lines([what [, how]]). The iterator is a function in Lua, so a task
-- can yield in it in all versions.
return function(stream, what, how)
  if kind(stream) ~= "userdata" then
    bad(1, "lines", "stream expected, got " .. kind(stream))
  end
  if what == nil then
    what = "l"
  elseif what ~= "l" and what ~= "L" then
    local is_how = type(what) == "number" or type(what) == "table"
    bad(2, "lines", '"l" or "L" expected, got ' .. Net.shown(what) ..
      (is_how and ': a timeout goes behind it, lines("l", timeout)' or ""))
  end
  how = read_how(how)
  return function()
    local line, why, rest = stream:read(what, how)
    if line then return line end
    if why == "closed" then
      if not sockets.was_reset(stream) then return rest end
      why = "connection reset by peer" -- there may have been more lines
    end
    error("lines: " .. why, 2)
  end
end
