-- On 5.3 and 5.4 loading bytecode does not run the collector. A session that
-- received nothing but functions kept them all: 20,000 small ones were 8 MB.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local ch = casting.channel(4)
local session = casting.session()
local task = session:spawn(function(ch)
  local sum, most = 0, 0
  for f in ch do
    sum = sum + f()
    most = math.max(most, collectgarbage "count")
  end
  return sum, most
end, ch)

local load = loadstring or load -- luacheck: ignore
local count, expected = 8000, 0
for i = 1, count do
  -- Different ones: of equal functions one is loaded.
  ch:send(load("local a = 1 if a == 2 then return a end return " .. i))
  expected = expected + i
end
ch:close()
local sum, most = task:await(60)
assert(sum == expected)
assert(most < 1500, most .. " KiB")
session:close()
