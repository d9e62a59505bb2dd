-- lib.lua - what the programs of the Savina suite share.
-- SPDX-License-Identifier: MIT
--
-- Actors are tasks here, and a mailbox is a channel. Whoever may have to wait
-- for room in a mailbox is never waited for by its owner, so bounds cannot
-- lock up; each program says where that needs a word.
--
-- The random numbers are Park and Miller's "minimal standard" generator, whose
-- numbers are the same in every language and Lua version.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "../../common.lua")
local casting = require "casting"

local lib = { bench = bench, now = bench.now, MAILBOX = 64 }

-- The number after x.
function lib.random(x)
  return x * 16807 % 2147483647
end

-- As many of them as stand for a little work.
function lib.work(x, n)
  for _ = 1, n do
    x = x * 16807 % 2147483647
  end
  return x
end

function lib.check(got, expected, what)
  if got ~= expected then
    error(string.format("wrong result: %s is %s, not %s", what,
      tostring(got), tostring(expected)), 2)
  end
end

function lib.mailbox(size)
  return casting.channel(size or lib.MAILBOX)
end

-- Measures run(n, spawn), in each place. spawn(k, f, ...) starts f as actor
-- number k: in one session, or with even and odd numbers in two. It returns how
-- many steps were done, when all is over; how many seconds that took, if not
-- all of its time counts; and a function that checks the result after that.
function lib.measure(name, unit, run)
  bench.places(function(place, session)
    local function spawn(k, f, ...)
      return session(k % 2 + 1):spawn(f, ...)
    end
    bench.figure {
      name = name .. ", " .. place,
      unit = unit,
      run = function(n)
        local start = bench.now()
        local done, seconds, verify = run(n, spawn)
        seconds = seconds or bench.now() - start
        if verify then
          verify()
        end
        return seconds * n / done
      end,
    }
  end)
end

return lib
