-- dial.lua - a client on casting: 32 tasks that connect, write a byte, read
-- until the end and close.
-- SPDX-License-Identifier: MIT
--
-- Arguments: [--session] PORT. The tasks are the main program's, or those of a
-- session of their own.

local casting = require "casting"

local AT_ONCE = 32

local function dial(port)
  local net = require "casting.net"
  while true do
    local stream = net.connect("127.0.0.1", port)
    if stream then
      stream:write "x"
      stream:read()
      stream:close()
    end
  end
end

local owner = casting
if arg[1] == "--session" then
  owner = casting.session { name = "dial" }
  table.remove(arg, 1)
end
local port = assert(tonumber(arg[1]), "which port?")

local function spawn()
  if owner == casting then
    return casting.spawn(dial, port)
  end
  return owner:spawn(dial, port)
end

local task
for _ = 1, AT_ONCE do
  task = spawn()
end
task:await()
