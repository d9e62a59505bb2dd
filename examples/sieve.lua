-- sieve.lua - finds the first N primes with a chain of tasks, one a prime.
-- SPDX-License-Identifier: MIT
--
-- What it shows: many cheap tasks, unbuffered channels, and a shutdown that
-- runs through the chain by closing one channel. A generator sends 2, 3, 4...
-- into the chain. Each task keeps the first number that reaches it, which is
-- prime, and passes on what that prime does not divide.
--
-- How to run it:
--   ./dev run examples/sieve.lua             (the first 200 primes)
--   ./dev run examples/sieve.lua 1000 4      (1000 primes in 4 sessions)

local casting = require "casting"

-- Sends the numbers from 2 up until nobody wants them.
local function generate(output)
  local n = 2
  while output:send(n) do
    n = n + 1
  end
end

-- Passes on the numbers that `prime` does not divide. When its output is
-- closed it closes its input, so that the task before it ends too.
-- (`input:receive()` rather than `for n in input`: on Lua 5.1 a loop over a
-- channel keeps an OS thread while it waits, and here are hundreds of them.)
local function filter(prime, input, output)
  local n = input:receive()
  while n do
    if n % prime ~= 0 and not output:send(n) then
      break
    end
    n = input:receive()
  end
  input:close()
end

-- The first `count` primes, found by a chain laid over `sessions` sessions.
local function sieve(count, sessions)
  local places, tasks = {}, {}
  for i = 1, sessions do
    places[i] = casting.session { name = "sieve " .. i }
  end
  local link = casting.channel()
  tasks[1] = places[1]:spawn(generate, link)

  local primes = {}
  for i = 1, count do
    local prime = link:receive()
    primes[i] = prime
    if i < count then
      -- Neighbours share a session where they can: talking within a session
      -- is the cheapest.
      local place = places[math.floor((i - 1) * sessions / count) + 1]
      local output = casting.channel()
      tasks[i + 1] = place:spawn(filter, prime, link, output)
      link = output
    end
  end

  link:close()
  for _, task in ipairs(tasks) do
    task:await()
  end
  for _, place in ipairs(places) do
    place:close()
  end
  return primes, #tasks
end

-- Whether `primes` are the first primes, by trial division.
local function verify(primes)
  local known = 0
  local n = 1
  while known < #primes do
    n = n + 1
    local prime = true
    for i = 1, known do
      local p = primes[i]
      if p * p > n then
        break
      elseif n % p == 0 then
        prime = false
        break
      end
    end
    if prime then
      known = known + 1
      if primes[known] ~= n then
        return false
      end
    end
  end
  return true
end

local function whole(text, default)
  local n = tonumber(text or default)
  if not n or n < 1 or n % 1 ~= 0 then
    io.stderr:write("sieve: ", text, " is no whole number from 1 up\n",
      "usage: sieve.lua [PRIMES [SESSIONS]]\n")
    os.exit(2)
  end
  return n
end

local count, sessions = whole(arg[1], 200), whole(arg[2], 1)
local start = casting.now()
local primes, tasks = sieve(count, sessions)
local seconds = casting.now() - start

local shown = {}
for i = 1, math.min(count, 10) do
  shown[i] = primes[i]
end
print(table.concat(shown, " ") .. (count > 10 and " ..." or ""))
print(string.format("prime number %d is %d", count, primes[count]))
print(string.format("%.3f s with %d tasks in %d sessions",
  seconds, tasks, sessions))
if not verify(primes) then
  print("check: WRONG")
  os.exit(1)
end
print("check: right")
