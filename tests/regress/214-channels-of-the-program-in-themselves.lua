-- 214: A sandbox could leak a channel that the program had made and given to
-- it, with all that lay in it, by sending its handle into it: only channels of
-- its own were looked at when it closed.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

-- Is there /proc, and nothing that needs memory of its own? What does, such as
-- valgrind, finds leaks by itself.
local helper = require "helper"
local file = io.open "/proc/self/statm"
if not file or helper.has_plain_memory() or helper.tsan() then return end
file:close()
local function resident() -- in bytes, if pages have 4 KiB
  local f = assert(io.open "/proc/self/statm")
  local pages = f:read("*a"):match("^%d+ (%d+)")
  f:close()
  return pages * 4096
end

local function rest(n) return ("x"):rep(1e6) .. n end

-- Ways by which it comes to lead to itself, with the text.
local ways = {
  send = function(reply, text) reply:send(reply, text) end,
  table = function(reply, text) reply:send({{reply}, text}) end,
  try_send = function(reply, text) reply:try_send({reply}, text) end,
  select = function(reply, text)
    require("casting").select({{reply, reply, text}})
  end,
  packed = function(reply, text)
    local c = require "casting"
    reply:send({c.pack(c.pack(reply), text)})
  end,
  between = function(reply, text)
    local own = require("casting").channel(math.huge)
    own:send(reply, text)
    reply:send(own)
  end,
  monitor = function(reply, text)
    local task = require("casting").spawn(function() return reply, text end)
    task:monitor(reply)
    task:join()
  end,
}
local function run(way, n)
  local box = casting.session {sandbox = true, memory = 8e6}
  local reply = casting.channel(math.huge)
  box:spawn(function(way, reply, text)
    reply:send "ready"
    way(reply, text)
  end, way, reply, rest(n)):await()
  assert(reply:receive() == "ready")
  assert(box:close())
  -- What is reached stays.
  if n % 5 == 0 then assert(#reply == 1 and (reply:receive())) end
end

for name, way in pairs(ways) do
  run(way, 0)
  local before = resident()
  for n = 1, 12 do
    run(way, n)
    collectgarbage()
    collectgarbage()
    casting.session({sandbox = true}):close()
  end
  local grown = resident() - before
  assert(grown < 6e6, name .. ": " .. grown .. " bytes more")
end
