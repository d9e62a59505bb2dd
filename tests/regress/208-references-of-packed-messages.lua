-- 208: A packed message that a sandbox sent was charged for its bytes, but not
-- for its references, which each message in a queue has: one byte for a handle
-- of nine. So a sandbox had almost ten times the memory of its limit.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local LONG = helper.LONG

local function measure(handles, sends)
  local c = require "casting"
  local function memory()
    collectgarbage()
    collectgarbage()
    return c.self():session():stats().memory
  end
  local parts = {}
  for i = 1, handles do parts[i] = c.pack(i) end
  local all = c.pack(parts)
  parts = nil -- luacheck: ignore
  local queue = c.channel(math.huge)
  local before = memory()
  for _ = 1, sends do queue:send(all) end
  return memory() - before
end

local box = casting.session {sandbox = true, memory = 64e6}
local _, packed = assert(box:spawn(measure, 2000, 50):join(LONG))
assert(packed > 50 * 2000 * 7, packed)

-- So the limit is met where it should be.
local small = casting.session {sandbox = true, memory = 4e6}
local ok, why = small:spawn(measure, 2000, 1000):join(LONG)
assert(not ok and tostring(why):find("memory", 1, true), tostring(why))
assert(small:close(LONG) and box:close(LONG))
