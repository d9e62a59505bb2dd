-- A session's limit is lifted a little while its Lua state closes, and stats
-- told that one: read, besides, while another thread wrote it.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

for _ = 1, 300 do
  local session = casting.session{memory = 1000000}
  session:spawn(function() end)
  local closer = casting.spawn(session.close, session)
  local closed
  repeat
    local ok, stats = pcall(session.stats, session) -- not: it has closed
    assert(not ok or stats.memory_max == 1000000)
    casting.yield()
    closed = closer:join(0)
  until closed ~= nil
  assert(closed)
end
