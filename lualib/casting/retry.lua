-- retry.lua - casting.retry: calls that are tried again, with pauses.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local error, pcall, select, type = error, pcall, select, type
local Check = internal.check
local bad, got = internal.bad, internal.got

local KNOWN = {times = true, backoff = true, factor = true, limit = true,
  jitter = true, when = true}
local DEFAULTS = {times = 3, backoff = 0.1, factor = 2, limit = 30,
  jitter = 0.5}
local HUGE = 1 / 0

-- What is wrong with an option that is a number; nil if nothing is.
local PROBLEMS = {
  times = function(v)
    if v == HUGE or Check.is_integer(v, 1) then return end
    return "times must be an integer from 1 on or math.huge, got "
  end,
  backoff = function(v)
    if Check.is_seconds(v) and v < HUGE then return end
    return "backoff must be a number of seconds, zero or more, got "
  end,
  factor = function(v)
    if type(v) == "number" and v >= 1 and v < HUGE then return end
    return "factor must be a number from 1 on, got "
  end,
  limit = function(v)
    if Check.is_seconds(v) then return end
    return "limit must be a number of seconds, zero or more, got "
  end,
  jitter = function(v)
    if type(v) == "number" and v >= 0 and v <= 1 then return end
    return "jitter must be a number from 0 to 1, got "
  end,
}

local function check(given)
  local o = {}
  for name, default in pairs(DEFAULTS) do
    local v = given[name]
    if v == nil then v = default end
    local problem = PROBLEMS[name](v)
    if problem then bad(1, "retry", problem .. got(v)) end
    o[name] = v
  end
  local problem = Check.mismatch("when", given.when, "function")
  if problem then bad(1, "retry", problem) end
  o.when = given.when
  return o
end

-- Sleeps before the try after number n.
local function pause(o, n)
  local seconds = o.backoff
  for _ = 2, n do
    if seconds >= o.limit then break end
    seconds = seconds * o.factor
  end
  if seconds > o.limit then seconds = o.limit end
  casting.sleep(seconds * (1 - o.jitter * internal.random()))
end

-- Is number n not the last try, after this error, or word?
local function again(o, n, e)
  if n >= o.times or casting.is_cancelled(e) then return false end
  return o.when == nil or not not o.when(e, n)
end

local try

-- What try number n has brought.
local function judge(o, n, f, args, ok, ...)
  if ok and ((...) ~= nil or select("#", ...) < 2) then return ... end
  local e = (...)
  if ok then e = select(2, ...) end
  if not again(o, n, e) then
    if not ok then error(e, 0) end
    return ...
  end
  pause(o, n)
  return try(o, n + 1, f, args)
end

function try(o, n, f, args)
  return judge(o, n, f, args, pcall(f, internal.unpack(args, args.n)))
end

return function(options)
  local o = check(Check.options(1, "retry", options, KNOWN))
  return function(f, ...)
    if type(f) ~= "function" then Check.expect(1, "retry", f, "function") end
    return try(o, 1, f, {n = select("#", ...), ...})
  end
end
