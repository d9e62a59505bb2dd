-- 184: in a session with a limit of memory, stream:copy failed in the middle,
-- "not enough memory", with a fraction of the memory that its first read was
-- content with; so did a line that came in more than one read.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local net = require "casting.net"

local limited, session = pcall(casting.session, {memory = 2000000})
if not limited then return end -- this Lua has no limits
local SIZE = 1000000

local function copy(from, to)
  local c = require "casting"
  local me, kept = c.self():session(), {}
  local function spare()
    collectgarbage()
    collectgarbage()
    local t = me:stats()
    return t.memory_max - t.memory
  end
  for i = 1, 10000 do
    local n = spare() - 60000
    if n < 2000 then break end
    n = math.min(100000, math.max(1000, math.floor(n / 8)))
    kept[i] = ("k"):rep(n) .. i
  end
  local n, why = from:copy(to)
  to:close()
  return n, why, #kept
end

local a, b = assert(net.pair())
local c, d = assert(net.pair())
local writer = casting.spawn(function()
  for _ = 1, 10 do assert(a:write(("x"):rep(SIZE / 10))) end
  a:shutdown()
end)
local reader = casting.spawn(d.read, d, "a", 60)
local task = session:spawn(copy, b, c)
local n, why = task:await(60)
assert(n == SIZE, tostring(why))
assert(#reader:await(60) == SIZE)
writer:await(60)
session:close()
