-- 211: A session that closed while what another one had left was just looked
-- at, and that look was at its end, was not looked after: its channels that lay
-- in themselves stayed until the next session closed.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

-- What the first session leaves are many packed messages in a channel that lies
-- in itself; these are freed when the look ends. One of the first of them has
-- the last handle of another session, which closes meanwhile.
local box = casting.session {sandbox = true, memory = 64e6}
for _ = 1, 3 do
  local left = box:spawn(function()
    local c = require "casting"
    local function used()
      collectgarbage()
      collectgarbage()
      return c.self():session():stats().memory
    end
    local first, second = c.session(), c.session()
    local before = used()
    local last = second:spawn(function()
      local c = require "casting"
      local own = c.channel(math.huge)
      own:send(own)
      for i = 1, 20 do own:send(("x"):rep(1e5) .. i) end
    end)
    assert(last:join())
    assert(first:spawn(function(second)
      local c = require "casting"
      local own = c.channel(math.huge)
      own:send(own)
      own:send {c.pack(second)}
      for i = 1, 10000 do own:send {c.pack(i)} end
    end, second):join())
    second = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    first:close()
    last:session():close() -- it has lost its handle, and closes by itself
    return used() - before
  end):await()
  assert(left < 1e6, "left are " .. left .. " bytes")
end
box:close()
