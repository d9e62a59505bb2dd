-- 240: When memory failed as a server looked after the end of a connection, it
-- could forget that one: it did not close it, so its client waited until the
-- collector found it; and with a limit the next one was not accepted. And when
-- memory failed as it began to serve a connection, there could be two tasks for
-- that one, of which it knew one: that waited for what the other had read.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local LONG = helper.LONG
local internal = helper.internal()
if not internal or not rawget(internal, "starve") then return end -- release
casting.on_error(casting.channel(math.huge)) -- tasks fail for want of memory

-- Waits for the end of a stream, also where there is no memory for that.
local function ends(stream)
  local deadline = casting.now() + LONG
  local ok, got, why
  repeat
    ok, got, why = pcall(stream.read, stream, 1, LONG)
  until ok or casting.now() > deadline
  return ok and got == nil and why ~= "timeout"
end

-- As the first connection ends, memory begins to fail at the n-th allocation,
-- so many times, while the second one gets its turn: both must see an end.
local function try(n, many)
  local listener = assert(casting.net.listen("127.0.0.1", 0))
  local function f(stream)
    local starve = rawget(require "helper".internal(), "starve")
    if stream:read "l" ~= "first" then return end
    for _ = 1, 4 do collectgarbage() end -- spare parts of stacks go, too
    starve(n, many)
  end
  local server = casting.spawn(listener.serve, listener, f,
    {sessions = 1, limit = 1})
  local _, port = listener:name()
  local one = assert(casting.net.connect("127.0.0.1", port))
  local two = assert(casting.net.connect("127.0.0.1", port))
  two:write "second\n"
  one:write "first\n"
  local which = not ends(one) and "first" or not ends(two) and "second"
  internal.starve(0)
  assert(not which, ("failing at %d + %d: the %s connection does not end\n%s")
    :format(n, many, tostring(which), casting.report()))
  one:close()
  two:close()
  listener:close()
  assert(server:join(LONG) ~= nil, "the server does not end")
end

for n = 1, 24 do try(n, 2) end
for n = 1, 4 do try(n, 20) end
