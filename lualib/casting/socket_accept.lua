-- socket_accept.lua - server:accept(), of casting.socket.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Net, Sock, steps =
  internal.net_common, internal.socket_common, internal.luasocket

return function(self)
  local deadline = Sock.deadline(self)
  local spare
  Sock.take_turn()
  while true do
    local client, why, made = steps.accept(self, spare)
    if client then return client end
    if client == nil then return nil, why end
    spare = made
    local ok
    ok, why = steps.wait(self, "r", Net.left(deadline))
    if not ok then return nil, why end
  end
end
