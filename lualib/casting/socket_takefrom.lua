-- socket_takefrom.lua - receivefrom([n]) of sockets for datagrams, of
-- casting.socket.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Sock, steps = internal.socket_common, internal.luasocket

return function(self, n)
  local data, host, port = Sock.repeated(self, "r", steps.take, n, true)
  if port then return data, host, port end
  return data, host -- or nil, why
end
