-- programs.lua - programs run to their end, beside Go's os/exec and luv.
-- SPDX-License-Identifier: MIT
--
-- Runs "true" a thousand times, one after the other, and eight at a time, with
-- both outputs read to their ends: by process.run, and by the peers that are
-- installed (golang-go, lua-luv). The rounds of all alternate. A figure is
-- programs a second, the median of the rounds (--rounds; --steps: how many
-- programs, a multiple of eight).

local here = arg[0]:match "^(.*[/\\])[^/\\]*$" or "./"
local casting = require "casting"
local process = casting.process

local N, rounds = 1000, 5
for i = 1, #arg do
  if arg[i] == "--rounds" then rounds = tonumber(arg[i + 1]) end
  if arg[i] == "--steps" then N = tonumber(arg[i + 1]) end
end

local function repeat_run(n)
  for _ = 1, n do assert(process.run {"true"} == 0) end
end

local function ours(width)
  local began = casting.now()
  local tasks = {}
  for i = 1, width do tasks[i] = casting.spawn(repeat_run, N / width) end
  for i = 1, width do tasks[i]:await() end
  return casting.now() - began
end

-- A program that prints the seconds; nil if it cannot be run.
local function peer(...)
  local command = {...}
  local i = #command + 1
  return function(width)
    command[i], command[i + 1] = N, width
    local code, out = process.run(command)
    return code == 0 and tonumber(out) or nil
  end
end

local binary = os.tmpname()
process.run {"go", "build", "-o", binary, here .. "programs/main.go"}
local all = {{"casting", ours}, {"go", peer(binary)},
  {"luv", peer("lua5.4", here .. "programs/luv.lua")}}

local function median(list)
  table.sort(list)
  return list[math.floor(#list / 2) + 1]
end

for _, width in ipairs {1, 8} do
  local seen = {}
  for _, side in ipairs(all) do seen[side[1]] = {} end
  for _ = 1, rounds do
    for _, side in ipairs(all) do
      local seconds = side[2](width)
      table.insert(seen[side[1]], seconds and N / seconds or nil)
    end
  end
  local own = median(seen.casting)
  for _, side in ipairs(all) do
    local figure = median(seen[side[1]])
    if figure then
      print(("programs, %d at a time, %-8s %7.0f /s | casting / it %.2f")
        :format(width, side[1], figure, own / figure))
    else
      print(("programs, %d at a time, %-8s cannot be run here")
        :format(width, side[1]))
    end
  end
end
os.remove(binary)
