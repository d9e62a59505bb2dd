-- From 5.3 on the collector let handles pile up that were dropped at once, more
-- and more of them: a million tasks were 190 MB, nine million 1.7 GB.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"

-- What the state uses at most after each thousand of them, in KiB.
local function most(make)
  local casting, top = require "casting", 0
  for _ = 1, 200 do
    for _ = 1, 1000 do make(casting) end
    casting.yield() -- tasks run
    top = math.max(top, collectgarbage "count")
  end
  return top
end

local makers = {
  task = function(casting) return casting.spawn(function() end) end,
  channel = function(casting) return casting.channel(1) end,
  message = function(casting) return casting.pack(1) end,
}
local session = casting.session()
for what, make in pairs(makers) do
  local top = session:spawn(most, make):await()
  assert(top < 2000, what .. ": " .. top .. " KiB")
end
