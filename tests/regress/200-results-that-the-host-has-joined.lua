-- 200: The results of a sandbox's task, and the task itself, counted for its
-- limit of memory until the collector of the session that had joined it freed
-- the handle. So a plugin that is called again and again ran out of memory,
-- through no fault of its own.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
casting.on_error(casting.channel(math.huge)) -- some fail on purpose

local handles = {} -- no collector frees them
local function call(box, source, ...)
  local task = box:spawn(source, ...)
  handles[#handles + 1] = task
  return task:join(60)
end

local box = casting.session {sandbox = true, memory = 2e6}
for i = 1, 300 do
  local ok, text = call(box, "return ('x'):rep(5e4)")
  assert(ok and #text == 5e4, i .. ": " .. tostring(text))
end
for i = 1, 3000 do
  local ok, v = call(box, "return ...", i)
  assert(ok and v == i, tostring(v))
end
for i = 1, 300 do
  local ok, v = call(box, "error {('x'):rep(1000)}")
  assert(not ok and v[1], i .. ": " .. tostring(v))
end

-- What it keeps itself counts.
local n = 0
for _ = 1, 300 do
  local ok, text = call(box, [[
    kept = kept or {}
    kept[#kept + 1] = require("casting").self()
    return ('x'):rep(5e4)]])
  if not ok then
    assert(tostring(text):find("memory", 1, true), tostring(text))
    break
  end
  n = n + 1
end
assert(n < 100, "the sandbox kept " .. n .. " results of 50 kB")
assert(box:close(60))
