-- 133: A supervisor that was cancelled before its children had ended closed the
-- session of the first one only: that call raises, in a task that is cancelled.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local gone, begun = casting.channel(10), casting.channel(10)

-- Stuck in C, beside a task that ends only with its session.
local function child(begun, gone, i)
  local casting = require "casting"
  casting.spawn(function()
    pcall(casting.sleep, 1000)
    gone:try_send(i)
  end)
  casting.yield()
  begun:send(i)
  os.execute "sleep 3"
end

local children = {}
for i = 1, 4 do
  children[i] = {id = i, start = child, args = {begun, gone, i}, shutdown = 60}
end
local supervisor = casting.supervisor {children = {
  {id = "nested", shutdown = 0.01, supervisor = {children = children}}}}
for _ = 1, 4 do assert(begun:receive(60)) end
supervisor:terminate_child "nested"
local seen = {}
for _ = 1, 4 do
  local i, why = gone:receive(60)
  assert(i, why)
  seen[i] = true
end
assert(seen[1] and seen[2] and seen[3] and seen[4])
supervisor:stop()
