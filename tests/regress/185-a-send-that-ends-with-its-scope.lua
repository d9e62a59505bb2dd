-- 185: a send whose timeout was over about when that of a scope around it was
-- shut its side, as if nobody would learn how much had gone, although it told
-- that. Whether an error is raised was looked at a moment later.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
require("casting.socket").install()
local socket = require "socket.core"

local data = ("x"):rep(8 * 1024 * 1024)
local server = assert(socket.tcp4())
assert(server:bind("127.0.0.1", 0))
assert(server:listen())
local _, port = server:getsockname()

-- Has a send of a whole string an outcome, or is it stopped by its scope? Then
-- this side is shut.
local function try(seconds, send)
  local told, none, why = casting.with_timeout(seconds, send, data, 0.01)
  assert(none == nil or not told)
  if told then assert(why == "timeout", why) end
  none, why = send("y", 0)
  assert(not none and why == (told and "timeout" or "closed"), why)
end

for i = 0, 20 do
  local seconds = 0.0096 + i * 0.00008
  local a = assert(socket.connect("127.0.0.1", port))
  local b = assert(server:accept())
  try(seconds, function(what, timeout)
    a:settimeout(timeout)
    return a:send(what)
  end)
  a:close()
  b:close()
  a, b = casting.net.pair()
  try(seconds, function(what, timeout) return a:write(what, timeout) end)
  a:close()
  b:close()
end
server:close()
