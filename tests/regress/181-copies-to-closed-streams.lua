-- 181: stream:copy to a stream that was closed before, or while the copy waited
-- for its turn behind another writer, waited for a byte of the first stream.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local net = require "casting.net"

local a, b = assert(net.pair())
local c, d = assert(net.pair())
c:close()
local ok, n, why, done = casting.with_timeout(20, a.copy, a, c)
assert(ok and n == nil and why == "closed" and done == 0, tostring(why))
b:write "x" -- nobody reads from it any more
assert(a:read(1, 20) == "x")
d:close()

c, d = assert(net.pair())
local writer = casting.spawn(function() return c:write(("x"):rep(10000000)) end)
casting.yield()
local copy = casting.spawn(function() return a:copy(c) end)
casting.yield()
c:close()
ok, n, why = writer:join(20)
assert(ok and n == nil and why == "closed")
ok, n, why = copy:join(20)
assert(ok and n == nil and why == "closed", "it waits")
d:close()
