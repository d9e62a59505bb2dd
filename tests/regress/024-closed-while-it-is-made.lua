-- The end of the program closed a session, and freed its Lua state, while the
-- task that had made it was still putting package.preload into it.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local helper = require "helper"
if not helper.has_children() then return end
for _ = 1, 5 do
  helper.output [[
    local casting = require "casting"
    local ready = casting.channel()
    local session = casting.session()
    session:spawn(function()
      local casting = require "casting"
      local function loader() return loader end
      for i = 1, 3000 do package.preload["module " .. i] = loader end
      ready:send(true)
      while true do casting.session() end
    end)
    ready:receive()
  ]]
end
