-- luv.lua - a server of "Hello, World!" on luv, libuv's binding.
-- SPDX-License-Identifier: MIT

local here = arg[0]:match "^(.*/)[^/]*$" or "./"
local plain = dofile(here .. "plain.lua")
local uv = require "luv"

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", 0))

local function finish(client)
  if not client:is_closing() then client:close() end
end

-- Answers what is whole of the requests in a text; returns what is left.
local function answer(client, text)
  local first, last = text:find("\r\n\r\n", 1, true)
  while first do
    local response, keeps = plain.answer(text:sub(1, first + 1))
    client:write(response)
    text = text:sub(last + 1)
    if not keeps then
      client:shutdown(function() finish(client) end)
      return ""
    end
    first, last = text:find("\r\n\r\n", 1, true)
  end
  return text
end

assert(server:listen(4096, function(failure)
  if failure then return end
  local client, rest = uv.new_tcp(), ""
  server:accept(client)
  client:nodelay(true)
  client:read_start(function(why, text)
    if text then
      rest = answer(client, rest == "" and text or rest .. text)
    else
      finish(client)
    end
    return why
  end)
end))

print(server:getsockname().port)
io.stdout:flush()
uv.run()
