-- map_sessions.lua - the option `sessions` of casting.map and stream:map.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local pcall, type = pcall, type
local Check = internal.check
local bad, got, kind = internal.bad, internal.got, internal.kind

local SESSIONS = 10000 -- at most

-- The sessions that were given to `name` in its argument i, as a list, and
-- false; or how many are to be made, as the n of an empty list, and true. At
-- least `least`, and not more are made than there are items (most).
return function(i, name, given, least, most)
  if type(given) ~= "table" then
    if given ~= nil and not Check.is_integer(given, least, SESSIONS) then
      bad(i, name, "sessions must be an integer from " .. least .. " on, " ..
        SESSIONS .. " at most, or a list of sessions, got " .. got(given))
    end
    local n = given or internal.cores()
    return {n = most and most < n and most or n}, true
  end
  local n, problem = Check.length(given)
  if not n then bad(i, name, "sessions: " .. problem) end
  if n == 0 then bad(i, name, "sessions: the list is empty") end
  local sessions = {n = n}
  for k = 1, n do
    local v = given[k]
    if kind(v) ~= "session" then
      bad(i, name, "sessions: item " .. k .. " is not a session")
    elseif not internal.may(v) then
      bad(i, name, "sessions: item " .. k .. " was not made by this sandbox")
    elseif not pcall(v.stats, v) then
      bad(i, name, "sessions: item " .. k .. " is closed")
    end
    sessions[k] = v
  end
  return sessions, false
end
