-- socket_receive.lua - client:receive(pattern, prefix), of casting.socket, with
-- a prefix, or with both timeouts: that for each wait ends when something has
-- come, and another one begins.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Net, steps, sockets =
  internal.net_common, internal.luasocket, internal.sockets

-- The seconds for the next wait, of those for each and those that are left.
local function next_seconds(block, deadline)
  local left = Net.left(deadline)
  if not left then return block end
  return block >= 0 and block < left and block or left
end

-- Has the end come, and not by a reset, behind what was to be read to there?
local function is_whole(self, pattern, why, got, prefix)
  return why == "closed" and pattern == "*a" and #got > #prefix and
    self:getfd() >= 0 and not sockets.was_reset(self)
end

return function(self, pattern, prefix)
  local block, total = steps.timeouts(self)
  local deadline = Net.deadline(total >= 0 and total or nil)
  local got = prefix or ""
  prefix = got
  while true do
    local before = #got
    local data, why, part = steps.receive_within(self, pattern, before,
      next_seconds(block, deadline))
    if data then return got .. data, nil, nil end
    got = got .. part
    if is_whole(self, pattern, why, got, prefix) then return got, nil, nil end
    if why ~= "timeout" or not deadline or block <= 0 or #got == before or
        Net.left(deadline) == 0 then
      return nil, why, got
    end
  end
end
