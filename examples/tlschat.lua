-- tlschat.lua - a chat whose lines nobody else can read: TLS on both sides.
-- SPDX-License-Identifier: MIT
--
-- The server has a certificate, and the clients look at it: whom it names, who
-- has signed it. What is written at one terminal appears at all others.
--
-- What it shows: the option tls of net.listen and net.connect, certificates
-- that are renewed without a restart (SIGHUP), a terminal and a stream that are
-- read at the same time, and a writer for each member, so that nobody waits for
-- the slowest.
--
-- How to run it, with a certificate that signs itself:
--   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
--     -subj /CN=localhost -addext subjectAltName=DNS:localhost \
--     -keyout key.pem -out cert.pem
--   ./dev run examples/tlschat.lua serve 4443 cert.pem key.pem
--   ./dev run examples/tlschat.lua join localhost 4443 cert.pem
--   ./dev run examples/tlschat.lua --check               tries itself

local casting = require "casting"
local net = require "casting.net"
local process = require "casting.process"

local BACKLOG = 100   -- lines that a member may be behind
local SILENCE = 600   -- seconds after which a silent member has to go

local function give_up(status, ...)
  io.stderr:write("tlschat: ", string.format(...), "\n")
  os.exit(status)
end

-- ---------------------------------------------------------------- server --

-- What a member says goes to all others. All members are in one session, so
-- the list of them is a variable.
local function serve(listener)
  local members, count = {}, 0

  local function say(text, author)
    for inbox in pairs(members) do
      if inbox ~= author and not inbox:try_send(text) then
        inbox:close()                     -- it does not read: it has to go
        members[inbox] = nil
      end
    end
  end

  return listener:serve(function(stream)   -- the handshake is over
    count = count + 1
    local name, inbox = "guest " .. count, casting.channel(BACKLOG)
    members[inbox] = true
    casting.spawn(function()
      for text in inbox do
        if not stream:write(text .. "\n", 10) then break end
      end
      stream:shutdown()                    -- the reader will see the end
    end)
    say("* " .. name .. " enters", inbox)
    for line in function() return (stream:read("l", SILENCE)) end do
      say(name .. ": " .. line, inbox)
    end
    members[inbox] = nil
    inbox:close()
    say("* " .. name .. " leaves")
  end, { grace = 1 })
end

local function listen(host, port, cert, key)
  local tls = require "casting.tls"
  local context, why = tls.context {
    server = true, cert = cert, key = key, alpn = { "chat" } }
  if not context then give_up(1, "%s", why) end
  local listener
  listener, why = net.listen(host, port, { tls = context })
  if not listener then give_up(1, "cannot listen: %s", why) end
  return listener, context
end

local function run_server(port, cert, key)
  local listener, context = listen("*", port, cert, key)
  local renewals, ends = process.signals "HUP", process.signals("INT", "TERM")
  local server = casting.spawn(serve, listener)
  print("listening on " .. select(2, listener:name()))
  while casting.select { renewals, ends } == 1 do
    local ok, why = context:reload {
      server = true, cert = cert, key = key, alpn = { "chat" } }
    print(ok and "the certificate was read again" or
      "kept the old one: " .. why)
  end
  listener:close()
  server:await()
end

-- ---------------------------------------------------------------- client --

local function join(host, port, ca)
  local stream, why = net.connect(host, port, {
    timeout = 10, tls = { ca = ca, alpn = { "chat" } } })
  if not stream then give_up(1, "%s", why) end
  return stream
end

local function run_client(host, port, ca)
  local stream = join(host, port, ca)
  local info = stream:tls()
  print(("joined %s by %s; signed by %s"):format(
    info.peer.subject, info.version, info.peer.issuer))
  local reader = casting.spawn(function()
    local why
    repeat
      local line
      line, why = stream:read "l"
      if line then casting.stdout:write(line .. "\n") end
    until not line
    casting.stdin:close()                  -- ends the loop below
    return why
  end)
  for line in function() return (casting.stdin:read "l") end do
    if not stream:write(line .. "\n", 10) then break end
  end
  stream:shutdown()
  local why = reader:await()
  stream:close()
  if why ~= "closed" then give_up(1, "%s", why) end
end

-- ----------------------------------------------------------------- check --

local function check()
  local fs = require "casting.fs"
  local dir = assert(fs.tempdir())
  local cert, key = dir .. "/cert.pem", dir .. "/key.pem"
  assert(process.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-addext",
    "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert } == 0,
    "openssl is needed")
  local listener = listen("localhost", 0, cert, key)
  local _, port = listener:name()
  local server = casting.spawn(serve, listener)
  local a = join("localhost", port, cert)
  local b = join("localhost", port, cert)
  print(a:read("l", 10))
  a:write "nobody else can read this\n"
  print(b:read("l", 10))
  b:close()
  print(a:read("l", 10))
  a:close()
  listener:close()
  server:await()
  fs.remove(dir, { tree = true })
end

local mode, first, second, third = ...
local port = tonumber(mode == "join" and second or first)
if mode == "--check" then
  check()
elseif (mode == "serve" or mode == "join") and not (port and port % 1 == 0 and
    port >= 0 and port <= 65535) then
  give_up(2, "%s is no port", tostring(mode == "join" and second or first))
elseif mode == "serve" and third then
  run_server(port, second, third)
elseif mode == "join" then
  run_client(first, port, third)
else
  give_up(2, "serve PORT CERTIFICATE KEY, or join HOST PORT [AUTHORITY]")
end
