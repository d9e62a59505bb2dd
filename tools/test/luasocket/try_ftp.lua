-- try_ftp.lua - socket.ftp: files there and back, several at once.
-- SPDX-License-Identifier: MIT

local kit = require "kit"

local ftp = require "socket.ftp"
local ltn12 = require "ltn12"

local base = ("ftp://luasocket:password@127.0.0.1:%d/"):format(
  kit.port "FTP_PORT")

kit.at_once(4, function(i)
  local data = (("%d: %s\r\n"):format(i, ("x"):rep(i))):rep(100000)
  local url = base .. "file" .. i .. ";type=i"
  kit.same(#data, assert(ftp.put(url, data)), "put")
  kit.same(data, ftp.get(url), "get")
  local parts = {}
  assert(ftp.get {host = "127.0.0.1", port = kit.port "FTP_PORT",
    user = "luasocket", password = "password", path = "file" .. i, type = "i",
    sink = ltn12.sink.table(parts)})
  kit.same(data, table.concat(parts), "get to a sink")
end)
local listing = {}
assert(ftp.get {host = "127.0.0.1", port = kit.port "FTP_PORT",
  user = "luasocket", password = "password", command = "nlst", path = "",
  sink = ltn12.sink.table(listing)})
for i = 1, 4 do
  assert(table.concat(listing):find("file" .. i .. "\r\n", 1, true), "no file")
end
local _, why = ftp.get(base .. "none;type=i")
assert(why and why:find "^550", why)
