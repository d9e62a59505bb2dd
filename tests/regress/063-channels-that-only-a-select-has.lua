-- 063: a select that waited knew its channels from the table of its cases only.
-- Another task changed that, and the channels were freed while tasks stood in
-- their queues.
-- still: a task goes on within a number of turns.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function collect()
  for _ = 1, 3 do collectgarbage() end
end

-- Few cases, and so many that they are kept elsewhere; received and sent.
local function body(width)
  local casting = require "casting"
  local way = casting.channel(1)
  local cases = {}
  for i = 1, width do
    local ch = casting.channel()
    cases[i] = i % 2 == 0 and ch or {ch, i, {"long " .. i}}
  end
  cases[width + 1] = way
  local task = casting.spawn(function() return casting.select(cases) end)
  casting.yield()
  assert(task:status() == "waiting")
  for i = 1, width + 1 do cases[i] = nil end
  for _ = 1, 3 do collectgarbage() end
  for _ = 1, 2 * width do casting.channel() end
  way:send "after all"
  local i, v = task:await()
  assert(i == width + 1 and v == "after all")

  for k = 1, width do cases[k] = casting.channel() end
  task = casting.spawn(function() return casting.select(cases) end)
  casting.yield()
  for k = 1, width do cases[k] = nil end
  for _ = 1, 3 do collectgarbage() end
  task:cancel()
  assert(not task:join())
end

for _, width in ipairs {1, 2, 11, 12, 13, 500} do
  body(width)
  collect()
  local session = casting.session()
  session:spawn(body, width):await()
  session:close()
end
