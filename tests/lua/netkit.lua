-- netkit.lua - what the specs of streams and listeners share.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"

local netkit = {}
local LONG = helper.LONG

-- The functions in C, which what is written in Lua is made of.
local function primitives()
  local ok, t = pcall(function() return helper.internal().sockets end)
  return ok and t or casting.net
end
netkit.net = primitives()

-- What moves requires this module where it arrives.
function netkit.prepare()
  local c = require "casting"
  local loaded = package.loaded
  loaded["casting.net"] = loaded["casting.net"] or c.net
end
netkit.prepare()

-- A session in which streams can arrive.
function netkit.session()
  local s = casting.session()
  s:spawn(netkit.prepare):await(LONG)
  return s
end

-- A connection to that listener: both ends of it, and the port.
function netkit.connect(listener)
  local net, _, port = netkit.net, listener:name()
  local client = assert(net.socket("127.0.0.1", port))
  assert(net.connect(client, "127.0.0.1", port, LONG))
  return client, assert(listener:accept(LONG)), port
end

-- Two ends of a TCP connection.
function netkit.tcp()
  local listener = assert(netkit.net.listen("127.0.0.1", 0))
  local a, b, port = netkit.connect(listener)
  listener:close()
  return a, b, port
end

-- Writes until the system takes no more; how many bytes went.
function netkit.fill(stream)
  local all, piece = 0, ("x"):rep(65536)
  while true do
    local ok, why, n = stream:write(piece, 0)
    all = all + (ok and #piece or n)
    if not ok then
      assert.equal("timeout", why)
      return all
    end
  end
end

-- How many descriptors the process has.
function netkit.descriptors()
  local n, pipe = 0, io.popen "ls /proc/$PPID/fd"
  for _ in pipe:lines() do n = n + 1 end
  pipe:close()
  return n
end

return netkit
