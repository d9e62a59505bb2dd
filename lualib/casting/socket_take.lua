-- socket_take.lua - receive([n]) of sockets for datagrams, of casting.socket.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Sock, steps = internal.socket_common, internal.luasocket

return function(self, n)
  local data, why = Sock.repeated(self, "r", steps.take, n)
  if data then return data end
  return nil, why
end
