-- date.lua - the dates of HTTP, read.
-- SPDX-License-Identifier: MIT
--
-- RFC 9110, 5.6.7: three forms, of which only the first is written today. Who
-- writes them is core.date.

local core = require "casting.http.core"

local MONTHS = {Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7,
  Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12}
local YEAR = 31556952 -- seconds, on an average
local FORMS = {
  -- Sun, 06 Nov 1994 08:49:37 GMT
  {"^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$",
    function(day, month, year, ...) return year, month, day, ... end},
  -- Sunday, 06-Nov-94 08:49:37 GMT: the year is the last one that ends so and
  -- is not more than 50 years ahead.
  {"^%a+day, (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$",
    function(day, month, year, ...)
      local most = math.floor(core.time() / YEAR) + 2020
      return most - (most - tonumber(year)) % 100, month, day, ...
    end},
  -- Sun Nov  6 08:49:37 1994
  {"^%a%a%a (%a%a%a) ([ %d]%d) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$",
    function(month, day, hour, minute, second, year)
      return year, month, day, hour, minute, second
    end},
}

-- The days from 1970 to that day of the Gregorian calendar: the year begins in
-- March, so that the day that comes each fourth year is its last one.
local function days_to(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local leaps = math.floor(year / 4) - math.floor(year / 100) +
    math.floor(year / 400)
  return year * 365 + leaps + math.floor((153 * (month - 3) + 2) / 5) + day -
    719469
end

local function seconds_of(year, month, day, hour, minute, second)
  year, month, day = tonumber(year), MONTHS[month], tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if not month or day < 1 or day > 31 or hour > 23 or minute > 59 or
      second > 60 then
    return nil
  end
  return ((days_to(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
end

-- The seconds from 1970 to the date that `text` is; nil: it is none.
return function(text)
  for _, form in ipairs(FORMS) do
    local a, b, c, d, e, f = text:match(form[1])
    if a then return seconds_of(form[2](a, b, c, d, e, f)) end
  end
end
