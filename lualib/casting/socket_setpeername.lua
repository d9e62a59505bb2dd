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
  local port, why = Sock.port(service, true)
  if not port then return nil, why end
  local list
  list, why = Sock.addresses(host, steps.family(self), 0)
  if not list then return nil, why end
  for i = 1, list.n do
    local ok
    ok, why = steps.connect(self, list[i], port)
    if ok then
      steps.become(self, true)
      return ok
    end
  end
  return nil, why
end
