-- limiter.lua - casting.limiter: its options.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Check = internal.check
local bad, got = internal.bad, internal.got

local KNOWN = {rate = true, burst = true}
local MOST, FILL = 1e9, 1e9

return function(options)
  Check.expect(1, "limiter", options, "table")
  Check.options(1, "limiter", options, KNOWN)
  local rate, burst = options.rate, options.burst
  if burst == nil then burst = 1 end
  if not (Check.is_seconds(rate) and rate > 0 and rate <= MOST) then
    bad(1, "limiter", "rate must be a number of tokens per second, more " ..
      "than 0 and at most 1e9, got " .. got(rate))
  elseif not Check.is_integer(burst, 1, MOST) then
    bad(1, "limiter", "burst must be an integer from 1 to 1000000000, got " ..
      got(burst))
  elseif burst / rate > FILL then
    bad(1, "limiter", "so many tokens take more than 1e9 seconds at this rate")
  end
  return internal.new_limiter(rate, burst)
end
