-- socket_receive.lua - client:receive(pattern, prefix), of casting.socket, with
-- a prefix, or with both timeouts: that for each wait ends when something has
-- come, and another one begins.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Net, steps = internal.net_common, internal.luasocket

-- With both timeouts, above 0: waits as long as something comes within that of
-- each wait. What has come stays with the client, as each wait may be
-- cancelled. Returns what receive does, or nil, "timeout" and a number.
local function receive_slowly(self, pattern, had, block, deadline)
  local before = 0
  while true do
    local left = Net.left(deadline)
    local data, why, part = steps.receive_within(self, pattern, had,
      block < left and block or left, true)
    if data or why ~= "timeout" or part == before or left == 0 then
      return data, why, part
    end
    before = part
  end
end

return function(self, pattern, prefix)
  local block, total = steps.timeouts(self)
  local had, data, why, part = prefix and #prefix or 0, nil, "timeout", nil
  local seconds = steps.seconds(self) or -1
  if block > 0 and total >= 0 then
    data, why, part =
      receive_slowly(self, pattern, had, block, Net.deadline(total))
    seconds = 0
  end
  -- Once, or to take what has come.
  if not data and why == "timeout" then
    data, why, part = steps.receive_within(self, pattern, had, seconds)
  end
  prefix = prefix or ""
  if data then return prefix .. data, nil, nil end
  return nil, why, prefix .. part
end
