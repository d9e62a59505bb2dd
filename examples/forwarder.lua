-- forwarder.lua - forwards TCP connections to another address.
-- SPDX-License-Identifier: MIT
--
-- Whoever connects to the forwarder is connected to the target: bytes are
-- copied both ways until both sides have sent their end.
--
-- What it shows: listener:serve over several sessions, stream:copy, which goes
-- without a string for each piece, and half closes: when one side has sent all
-- that it wants to say, the other is told so, and may go on with its answer.
--
-- How to run it:
--   ./dev run examples/forwarder.lua 8080 example.org 80
--   ./dev run examples/forwarder.lua --check          tries itself

local casting = require "casting"
local net = require "casting.net"

local function usage(complaint)
  local out = complaint and io.stderr or io.stdout
  if complaint then out:write("forwarder: ", complaint, "\n") end
  out:write("usage: forwarder.lua [--sessions N] PORT HOST PORT\n",
    "       forwarder.lua --check\n")
  os.exit(complaint and 2 or 0)
end

-- Copies all that comes from one stream to the other, and then its end. If
-- that fails, both are over.
local function pass_on(from, to)
  if from:copy(to) then
    to:shutdown()
  else
    from:close()
    to:close()
  end
end

-- Makes the function that serves a connection. It runs in other sessions, where
-- `host` and `port` are copied to.
local function to_target(host, port)
  return function(stream)
    local target, why = net.connect(host, port, { timeout = 10 })
    if not target then
      io.stderr:write(("forwarder: %s:%d: %s\n"):format(host, port, why))
      return stream:abort()
    end
    local ok, e = pcall(casting.all, {
      function() pass_on(stream, target) end,
      function() pass_on(target, stream) end,
    })
    target:close()                       -- also if all of this was cancelled
    if not ok then error(e, 0) end
  end
end

-- Forwards until the listener is closed.
local function forward(listener, host, port, sessions)
  return listener:serve(to_target(host, port), {
    sessions = sessions,
    grace = 5,
  })
end

-- ----------------------------------------------------------------- check --

-- A target that answers when it has read all, with the number of bytes; clients
-- that send much, and then their end.
local function check()
  local target = assert(net.listen("127.0.0.1", 0))
  local listener = assert(net.listen("127.0.0.1", 0))
  local tasks = {
    casting.spawn(function()
      return target:serve(function(stream)
        local all = stream:read("a", 60)
        if all then stream:write(("%d bytes\n"):format(#all)) end
      end)
    end),
    casting.spawn(function()
      local host, port = target:name()
      return forward(listener, host, port, 2)
    end),
  }
  local function client(size)
    local stream = assert(net.connect(listener:name()))
    assert(stream:write(("x"):rep(size)))
    stream:shutdown()
    local answer = stream:read("a", 60)
    stream:close()
    return answer
  end
  local answers = {}
  for i = 1, 5 do
    answers[i] = casting.spawn(client, 100000 * i)
  end
  for i = 1, 5 do io.write(answers[i]:await()) end
  listener:close()
  target:close()
  for _, task in ipairs(tasks) do task:await() end
  print("check: all was forwarded")
end

-- ------------------------------------------------------------------ main --

local args, sessions = {}, 2
do
  local i = 1
  while arg[i] do
    if arg[i] == "--help" then usage() end
    if arg[i] == "--check" then return check() end
    if arg[i] == "--sessions" then
      i = i + 1
      sessions = tonumber(arg[i])
      if not sessions or sessions < 1 or sessions % 1 ~= 0 then
        usage "--sessions needs a number"
      end
    elseif arg[i]:match "^%-" then
      usage("what is " .. arg[i] .. "?")
    else
      args[#args + 1] = arg[i]
    end
    i = i + 1
  end
end
local port, host, target_port = tonumber(args[1]), args[2], tonumber(args[3])
if not port or not target_port or args[4] then
  usage "three arguments are needed"
end

local listener, why = net.listen("*", port)
if not listener then
  io.stderr:write(("forwarder: port %d: %s\n"):format(port, why))
  os.exit(1)
end
forward(listener, host, target_port, sessions)
