-- 225: A sandbox could have finalizers, which nothing can stop: the metatable
-- of cancellations is a table of the module, and C set it without asking for
-- its __gc, as setmetatable does there.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local box = casting.session {sandbox = true, memory = 4e6}
local ran, made = box:spawn([[
  local c = require "casting"
  local ran, made = 0, 0
  c.cancelled.__gc = function() ran = ran + 1 end
  for _ = 1, 100 do
    c.with_timeout(0, function()
      local _, e = pcall(c.sleep, 10)
      if c.is_cancelled(e) then made = made + 1 end
    end)
  end
  for _ = 1, 3 do collectgarbage() end
  return ran, made
]]):await()
assert(ran == 0, ran .. " finalizers ran")
assert(made == 100, made .. " cancellations")
assert(box:close(10))

-- Elsewhere the program may do with that table what it likes.
local session = casting.session()
assert(session:spawn([[
  local c = require "casting"
  local _, e = pcall(c.with_timeout, 0, function()
    return select(2, pcall(c.sleep, 10))
  end)
  return e
]]):join(10))
