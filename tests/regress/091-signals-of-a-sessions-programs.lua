-- 091: programs that sessions started had nearly all signals blocked, as the
-- threads have that run sessions: a shell waited for ever for a child that it
-- had killed.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local killed = "kill -s TERM $$; sleep 0.1"
local waits = "sleep 5 & job=$!; kill $job; wait $job 2>/dev/null; exit 7"
local session = casting.session()
for _, command in ipairs {killed, waits} do
  local here, how, code = os.execute(command)
  local there = {session:spawn(os.execute, command):await()}
  assert(there[1] == here and there[2] == how and there[3] == code, command)
end
local closed = session:spawn(function(command)
  return {io.popen(command):close()}
end, waits):await()
assert(closed[3] == nil or closed[3] == 7)
session:close()
