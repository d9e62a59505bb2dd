-- 205: A supervisor had ended, nobody had a handle of its session, and that was
-- just closing: who asked the supervisor got the error that the session is
-- closed, and not "noproc".
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

-- A finalizer that runs for a while as the state of the session is closed.
local function linger()
  local function finish()
    local t = os.clock() + 0.1
    while os.clock() < t do end
  end
  local newproxy = rawget(_G, "newproxy")
  if newproxy then
    KEPT = newproxy(true) -- luacheck: ignore
    getmetatable(KEPT).__gc = finish -- luacheck: ignore
  else
    KEPT = setmetatable({}, {__gc = finish}) -- luacheck: ignore
  end
  error("crash", 0)
end

local sup = casting.supervisor {intensity = 0, events = casting.channel(1),
  children = {{id = 1, start = linger}}}
assert(sup:wait(helper.LONG) == false)
collectgarbage()
local t = os.clock() + 0.3
while os.clock() < t do
  local n, why = sup:count_children()
  assert(n == nil and why == "noproc")
end
