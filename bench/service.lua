-- service.lua - calls of a service.
-- SPDX-License-Identifier: MIT
--
-- A step is service:call with a number, which returns a number. The floor is
-- the same request by hand: the method's name and the number are sent over one
-- unbuffered channel, and the result comes back over another. (pingpong.lua has
-- such a request of a number alone.)

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")
local casting = require "casting"

local function caller(n, service)
  local start = casting.now()
  for i = 1, n do
    service:call("next", i)
  end
  return casting.now() - start
end

local function ask(n, there, back)
  local start = casting.now()
  for i = 1, n do
    there:send("next", i)
    back:receive()
  end
  return casting.now() - start
end

local function answer(n, there, back)
  local methods = { next = function(i)
    return i + 1
  end }
  local function serve(name, ...)
    return methods[name](...)
  end
  for _ = 1, n do
    back:send(serve(there:receive()))
  end
end

bench.places(function(place, session)
  local service = casting.service({
    next = function(_, i)
      return i + 1
    end,
  }, { session = session(2) })
  local function over_channels(n)
    local there, back = casting.channel(), casting.channel()
    local second = session(2):spawn(answer, n, there, back)
    local seconds = session(1):spawn(ask, n, there, back):await()
    second:await()
    return seconds
  end
  bench.figure {
    name = "service, " .. place,
    unit = "calls/s",
    run = function(n)
      return session(1):spawn(caller, n, service):await()
    end,
    floor = { name = "channels", run = over_channels },
  }
  service:stop()
end)
