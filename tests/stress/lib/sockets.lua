-- sockets.lua - what caller.lua needs to call casting.net at random: sockets,
-- addresses, options, and calls that reach nothing but these.
-- SPDX-License-Identifier: MIT
--
-- All addresses are of loopback, or of Unix sockets at paths of the test's own.
-- No name is looked up but "localhost". The functions of casting.net are called
-- by the test alone (sockets.tame), and not by what it calls with functions as
-- arguments.

local casting = require "casting"
local net = require "casting.net"

local sockets = {net = net}

local huge, nan = math.huge, 0 / 0

-- One name for each state that loads this.
local base = os.tmpname()
local PATHS = {"unix:" .. base .. ".1", "unix:" .. base .. ".2",
  "unix:@" .. base}

local ADDRESSES = {"127.0.0.1", "127.0.0.1", "127.0.0.2", "::1", "localhost",
  PATHS[1], PATHS[2], PATHS[3], base, "", ("x"):rep(254), "unix:", "a\0b"}

local IS_ADDRESS = {["*"] = true}
for _, address in ipairs(ADDRESSES) do
  IS_ADDRESS[address] = address ~= base
end

local WORDS = {"nodelay", "keepalive", "linger", "sendbuffer", "recvbuffer",
  "ttl", "reuseaddr", "reuseport", "v6only", "broadcast", "multicast_ttl",
  "multicast_loop", "multicast_device", "lo", "inet", "inet6", "unix", "660",
  "l", "L", "a", "r", "w", "\n", "\r\n"}

-- What options have, beside what others have.
sockets.FIELDS = {"family", "bind", "nodelay", "keepalive", "happy", "backlog",
  "reuseport", "mode", "limit", "grace", "max", "ttl", "sendbuffer",
  "recvbuffer"}

function sockets.word(random) return WORDS[random(#WORDS)] end

function sockets.address(random) return ADDRESSES[random(#ADDRESSES)] end

-- Options of some function, right but for what `flaw` does to them.
function sockets.options(random, flaw)
  local function one_of(list) return list[random(#list)] or nil end
  return flaw {timeout = one_of {false, 0, 0.001},
    max = one_of {false, false, 1, 100},
    family = one_of {false, false, "inet", "inet6", "unix"},
    backlog = one_of {false, false, 1}, mode = one_of {false, false, "600"},
    sessions = one_of {false, false, 1, 2}, limit = one_of {false, false, 1},
    grace = one_of {false, false, 0.001}, happy = one_of {false, false, 0.001},
    nodelay = one_of {false, false, true}, ttl = one_of {false, false, 64}}
end

-- A case of a select that waits for the number of v; or v, if it has none.
function sockets.case(v, mode)
  local ok, fd = pcall(function() return v:fd() end)
  return ok and fd and {net.wait, fd, mode} or v
end

-- -- sockets ------------------------------------------------------------------

-- put(kind, socket) for one of each kind.
function sockets.samples(put)
  local a, b = net.pair()
  b:close()
  put("stream", a)
  put("listener", assert(net.listen("127.0.0.1", 0)))
  put("udp", assert(net.udp("127.0.0.1", 0)))
end

local function move(socket)
  casting.channel(1):send(socket)
  return socket
end

local function closed(socket)
  socket:close()
  return socket
end

-- put(kind, socket) for many. Returns a port on which one of them listens, and
-- one on which one receives.
function sockets.fill(put)
  local a, b = net.pair()
  b:write(("line\r\n"):rep(3000))
  put("stream", a)
  put("stream", b)
  local listener = assert(net.listen("127.0.0.1", 0))
  local _, port = listener:name()
  put("listener", listener)
  put("stream", assert(net.connect("127.0.0.1", port, {timeout = 10})))
  put("stream", assert(listener:accept(10)))
  local left, right = net.pair()
  put("stream", closed(left))
  put("stream", move(right))
  for _, path in ipairs(PATHS) do
    local at = net.listen(path, {backlog = 1}) -- unless a call listens there
    if at then put("listener", at) end
  end
  put("listener", closed(assert(net.listen("127.0.0.1", 0))))
  local receiver = assert(net.udp("127.0.0.1", 0))
  local _, udp_port = receiver:name()
  put("udp", receiver)
  put("udp", assert(net.udp()))
  put("udp", assert(net.udp {family = "unix"}))
  put("udp", closed(assert(net.udp("127.0.0.1", 0))))
  put("udp", move(assert(net.udp("127.0.0.1", 0))))
  return port, udp_port
end

local IS_KIND = {["casting.stream"] = true, ["casting.listener"] = true,
  ["casting.udp"] = true}

-- Closes what is a socket.
function sockets.dispose(v)
  local meta = type(v) == "userdata" and debug.getmetatable(v)
  if meta and IS_KIND[rawget(meta, "__name")] then pcall(v.close, v) end
end

-- When the last of them has been closed.
function sockets.clean()
  os.remove(base)
  for i = 1, 2 do os.remove((PATHS[i]:gsub("^unix:", ""))) end
end

-- -- calls that are right -----------------------------------------------------

-- Arguments behind the object itself; each gets (random, pool). Nothing else
-- would read, copy or serve anything.
local right = {stream = {}, listener = {}, udp = {}}

local function soon(random) return ({0, 0.001, 0.003})[random(3)] end

local function option(random)
  local name = WORDS[random(13)]
  if random(2) == 1 then return {name} end
  return {name, ({true, false, 1, 4096})[random(4)]}
end
right.stream.option, right.listener.option, right.udp.option = option, option,
  option

function right.stream.read(random)
  return {({"l", "L", "a", 1, 5, 100})[random(7)], soon(random)}
end
function right.stream.read_until(random)
  return {({"\r\n", "e", "no such mark"})[random(3)], 1000, soon(random)}
end
function right.stream.peek(random) return {random(20), soon(random)} end
function right.stream.lines() return {"l", 0} end
function right.stream.write(random)
  return {({"line\n", {"a", {1, "b\r\n"}}, ("x"):rep(300000)})[random(3)],
    soon(random)}
end
function right.stream.copy(random, pool)
  local some = pool.by.stream
  return {some[random(#some)], random(2) == 1 and random(50) or nil}
end

local function answer(stream)
  local line = stream:read("l", 0.001)
  stream:write((line or "nothing") .. "\n")
end
function right.listener.accept(random) return {soon(random)} end
function right.listener.serve(random)
  return {answer, {sessions = random(3) == 1 and 2 or nil, limit = random(3),
    grace = 0.001}}
end

function right.udp.send(random, pool)
  return {"text", "127.0.0.1", pool.udp_port, soon(random)}
end
function right.udp.receive(random) return {soon(random)} end
function right.udp.connect(random, pool)
  return random(2) == 1 and {"127.0.0.1", pool.udp_port} or {}
end
function right.udp.join() return {"224.0.0.251", "lo"} end
right.udp.leave = right.udp.join

-- What closes a socket is most often given one that nobody else has.
local CLOSES = {close = true, abort = true, shutdown = true, __close = true}

local function fresh(kind)
  if kind == "stream" then
    local a, b = net.pair()
    b:write "last words"
    b:close()
    return a
  elseif kind == "listener" then
    return (net.listen("127.0.0.1", 0))
  end
  return (net.udp("127.0.0.1", 0))
end

-- Every second call of a method of sockets is made a right one.
function sockets.correct(entry, call, random, pool)
  local of_kind = right[entry.kind]
  if not of_kind or call.n == 0 then return end
  if CLOSES[entry.name] and random(4) > 1 then call[1] = fresh(entry.kind) end
  local make = of_kind[entry.name]
  if not make or random(2) == 1 then return end
  local args = make(random, pool)
  call.n = 1
  for i = 1, 4 do
    call[i + 1] = args[i]
    if args[i] ~= nil then call.n = i + 1 end
  end
end

-- -- calls --------------------------------------------------------------------

local function number_of(v)
  local n = (type(v) == "number" or type(v) == "string") and tonumber(v)
  return n and n >= 0 and n < 2 ^ 31 and n
end

local BAD_NUMBERS = {-1, 0.5, nan, huge, 2 ^ 31, -2 ^ 63, "x"}

-- Arguments for the function of casting.net with that name: changes call[1] and
-- so on, where they would reach what is not the test's.
local tame = {}

function tame.from_fd(call, random)
  if number_of(call[1]) then call[1] = BAD_NUMBERS[random(#BAD_NUMBERS)] end
end

function tame.wait(call, random, pool)
  if not number_of(call[1]) and random(2) == 1 then return end
  local some, ok, fd = pool.by.stream, nil, nil
  for _ = 1, 5 do
    ok, fd = pcall(some[1].fd, some[random(#some)])
    if ok and fd then break end
  end
  call[1] = ok and fd or -1
  if random(2) == 1 then
    call.n, call[2], call[3] = 3, random(2) == 1 and "r" or "w", soon(random)
  end
end

local function host(call, random, pool)
  local v = call[1]
  if random(2) == 1 or type(v) == "string" and not IS_ADDRESS[v] then
    repeat
      call[1] = sockets.address(random)
    until IS_ADDRESS[call[1]]
    if call.n == 0 then call.n = 1 end
  end
  if random(2) == 1 then
    call[2] = random(3) == 1 and 0 or pool.port
    if call.n == 1 then call.n = 2 end
  end
  if random(2) == 1 then call.n = 2 end -- without options
end

tame.connect, tame.listen, tame.resolve, tame.udp = host, host, host, host
function tame.pair() end

function sockets.tame(name, call, random, pool)
  tame[name](call, random, pool)
end

return sockets
