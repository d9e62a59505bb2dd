-- cqueues.lua - a server of "Hello, World!" on cqueues: a coroutine for each
-- connection.
-- SPDX-License-Identifier: MIT

local here = arg[0]:match "^(.*/)[^/]*$" or "./"
local plain = dofile(here .. "plain.lua")
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local loop = cqueues.new()
local server = socket.listen {host = "127.0.0.1", port = 0, nodelay = true}
assert(server:listen())

-- Errors are returned, so that a reset ends this connection only.
local function quiet(_, _, why) return why end

-- The next head, of what has come and is to come: it, and what is behind it.
local function receive(client, text)
  local first, last = text:find("\r\n\r\n", 1, true)
  while not first do
    local more = client:read(-65536)
    if not more then return nil end
    text = text == "" and more or text .. more
    first, last = text:find("\r\n\r\n", 1, true)
  end
  return text:sub(1, first + 1), text:sub(last + 1)
end

local function serve(client)
  client:onerror(quiet)
  client:setmode("bn", "bn")
  local head, rest = receive(client, "")
  while head do
    local response, keeps = plain.answer(head)
    if not client:write(response) or not keeps then break end
    head, rest = receive(client, rest)
  end
  client:close()
end

loop:wrap(function()
  for client in server:clients() do loop:wrap(serve, client) end
end)

local _, _, port = server:localname()
print(port)
io.stdout:flush()
assert(loop:loop())
