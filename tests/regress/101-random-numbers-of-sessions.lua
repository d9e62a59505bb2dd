-- 101: sessions that came one after the other drew the same random numbers
-- (5.4, LuaJIT), and those that ran at the same time took each other's (5.1 to
-- 5.3).
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local seen = {}
for _ = 1, 5 do
  local session = casting.session()
  local n = session:spawn(function() return math.random(1000000000) end)
    :await(20)
  session:close()
  assert(not seen[n], "the same number again")
  seen[n] = true
end

local a, b = casting.session(), casting.session()
local function seed() math.randomseed(5) end
local function draw() return math.random(1000000000) end
a:spawn(seed):await(20)
b:spawn(seed):await(20)
for _ = 1, 10 do
  assert(a:spawn(draw):await(20) == b:spawn(draw):await(20))
end
a:close()
b:close()
