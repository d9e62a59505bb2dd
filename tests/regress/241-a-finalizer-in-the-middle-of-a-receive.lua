-- 241: receive of casting.socket makes a string of what has come, which may run
-- a finalizer; one that gave the socket another descriptor (setfd) had freed
-- the stream that receive went on to look at. With memory that is overwritten
-- when it is freed (MALLOC_PERTURB_, AddressSanitizer) the process crashed.
-- SPDX-License-Identifier: MIT
require("casting.socket").install()
local socket = require "socket.core"

local server = assert(socket.tcp4())
assert(server:bind("127.0.0.1", 0))
assert(server:listen())
local _, port = server:getsockname()

local client, other, nfinalized = nil, nil, 0
local function finalize()
  nfinalized = nfinalized + 1
  client:setfd(other)
end

-- A value with that finalizer, which nothing refers to.
local newproxy = rawget(_G, "newproxy")
local function leave()
  if newproxy then
    getmetatable(newproxy(true)).__gc = finalize
  else
    setmetatable({}, {__gc = finalize})
  end
end

if not pcall(collectgarbage, "setpause", 1) then
  collectgarbage("param", "pause", 1) -- 5.5
end
local lines = (("x"):rep(200) .. "\n"):rep(300)
for _ = 1, 60 do
  client = assert(socket.connect("127.0.0.1", port))
  client:settimeout(0.02)
  local peer = assert(server:accept())
  assert(peer:send(lines))
  local spare = assert(socket.udp4())
  other = spare:getfd()
  spare:setfd(-1)
  assert(client:receive())
  local before = nfinalized
  leave()
  for _ = 1, 290 do
    if not client:receive() or nfinalized > before then break end
  end
  if nfinalized == before then collectgarbage() end
  client:close()
  peer:close()
end
assert(nfinalized > 0)
