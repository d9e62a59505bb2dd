-- socket_setsockname.lua - udp:setsockname(host, port), of casting.socket.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Sock = internal.socket_common

return function(self, host, port)
  return Sock.bind(self, host, port, true)
end
