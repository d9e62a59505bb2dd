-- socket_setpeername.lua - udp:setpeername(host, port), of casting.socket.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Sock, steps = internal.socket_common, internal.luasocket

return function(self, host, service)
  if host == "*" then
    local ok = steps.disconnect(self)
    steps.become(self, false)
    return ok
  end
  local port, list = Sock.look_up(self, host, service, true, 0)
  if not port then return nil, list end
  local ok, why
  for i = 1, list.n do
    ok, why = steps.connect(self, list[i], port)
    if ok then
      steps.become(self, true)
      return ok
    end
  end
  return nil, why
end
