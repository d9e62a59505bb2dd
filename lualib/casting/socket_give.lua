-- socket_give.lua - send(datagram) of sockets that have a peer, of
-- casting.socket.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Sock, steps = internal.socket_common, internal.luasocket

return function(self, data)
  local n, why = Sock.repeated(self, "w", steps.give, data)
  if n then return n end
  return nil, why
end
