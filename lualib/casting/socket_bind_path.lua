-- socket_bind_path.lua - bind(path) of Unix sockets, of casting.socket.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local steps = internal.luasocket

return function(self, path)
  return steps.bind(self, path)
end
