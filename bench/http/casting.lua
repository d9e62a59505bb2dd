-- casting.lua - the server of casting.http that `./dev bench http` measures.
-- SPDX-License-Identifier: MIT
--
-- Answers "Hello, World!", or what its options say:
--   --tls CERTIFICATE KEY
--   --sessions N      in N sessions, which share the listener
--   --files FOLDER    what is in there; with --cache S its files are kept for
--                     so many seconds
--   --compute US      after so many microseconds of computing in Lua
--   --websocket       each connection becomes a websocket, which echoes
-- "/collect" has it collect its garbage.

local casting = require "casting"
local http = require "casting.http"

local options = {}
local i = 1
while arg[i] do
  local name = assert(arg[i]:match "^%-%-(%l+)$", "an option expected")
  if name == "tls" then
    options.tls = {cert = arg[i + 1], key = arg[i + 2]}
    i = i + 2
  elseif name == "files" then
    options.files = arg[i + 1]
    i = i + 1
  elseif name == "websocket" then
    options.websocket = true
  else
    options[name] = assert(tonumber(arg[i + 1]), name .. ": number expected")
    i = i + 1
  end
  i = i + 1
end

-- Handlers find what they need in upvalues: they are copied into sessions.

local function hello(request, response)
  if request.path == "/collect" then
    collectgarbage()
    collectgarbage()
  end
  return response:finish "Hello, World!"
end

local function echo(request)
  local ws = request:websocket()
  if not ws then return end
  for message, kind in ws do ws:send(message, kind) end
end

-- How many turns of a loop take so many microseconds: measured once, before
-- there is any load, so that a request always costs the same.
local function turns(us)
  local best = math.huge
  for _ = 1, 20 do
    local start, x = os.clock(), 0
    for k = 1, 100000 do x = (x + k) % 7 end
    best = math.min(best, os.clock() - start)
  end
  return math.floor(us * 1e-6 / best * 100000)
end

local function compute(n)
  return function(_, response)
    local x = 0
    for k = 1, n do x = (x + k) % 7 end
    return response:finish "Hello, World!"
  end
end

local handler = hello
if options.files then
  handler = http.files(options.files, {cache = options.cache})
elseif options.websocket then
  handler = echo
elseif options.compute then
  handler = compute(turns(options.compute))
end

local listener =
  assert(casting.net.listen("127.0.0.1", 0, {tls = options.tls}))
print((select(2, listener:name())))
io.stdout:flush()
casting.spawn(http.serve, listener, handler, {sessions = options.sessions})
  :await()
