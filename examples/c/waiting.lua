-- waiting.lua - tasks that wait in functions of the C module parkmod.
-- SPDX-License-Identifier: MIT
--
-- The module must be built first; parkmod.c, beside this file, says how. Lua
-- must find it: LUA_CPATH="./?.so;;" does where the module is in the current
-- directory.
local casting = require "casting"
local ok, parkmod = pcall(require, "parkmod")
if not ok then
  io.stderr:write("waiting: build the module first, as parkmod.c says: ",
    parkmod, "\n")
  os.exit(1)
end

-- One task counts while others wait in C: nothing stands still.
local ticks, finished = 0, false
casting.spawn(function()
  while not finished do ticks = ticks + 1 casting.yield() end
end)

local primes = {}
for i = 1, 4 do primes[i] = casting.spawn(parkmod.work, 5000 * i) end
for i = 1, 4 do primes[i] = select(2, primes[i]:join()) end
print("primes: " .. table.concat(primes, " "))

-- A pipe: its reader is suspended until something comes, or not.
local r, w = parkmod.pipe()
local reader = casting.spawn(function()
  return parkmod.read(r, 100), (select(2, parkmod.read(r, 100, 0.01)))
end)
casting.yield()
parkmod.write(w, "hello")
print("read:", select(2, reader:join()))

-- A cancelled reader gives up.
local waiting = casting.spawn(function() parkmod.read(r, 100) end)
casting.yield()
waiting:cancel "enough"
print("cancelled:", select(2, waiting:join()))
finished = true
parkmod.close(r)
parkmod.close(w)
print("others ran meanwhile:", ticks > 0)
