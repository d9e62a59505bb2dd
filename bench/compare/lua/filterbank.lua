-- filterbank.lua - Savina's filter bank.
-- SPDX-License-Identifier: MIT
--
-- Samples go to eight channels at once. Each channel delays them, filters them
-- by eight weights, keeps every eighth and nulls the others, delays and filters
-- again; the channels' results are added up. Every part is an actor. The
-- numbers are integers, so that the result is exact. A step is a sample.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local lib = dofile(here .. "lib.lua")
local check, mailbox = lib.check, lib.mailbox

local CHANNELS, TAPS = 8, 8

local function source(n, outputs)
  for i = 1, n do
    for k = 1, #outputs do
      outputs[k]:send(i % 97)
    end
  end
end

local function delay(n, length, input, output)
  local line = {}
  for i = 0, length - 1 do
    line[i] = 0
  end
  for i = 0, n - 1 do
    local v = input:receive()
    local slot = i % length
    output:send(line[slot])
    line[slot] = v
  end
end

local function fir(n, weight, input, output)
  local line = {}
  for i = 0, TAPS - 1 do
    line[i] = 0
  end
  for i = 0, n - 1 do
    line[i % TAPS] = input:receive()
    local sum = 0
    for k = 0, TAPS - 1 do
      sum = sum + line[(i - k) % TAPS] * (weight + k)
    end
    output:send(sum % 65521)
  end
end

local function sample(n, input, output)
  for i = 0, n - 1 do
    local v = input:receive()
    output:send(i % CHANNELS == 0 and v or 0)
  end
end

local function combine(n, inputs)
  local sum = 0
  for _ = 1, n do
    for k = 1, #inputs do
      sum = (sum * 3 + inputs[k]:receive()) % 65521
    end
  end
  return sum
end

-- The same without actors: the sum for n samples.
local function expected(n)
  local streams = {}
  for k = 1, CHANNELS do
    local function run(f, ...)
      local input, output, taken = streams[k], {}, 0
      local args = { ... }
      args[#args + 1] = { receive = function()
        taken = taken + 1
        return input[taken]
      end }
      args[#args + 1] = { send = function(_, v)
        output[#output + 1] = v
      end }
      f(n, (table.unpack or unpack)(args))
      streams[k] = output
    end
    streams[k] = {}
    for i = 1, n do
      streams[k][i] = i % 97
    end
    run(delay, k)
    run(fir, k)
    run(sample)
    run(delay, CHANNELS + k)
    run(fir, 2 * k)
  end
  local sum = 0
  for i = 1, n do
    for k = 1, CHANNELS do
      sum = (sum * 3 + streams[k][i]) % 65521
    end
  end
  return sum
end

local function run(n, spawn)
  local outputs, inputs, tasks = {}, {}, {}
  for k = 1, CHANNELS do
    local a, b, c, d, e, f = mailbox(), mailbox(), mailbox(), mailbox(),
      mailbox(), mailbox()
    outputs[k], inputs[k] = a, f
    tasks[#tasks + 1] = spawn(k, delay, n, k, a, b)
    tasks[#tasks + 1] = spawn(k, fir, n, k, b, c)
    tasks[#tasks + 1] = spawn(k, sample, n, c, d)
    tasks[#tasks + 1] = spawn(k, delay, n, CHANNELS + k, d, e)
    tasks[#tasks + 1] = spawn(k, fir, n, 2 * k, e, f)
  end
  local sum = spawn(0, combine, n, inputs)
  spawn(0, source, n, outputs)
  sum = sum:await()
  for i = 1, #tasks do
    tasks[i]:await()
  end
  return sum
end

lib.measure("filter bank", "samples/s", function(n, spawn)
  local start = lib.now()
  local sum = run(n, spawn)
  return n, lib.now() - start, function()
    check(sum, expected(n), "the sum")
  end
end)
