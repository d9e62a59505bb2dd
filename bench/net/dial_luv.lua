-- dial_luv.lua - a client on luv: connects, writes a byte, reads until the
-- end and closes, 32 at once.
-- SPDX-License-Identifier: MIT
--
-- Its argument is a port.

local uv = require "luv"

local AT_ONCE = 32
local port = assert(tonumber(arg[1]), "which port?")

local function dial()
  local client = uv.new_tcp()
  client:nodelay(true)
  client:keepalive(true, 15)
  client:connect("127.0.0.1", port, function(failure)
    if failure then
      client:close(dial)
      return
    end
    client:write "x"
    client:read_start(function(why, text)
      if not text then
        client:close(dial)
      end
      return why
    end)
  end)
end

for _ = 1, AT_ONCE do
  dial()
end
uv.run()
