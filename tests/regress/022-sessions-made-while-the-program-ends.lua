-- Sessions that tasks of other sessions still made while the main program ended
-- were waited for, but not told to close: each such exit took its whole grace
-- period, and left them open.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local helper = require "helper"
if not helper.has_children() then return end
for _ = 1, 5 do
  -- Each of the sessions says when it was made, and when it is closed.
  local out = helper.output [[
    local casting = require "casting"
    local ch = casting.channel()
    local session = casting.session()
    for _ = 1, 3 do
      session:spawn(function()
        local inner = casting.session()
        inner:spawn(function()
          local function say() io.stdout:write "closed\n" end
          if newproxy then
            rawset(_G, "sentinel", newproxy(true))
            getmetatable(rawget(_G, "sentinel")).__gc = say
          else
            rawset(_G, "sentinel", setmetatable({}, {__gc = say}))
          end
          io.stdout:write "made\n"
          ch:receive()
        end):join()
      end)
    end
    casting.yield()
  ]]
  local _, made = out:gsub("made", "")
  local _, closed = out:gsub("closed", "")
  assert(made == closed, out)
end
