-- prelude.lua - runs before LuaSocket's own testclnt.lua and testsrvr.lua.
-- SPDX-License-Identifier: MIT
--
-- They ask for a core that was compiled with LUASOCKET_DEBUG: its send and
-- receive tell the time that they took, too. And the client looks for a host
-- that does not answer: FULLPORT is one here, since its backlog is full.

local socket = require "socket"
socket._DEBUG = true

local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
local client = assert(socket.connect("127.0.0.1", port))
local methods = getmetatable(client).__index
for _, name in ipairs {"send", "receive"} do
  local f = methods[name]
  methods[name] = function(...)
    local began = socket.gettime()
    local a, b, c = f(...)
    return a, b, c, socket.gettime() - began
  end
end
server:close()
client:close()

local full = socket.tcp4()
assert(full:bind("127.0.0.1", 0))
assert(full:listen(0))
local _, fullport = full:getsockname()
FULLPORT = fullport -- luacheck: ignore
FILLING = {full} -- luacheck: ignore
for i = 1, 8 do
  local filler = socket.tcp4()
  filler:settimeout(0)
  filler:connect("127.0.0.1", fullport)
  FILLING[i + 1] = filler -- luacheck: ignore
end
