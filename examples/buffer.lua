-- buffer.lua - hands a large buffer round three sessions, uncopied.
-- SPDX-License-Identifier: MIT
--
-- What it shows: userdata of a C module (buffer.c beside this file) that moves.
-- Each session gets the buffer, changes bytes of it, and sends it on; after the
-- send its own buffer is empty. The bytes never move in memory.
--
-- How to run it (Lua 5.4; the module must be where Lua finds it):
--   cc -shared -fPIC -I/usr/include/lua5.4 -o buffer.so examples/buffer.c
--   LUA_CPATH_5_4="./?.so;;" ./dev run examples/buffer.lua
--   LUA_CPATH_5_4="./?.so;;" ./dev run examples/buffer.lua 1000   (megabytes)

local casting = require "casting"
local found, buffer = pcall(require, "buffer")
if not found then
  io.stderr:write("buffer: build the module first, as the head of this file ",
    "says: ", buffer, "\n")
  os.exit(1)
end

local megabytes = tonumber(arg[1] or 64)
if not megabytes or megabytes < 1 or megabytes % 1 ~= 0 then
  io.stderr:write("buffer: ", arg[1], " is no number of megabytes\n",
    "usage: buffer.lua [MEGABYTES]\n")
  os.exit(2)
end
local size = megabytes * 1024 * 1024

-- Takes buffers from `input`, puts its mark into the next byte, passes them on.
local function station(mark, input, output)
  for b, place in input do
    b:set(place, mark)
    output:send(b, place + 1)
    assert(not pcall(b.get, b, 1), "it should have moved away")
  end
end

local channels, sessions = {}, {}
for i = 1, 4 do
  channels[i] = casting.channel()
end
for i = 1, 3 do
  sessions[i] = casting.session { name = "station " .. i }
  sessions[i]:spawn(station, 64 + i, channels[i], channels[i + 1])
end

local b = buffer.new(size)
local before = b:address()
channels[1]:send(b, 1)
local got = channels[4]:receive()

print(("%d MB through three sessions: marks %s, %s"):format(megabytes,
  string.char(got:get(1), got:get(2), got:get(3)),
  got:address() == before and "never copied" or "copied"))
for i = 1, 3 do
  channels[i]:close()
  sessions[i]:close()
end
