-- A select that was cancelled or interrupted stayed in the queues of its
-- channels, whose next use then met freed memory.
local casting = require "casting"
local function pack(...) return {n = select("#", ...), ...} end

local a, b = casting.channel(), casting.channel()
local function cancel_one()
  local task = casting.spawn(function() casting.select{a, {b, 1}} end)
  while task:status() ~= "waiting" do casting.yield() end
  task:cancel()
  assert(task:join() == false)
end
for _ = 1, 100 do
  cancel_one()
  collectgarbage()
  for _ = 1, 10 do
    casting.spawn(function() casting.select{timeout = 0} end):join()
  end
  local r = pack(a:try_send(1))
  assert(r[1] == nil and r[2] == "full", tostring(r[1]))
  r = pack(b:try_receive())
  assert(r[1] == nil and r[2] == "empty", tostring(r[1]))
end
