-- broadcast_subscribe.lua - broadcast:subscribe: its options.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local type = type
local Check = internal.check
local bad, got = internal.bad, internal.got

local KNOWN = {capacity = true, slow = true}
local SLOW = {oldest = 0, newest = 1, close = 2} -- cast_slow

return function(broadcast, options)
  Check.expect(1, "subscribe", broadcast, "broadcast")
  options = Check.options(2, "subscribe", options, KNOWN)
  local capacity, slow = options.capacity, options.slow
  if capacity == nil then capacity = 16 end
  if slow == nil then slow = "oldest" end
  if capacity ~= 1 / 0 and not Check.is_integer(capacity, 1, 2 ^ 48 - 1) then
    bad(2, "subscribe", "capacity must be an integer from 1 on or " ..
      "math.huge, got " .. got(capacity))
  elseif not SLOW[slow] then
    bad(2, "subscribe", "slow must be \"oldest\", \"newest\" or \"close\", " ..
      "got " .. (type(slow) == "string" and
        "'" .. internal.quote(slow) .. "'" or got(slow)))
  end
  return internal.new_subscriber(broadcast, capacity, SLOW[slow])
end
