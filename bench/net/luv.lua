-- luv.lua - an echo server on luv, libuv's binding: callbacks, one thread.
-- SPDX-License-Identifier: MIT
--
-- With the word `idle` as its argument it collects its garbage for "collect".
-- With the word `big` it collects less often, for big messages.

local uv = require "luv"

local collects = arg[1] == "idle"
if arg[1] == "big" then
  collectgarbage("incremental", 1000)
end
local server = uv.new_tcp()
assert(server:bind("127.0.0.1", 0))

assert(server:listen(4096, function(failure)
  if failure then
    return
  end
  local client = uv.new_tcp()
  server:accept(client)
  client:nodelay(true)
  client:read_start(function(why, text)
    if text then
      if collects and text == "collect" then
        collectgarbage()
        collectgarbage()
      end
      client:write(text)
    elseif not client:is_closing() then
      client:close()
    end
    return why
  end)
end))

print(server:getsockname().port)
io.stdout:flush()
uv.run()
