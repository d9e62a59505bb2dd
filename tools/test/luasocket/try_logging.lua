-- try_logging.lua - logging.socket of LuaLogging: each message is a
-- connection.
-- SPDX-License-Identifier: MIT

local kit = require "kit"
local casting = kit.casting

local socket = require "socket"
require "logging.socket"

local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
local collector = casting.spawn(function()
  local got = {}
  for _ = 1, 20 do
    local client = server:accept()
    got[client:receive "*a"] = true
    client:close()
  end
  return got
end)
kit.at_once(20, function(i)
  local logger = require("logging").socket("127.0.0.1", port,
    "%level %message")
  logger:warn("number " .. i)
end)
local got = collector:await()
for i = 1, 20 do assert(got["WARN number " .. i], "a message is lost") end
