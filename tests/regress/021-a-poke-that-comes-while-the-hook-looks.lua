-- 021: a session that had just not used up its cpu budget had its thread poked
-- again, so soon that the hook of the first poke took the second one's away;
-- then it computed on for ever.
-- SPDX-License-Identifier: MIT

package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"
local endless = require "helper".loops "while true do end"

for round = 1, 60 do
  local session = casting.session{cpu = 0.01}
  local task = session:spawn(endless)
  local ok, why = task:join(20)
  assert(ok == false, "round " .. round .. ": " .. tostring(why))
  session:close()
end
