-- socket_giveto.lua - sendto(datagram, address, port), and sendto(datagram,
-- path), of casting.socket.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local Net, Sock, steps, sockets = internal.net_common, internal.socket_common,
  internal.luasocket, internal.sockets

-- No event tells when the queue of a Unix socket has room that this one is not
-- connected to.
local PAUSE, LONGEST = 0.001, 0.02

local function send_to_path(self, data, path)
  local deadline, pause = Sock.deadline(self), PAUSE
  Sock.take_turn()
  while true do
    local n, why = steps.give(self, data, path)
    if n then return n end
    if n == nil then return nil, why end
    local left = Net.left(deadline)
    if left == 0 then return steps.wait(self, "w", 0) end
    casting.sleep(left and left < pause and left or pause)
    if pause < LONGEST then pause = pause + PAUSE end
  end
end

return function(self, data, host, service)
  if not service then return send_to_path(self, data, host) end
  local kind, family = sockets.numeric(host), steps.family(self)
  if kind ~= "inet" and kind ~= "inet6" then
    return nil, "Name or service not known"
  end
  if family ~= "unspec" and family ~= kind then
    return nil, "Address family for hostname not supported"
  end
  -- The first try may give it a descriptor: not if it is closed before.
  local closes = steps.closes(self)
  local port, why = Sock.port(service, true)
  if not port then return nil, why end
  local deadline = Sock.deadline(self)
  Sock.take_turn()
  if steps.closes(self) ~= closes then return steps.refuse(self) end
  local n
  n, why = Sock.insist(self, "w", deadline, steps.give, data, host, port)
  if n then return n end
  return nil, why
end
