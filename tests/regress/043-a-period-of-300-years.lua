-- casting.every refused periods of more than 285 years, which sleep and after
-- take.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
for _, seconds in ipairs {1e10, 1e300, math.huge} do
  for _, f in ipairs {casting.after, casting.every} do
    local ch = f(seconds)
    assert(ch:try_receive() == nil)
    assert(ch:close())
  end
end
for _, seconds in ipairs {0, -1, 0 / 0, -math.huge} do
  assert(not pcall(casting.every, seconds))
end
