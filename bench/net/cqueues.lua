-- cqueues.lua - an echo server on cqueues: a coroutine for each connection.
-- SPDX-License-Identifier: MIT
--
-- With the word `idle` as its argument it collects its garbage for "collect".
-- With the word `big` it collects less often, for big messages.

local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local collects = arg[1] == "idle"
if arg[1] == "big" then
  collectgarbage("incremental", 1000)
end
local loop = cqueues.new()
local server = socket.listen { host = "127.0.0.1", port = 0, nodelay = true }
assert(server:listen())

-- Errors are returned, so that a reset ends this connection only.
local function quiet(_, _, why)
  return why
end

local function serve(client)
  client:onerror(quiet)
  client:setmode("bn", "bn")
  while true do
    local text = client:read(-65536)
    if not text then
      break
    end
    if collects and text == "collect" then
      collectgarbage()
      collectgarbage()
    end
    if not client:write(text) then
      break
    end
  end
  client:close()
end

loop:wrap(function()
  for client in server:clients() do
    loop:wrap(serve, client)
  end
end)

local _, _, port = server:localname()
print(port)
io.stdout:flush()
assert(loop:loop())
