-- try_luasec.lua - ssl.https of LuaSec, beside a task that has something to do
-- each millisecond.
-- SPDX-License-Identifier: MIT

local kit = require "kit"
local casting = kit.casting

local function all(url, file)
  local https = require "ssl.https"
  local ssl = require "ssl"
  local expected = assert(casting.fs.read(file))
  local function get()
    local body, code = https.request(url)
    kit.same(200, code, "code")
    kit.same(expected, body, "body")
  end
  -- The longest gaps, in milliseconds: of a ticker alone, beside one request,
  -- and beside five.
  get() -- loads what there is to load
  local stop = kit.ticker()
  casting.sleep(0.1)
  local alone = stop()
  stop = kit.ticker()
  get()
  local beside_one = stop()
  stop = kit.ticker()
  kit.at_once(5, get)
  local beside_five = stop()

  -- A handshake with somebody who says nothing ends when its time is over.
  local socket = require "socket"
  local server = assert(socket.bind("127.0.0.1", 0))
  local _, port = server:getsockname()
  local client = assert(socket.connect("127.0.0.1", port))
  client:settimeout(0.1)
  local wrapped = assert(ssl.wrap(client, {mode = "client", protocol = "any",
    verify = "none"}))
  wrapped:settimeout(0.1)
  local ok, why = wrapped:dohandshake()
  kit.same(false, ok, "a handshake with nobody")
  assert(why == "timeout" or why == "wantread", why)
  wrapped:close()
  server:close()
  return alone, beside_one, beside_five
end

kit.figure("the longest gap of a ticker of 1 ms: %.1f ms alone, %.1f ms " ..
  "beside an https request, %.1f ms beside five", casting.session():spawn(all,
  "https://" .. kit.at "HTTPS_PLACE", kit.at "HTTPS_FILE"):await())
