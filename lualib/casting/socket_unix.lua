-- socket_unix.lua - what require "socket.unix" returns, of casting.socket: a
-- table that can be called, as it once was a function.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local setmetatable = setmetatable
local steps = internal.luasocket

local function stream() return steps.new("stream", "unix") end
local function dgram() return steps.new("dgram", "unix") end

return function()
  local unix = {stream = stream, dgram = dgram, tcp = stream, udp = dgram}
  function unix.__call(self, ...) return self.stream(...) end
  return setmetatable(unix, unix)
end
