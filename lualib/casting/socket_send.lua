-- socket_send.lua - client:send(data, i, j), of casting.socket, with both
-- timeouts: that for each wait ends when something has gone, and another one
-- begins.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Net, steps = internal.net_common, internal.luasocket

return function(self, data, from, to)
  local block, total = steps.timeouts(self)
  local deadline = Net.deadline(total)
  while true do
    local left = Net.left(deadline)
    local last, why, sent = steps.send_within(self, data, from, to,
      block < left and block or left)
    if last then return last, nil, nil end
    if why ~= "timeout" or block == 0 or sent < from or
        Net.left(deadline) == 0 then
      return nil, why, sent
    end
    from = sent + 1
  end
end
