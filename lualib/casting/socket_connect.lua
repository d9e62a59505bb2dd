-- socket_connect.lua - tcp:connect(host, port), of casting.socket.
-- SPDX-License-Identifier: MIT
--
-- It makes a client of the object also if it fails: with a timeout of 0 the
-- connection is under way then. Else a program may try again: the system has
-- no use for a socket that could not connect, so there is a new one then.

local _, internal = ...
local Sock, steps = internal.socket_common, internal.luasocket

return function(self, host, port)
  local family = steps.family(self)
  local ok, why = Sock.connect_to_any(self, host, port)
  steps.become(self)
  if ok then return ok end
  if family == "unspec" and steps.timeouts(self) ~= 0 then
    steps.forget(self)
  end
  return nil, why
end
