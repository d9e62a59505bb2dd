-- 205: A supervisor had ended, nobody had a handle of its session, and that was
-- just closing: who asked the supervisor got the error that the session is
-- closed, and not "noproc".
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

-- Leaves a finalizer in a session, which writes a file and runs for a while, as
-- the state is closed.
local function linger(path)
  local function finish()
    local t = os.clock() + 0.2
    io.open(path, "w"):close()
    while os.clock() < t do end
  end
  local newproxy = rawget(_G, "newproxy")
  if newproxy then
    KEPT = newproxy(true) -- luacheck: ignore
    getmetatable(KEPT).__gc = finish -- luacheck: ignore
  else
    KEPT = setmetatable({}, {__gc = finish}) -- luacheck: ignore
  end
end

local path, go = os.tmpname(), casting.channel()
os.remove(path)
local sup = casting.supervisor {intensity = 0, events = casting.channel(1),
  children = {{id = 1, args = {go}, start = function(go)
    go:receive()
    error("crash", 0)
  end}}}
assert(sup.task:session():spawn(linger, path):join(helper.LONG))
go:close()
assert(sup:wait(helper.LONG) == false)
local file
repeat
  collectgarbage()
  file = io.open(path)
until file
file:close()
os.remove(path)
for _ = 1, 100 do
  local n, why = sup:count_children()
  assert(n == nil and why == "noproc")
end
