-- net_copies.lua - many copies at the same time in two sessions, each through
-- sockets that are full or empty by turns; some are cancelled and taken up
-- again. What comes out is what went in.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/net_copies.lua [SEED] [SCALE]

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local casting = require "casting"

local seed = kit.arguments()

-- In a session: `count` copies with chance from `seed`; how many bytes were
-- checked, and how many copies were broken off.
local function run(count, seed)
  local casting = require "casting"
  local net = require "casting.net"
  local LONG = 600

  local function tcp(listener)
    local a = assert(net.connect(listener:name()))
    return a, assert(listener:accept(LONG))
  end

  -- Bytes that depend on their place in the stream, `n` of them from `at` on.
  local list = {}
  for i = 1, 8192 do list[i] = ("%06d\n"):format(i) end
  local period = table.concat(list)
  local double = period .. period
  local function bytes(at, n)
    local parts = {}
    while n > 0 do
      local from = at % #period
      local size = math.min(n, #period)
      parts[#parts + 1] = double:sub(from + 1, from + size)
      at, n = at + size, n - size
    end
    return table.concat(parts)
  end

  local function one(number)
    local state = (seed * 1000 + number) % 2147483646 + 1
    local function random(n)
      state = (state * 16807) % 2147483647
      return math.floor(state / 2147483647 * n) + 1
    end
    for _ = 1, 5 do random(2) end
    local listener = assert(net.listen("127.0.0.1", 0))
    local a, b
    if random(2) == 1 then a, b = net.pair() else a, b = tcp(listener) end
    local total, broken = 300000 + random(3000000), 0
    local writer = casting.spawn(function()
      local at = 0
      while at < total do
        local n = random(3) == 1 and random(200) or random(300000)
        n = math.min(n, total - at)
        assert(a:write(bytes(at, n), LONG))
        at = at + n
        if random(10) == 1 then casting.sleep(random(5) / 1000) end
      end
      a:shutdown()
    end)
    -- Each copy has a target of its own: a broken one is shut.
    local at = 0
    while at < total do
      local c, d
      if random(2) == 1 then c, d = net.pair() else c, d = tcp(listener) end
      local copy = casting.spawn(function()
        if random(4) == 1 then return b:copy(c, random(500000)) end
        return b:copy(c)
      end)
      local killer = random(3) > 1 and casting.spawn(function()
        casting.sleep(random(20) / 1000)
        copy:cancel()
      end)
      local reader = casting.spawn(function()
        while true do
          local text, why = d:read(nil, LONG)
          if not text then return why end
          if text ~= bytes(at, #text) then error "other bytes came out" end
          at = at + #text
          if random(20) == 1 then casting.sleep(random(3) / 1000) end
        end
      end)
      local ok, n = copy:join(LONG)
      if not ok then
        broken = broken + 1
      else
        assert(n, "a copy has failed")
      end
      c:shutdown()
      assert(reader:await(LONG) == "closed")
      if killer then killer:join(LONG) end
      c:close()
      d:close()
      -- What is left over of it may also be read.
      if random(3) == 1 and at < total then
        local text = assert(b:read(nil, LONG))
        if text ~= bytes(at, #text) then error "other bytes were left" end
        at = at + #text
      end
    end
    assert(at == total, "too many bytes")
    writer:await(LONG)
    assert(select(2, b:read(1, LONG)) == "closed")
    a:close()
    b:close()
    listener:close()
    return total, broken
  end

  local tasks, all, broken = {}, 0, 0
  for i = 1, count do tasks[i] = casting.spawn(one, i) end
  for i = 1, count do
    local n, m = tasks[i]:await(LONG)
    all, broken = all + n, broken + m
  end
  return all, broken
end

local sessions, tasks = {casting.session(), casting.session()}, {}
local count = kit.scaled(40, 4)
for i = 1, 2 do tasks[i] = sessions[i]:spawn(run, count, seed * 2 + i) end
local all, broken = 0, 0
for i = 1, 2 do
  local ok, n, m = tasks[i]:join()
  if not ok then kit.violation("%s", tostring(n)) end
  all, broken = all + n, broken + m
end
print(("%d bytes in %d copies, %d broken off"):format(all, 2 * count, broken))
