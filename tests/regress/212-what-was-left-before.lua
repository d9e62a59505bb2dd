-- 212: A sandbox could have what closed sessions had left, and what nobody
-- could reach any more, not be looked at again: many of its sessions left a
-- channel with the same large message, whose size counted for each of them.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local box = casting.session {sandbox = true, memory = 64e6}
local left = box:spawn(function()
  local c = require "casting"
  local function used()
    collectgarbage()
    collectgarbage()
    return c.self():session():stats().memory
  end

  -- Leaves a channel with the message, or, without one, in itself.
  local function leave(message)
    local s = c.session()
    local ok, ch = s:spawn(function(message)
      local c = require "casting"
      local ch = c.channel(math.huge)
      ch:send({message or ch})
      if not message then
        for i = 1, 20 do ch:send(("x"):rep(1e5) .. i) end
      end
      return ch
    end, message):join()
    assert(ok, ch)
    s:close()
    return ch
  end

  local parts, kept = {}, {}
  for i = 1, 5000 do parts[i] = c.pack(i) end
  local message = c.pack(parts)
  parts = nil -- luacheck: ignore
  for i = 1, 80 do kept[i] = leave(message) end
  local before = used()
  local lost = leave() -- luacheck: ignore
  lost = nil
  used()
  for _ = 1, 20 do c.session():close() end
  return used() - before, #kept
end):await()
assert(left < 1e6, "left are " .. left .. " bytes")
box:close()
