-- 102: a metatable of a module that was sent before any object that has it was
-- copied, and objects behind it in the message got the copy. So it was with
-- modules of nothing but data, and with casting.cancelled.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

package.preload["regress.point"] = function()
  return {mt = {__eq = function() return true end}, servers = {"a"}}
end
package.preload["regress.config"] = function() return {1, 2, size = 3} end
local point, config = require "regress.point", require "regress.config"
local cancelled = casting.cancelled

local session = casting.session()
assert(session:spawn(function()
  return cancelled == require "casting".cancelled and
    config == require "regress.config"
end):await(20))

local ch = casting.channel(1)
for _ = 1, 2 do
  ch:send(point.mt, setmetatable({}, point.mt), config, point.servers)
  local mt, object, data, servers = ch:receive()
  assert(mt == point.mt and getmetatable(object) == point.mt)
  assert(data == config)
  assert(servers ~= point.servers and servers[1] == "a", "it is not copied")
end

-- What is found out about one table does not hold for the next one.
package.loaded["regress.config"] = {}
ch:send(config, package.loaded["regress.config"])
local old, new = ch:receive()
assert(old ~= config and new == package.loaded["regress.config"])
session:close()
