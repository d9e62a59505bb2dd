-- net_refused.lua - a hundred thousand connections to a port at which nobody
-- listens, one after the other and fifty at once: each is refused, and nothing
-- is left of them, no descriptor and no memory.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/net_refused.lua [SEED] [SCALE]

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local casting = require "casting"
local net = require "casting.net"

kit.arguments()
local total = kit.scaled(100000, 1000)
-- At an address of its own: other tests may get the port meanwhile, and so may
-- the end of a connection to it.
local listener = assert(net.listen("127.0.0.9", 0))
local host, port = listener:name()
listener:close()

-- How many descriptors the process has; 0 where nobody knows.
local function descriptors()
  local pipe, n = io.popen "ls /proc/$PPID/fd 2>/dev/null", 0
  for _ in pipe:lines() do n = n + 1 end
  pipe:close()
  return n
end

local function try(options)
  local stream, why = net.connect(host, port, options)
  kit.check(not stream and why == "connection refused", "%s", tostring(why))
end

local function memory()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

for _ = 1, 100 do try() end
local before, kept = descriptors(), memory()
for _ = 1, total / 2 do try() end
casting.scope(function(scope)
  for _ = 1, 50 do
    scope:spawn(function()
      for _ = 1, total / 100 do try {timeout = 60} end
    end)
  end
end)
local now = descriptors() -- one more for a moment: the end that the shell has
kit.check(now <= before + 1, "%d descriptors were %d", now, before)
kit.check(memory() < kept + 500, "%d KiB were %d", memory(), kept)
print(("net_refused: %d refused"):format(total))
