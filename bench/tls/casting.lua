-- casting.lua - a server of TLS on casting: a task for each connection.
-- SPDX-License-Identifier: MIT
--
--     casting.lua CERTIFICATE KEY [PIECE] [--buffers]
--
-- A line "get N" asks for so many bytes, which are written in pieces of PIECE
-- bytes, 16384 unless told; "put N" announces them, and is answered by "ok"
-- when they are all there. With --buffers connections keep their buffers.

local casting = require "casting"

local cert, key, piece = arg[1], arg[2], tonumber(arg[3]) or 16384
local buffers = arg[#arg] == "--buffers"
local text = ("x"):rep(piece)

local function give(stream, left)
  while left >= piece do
    if not stream:write(text) then return false end
    left = left - piece
  end
  return left == 0 or stream:write(text:sub(1, left))
end

local function take(stream, left)
  while left > 0 do
    local bytes = stream:read(left < 65536 and left or nil)
    if not bytes then return false end
    left = left - #bytes
  end
  return stream:write "ok\n"
end

local function serve(stream)
  local line = stream:read "l"
  while line do
    local what, n = line:match "^(%l+) (%d+)$"
    if not (what == "get" and give or take)(stream, tonumber(n)) then break end
    line = stream:read "l"
  end
end

local listener = assert(casting.net.listen("127.0.0.1", 0,
  {tls = {cert = cert, key = key, buffers = buffers}}))
print((select(2, listener:name())))
io.stdout:flush()
casting.spawn(function() listener:serve(serve) end):await()
