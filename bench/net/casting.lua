-- casting.lua - an echo server on casting: a task for each connection.
-- SPDX-License-Identifier: MIT
--
-- Options:
--   (none)         in the main program, without a thread of the pool
--   --sessions N   in N sessions, which share the listener; the main program
--                  waits
--   --compute US   microseconds of computing in Lua for each message
--   --busy         another session computes for ever, and the pool may have one
--                  thread only
--   --idle         collects its garbage for "collect"
--   --big          collects less often, for big messages

local casting = require "casting"
local net = casting.net

local options = { sessions = 0, compute = 0 }
local i = 1
while arg[i] do
  local name = arg[i]:match "^%-%-(%l+)$"
  if name == "sessions" or name == "compute" then
    i = i + 1
    options[name] = assert(tonumber(arg[i]), "--" .. name .. " needs a number")
  elseif name == "busy" or name == "idle" or name == "big" then
    options[name] = true
  else
    error("unknown option " .. arg[i])
  end
  i = i + 1
end

-- Everything that runs in sessions finds what it needs in its arguments.

local function echo(c)
  while true do
    local text = c:read()
    if not text or not c:write(text) then
      break
    end
  end
  c:close()
end

local function echo_and_collect(c)
  while true do
    local text = c:read()
    if text == "collect" then
      collectgarbage()
      collectgarbage()
    end
    if not text or not c:write(text) then
      break
    end
  end
  c:close()
end

-- How many turns of a loop take so many microseconds: measured once, before
-- there is any load, so that a message always costs the same.
local function turns(us)
  local function run(n)
    local x = 0
    for k = 1, n do
      x = (x + k) % 7
    end
    return x
  end
  local best = math.huge
  for _ = 1, 20 do
    local start = os.clock()
    run(100000)
    best = math.min(best, os.clock() - start)
  end
  return math.floor(us * 1e-6 / best * 100000)
end

local function compute_and_echo(n)
  return function(c)
    while true do
      local text = c:read()
      local x = 0
      for k = 1, n do
        x = (x + k) % 7
      end
      if not text or not c:write(text) then
        break
      end
    end
    c:close()
  end
end

local function accept(listener, serve, big, ready)
  local spawn = require "casting".spawn
  if big then
    collectgarbage("incremental", 1000)
  end
  if ready then
    ready:send(true)
  end
  for c in listener do
    spawn(serve, c)
  end
end

local serve = options.idle and echo_and_collect or echo
if options.compute > 0 then
  serve = compute_and_echo(turns(options.compute))
end

local listener = assert(net.listen("127.0.0.1", 0))
local _, port = listener:name()

-- Connections come as soon as the port is known, and whoever accepts then gets
-- them.
local function tell()
  print(port)
  io.stdout:flush()
end

if options.busy then
  casting.threads(1, 1)
  -- LuaJIT's compiled loops never let go.
  casting.session { name = "busy", jit = false }:spawn(function()
    while true do end
  end)
end
if options.sessions == 0 then
  tell()
  casting.spawn(accept, listener, serve, options.big):await()
end
local ready, tasks = casting.channel(), {}
for k = 1, options.sessions do
  local session = casting.session { name = "echo " .. k }
  tasks[k] = session:spawn(accept, listener, serve, options.big, ready)
end
for _ = 1, options.sessions do
  ready:receive()
end
tell()
for _, task in ipairs(tasks) do
  task:await()
end
