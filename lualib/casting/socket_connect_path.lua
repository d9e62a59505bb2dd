-- socket_connect_path.lua - connect(path) of Unix sockets, of casting.socket.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Sock, steps = internal.socket_common, internal.luasocket

return function(self, path)
  local ok, why = Sock.connect(self, path, nil, steps.seconds(self))
  if not ok then
    self:close() -- as LuaSocket does, whatever it is
    return nil, why
  end
  steps.become(self, true)
  return ok
end
