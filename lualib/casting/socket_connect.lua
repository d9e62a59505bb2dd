-- socket_connect.lua - tcp:connect(host, port), of casting.socket.
-- SPDX-License-Identifier: MIT
--
-- It makes a client of the object also if it fails: with a timeout of 0 the
-- connection is under way then.

local _, internal = ...
local Sock, steps = internal.socket_common, internal.luasocket

return function(self, host, port)
  local ok, why = Sock.connect_to_any(self, host, port, steps.family(self))
  steps.become(self)
  if ok then return ok end
  return nil, why
end
