-- socket_common.lua - what the functions of casting.socket have in common.
-- SPDX-License-Identifier: MIT
--
-- Each method of LuaSocket's that may wait more than once has a file of its own
-- (socket_connect.lua and so on). The functions in C that they use are in
-- internal.luasocket (src/lua/luasocket/sock_step.c): none of them waits but
-- `wait`, and where the system says "not now" their first result is false.

local casting, internal = ...
local Net, steps, sockets =
  internal.net_common, internal.luasocket, internal.sockets

local Sock = {}

-- What LuaSocket says of a name that is not known.
local UNKNOWN = "host or service not provided, or not known"

-- The time when a call of this object must be over; nil: never.
function Sock.deadline(self)
  return Net.deadline(steps.seconds(self))
end

-- Calls that need not wait let others run now and then.
function Sock.take_turn()
  if steps.due() then casting.yield() end
end

-- Calls step(self, ...) until it has an answer, and waits in between for the
-- object to be readable ("r") or writable ("w"). Returns what the step does; or
-- nil and why.
function Sock.insist(self, mode, deadline, step, ...)
  while true do
    local a, b, c = step(self, ...)
    if a ~= false then return a, b, c end
    local ok, why = steps.wait(self, mode, Net.left(deadline))
    if not ok then return nil, why end
  end
end

-- The same, within the timeout of the object, after a turn of others.
function Sock.repeated(self, mode, step, ...)
  local deadline = Sock.deadline(self)
  Sock.take_turn()
  return Sock.insist(self, mode, deadline, step, ...)
end

-- -- names --------------------------------------------------------------------

-- The port that a number or the name of a service is; or nil and why.
function Sock.port(service, datagrams)
  local n = steps.number(service)
  if not n then return steps.ask(datagrams and "udp" or "tcp", nil, service) end
  if n >= 0 and n <= 65535 and n % 1 == 0 then return n end
  return nil, UNKNOWN
end

-- What "*" stands for where something is connected: this machine.
local HERE = {
  unspec = {"::1", "127.0.0.1", n = 2},
  inet = {"127.0.0.1", n = 1},
  inet6 = {"::1", n = 1},
}

-- The numeric addresses of a host, of the family "inet", "inet6", or "unspec",
-- a list with its n; or nil and why. Within `seconds`, if that is more than 0:
-- with a timeout of 0 LuaSocket, too, waits for names.
function Sock.addresses(host, family, seconds)
  local kind = sockets.numeric(host)
  if host == "*" then return HERE[family] end
  if kind == "inet" or kind == "inet6" then
    if family == "unspec" or family == kind then return {host, n = 1} end
    return nil, "Address family for hostname not supported"
  end
  if kind == "unix" then return nil, UNKNOWN end
  local _, problem = sockets.numeric(host)
  if problem then return nil, UNKNOWN end
  if family == "unspec" then family = nil end
  if seconds == 0 then seconds = nil end
  local list, why = sockets.resolve(host, family, seconds)
  if list then
    list.n = #list
    return list
  end
  return nil, why == "host not found" and UNKNOWN or why
end

-- Both for an object, which is given a descriptor afterwards: so one that was
-- closed meanwhile is refused. With `everywhere`, what "*" stands for is that.
-- The port and the addresses; or nil and why.
function Sock.look_up(self, host, service, datagrams, seconds, everywhere)
  local closes, family = steps.closes(self), steps.family(self)
  local port, why = Sock.port(service, datagrams)
  if not port then return nil, why end
  local list
  if host == "*" and everywhere then
    list = everywhere[family]
  else
    list, why = Sock.addresses(host, family, seconds)
    if not list then return nil, why end
  end
  if steps.closes(self) ~= closes then return steps.refuse(self) end
  return port, list
end

-- The addresses that "*" stands for where something is bound.
local EVERYWHERE = {
  unspec = {"0.0.0.0", "::", n = 2},
  inet = {"0.0.0.0", n = 1},
  inet6 = {"::", n = 1},
}

-- Binds the object to one of the addresses of a host: 1; or nil and why.
function Sock.bind(self, host, service, datagrams)
  local port, list =
    Sock.look_up(self, host, service, datagrams, 0, EVERYWHERE)
  if not port then return nil, list end
  local ok, why
  for i = 1, list.n do
    ok, why = steps.bind(self, list[i], port)
    if ok then return ok end
  end
  return nil, why
end

-- -- connecting ---------------------------------------------------------------

-- The system does not tell when a Unix socket whose backlog is full has room:
-- so many seconds until it is tried again, and so many more each further time.
local PAUSE, LONGEST = 0.001, 0.1

-- Waits until a connection is made: 1; or nil and why.
local function await_connection(self, deadline)
  while true do
    local ok, why = steps.wait(self, "w", Net.left(deadline))
    if not ok then return nil, why end
    ok, why = steps.connected(self)
    if ok ~= false then return ok, why end
  end
end

-- Connects to one numeric address, or a path, within `seconds` (nil: any time):
-- 1; or nil and why. With 0 seconds the outcome of a connection that is under
-- way is "timeout", and it goes on.
function Sock.connect(self, address, port, seconds)
  local deadline, pause = Net.deadline(seconds), PAUSE
  while true do
    local ok, why = steps.connect(self, address, port)
    if ok ~= false then return ok, why end
    if seconds == 0 then
      return steps.wait(self, "w", 0)
    elseif why ~= "full" then
      return await_connection(self, deadline)
    end
    local left = Net.left(deadline)
    if left == 0 then return nil, "timeout" end
    casting.sleep(left and left < pause and left or pause)
    if pause < LONGEST then pause = pause + PAUSE end
  end
end

-- Connects to one of the addresses of a host, in the system's order; the
-- timeout is anew for each of them. 1; or nil and why.
function Sock.connect_to_any(self, host, service)
  local block = steps.timeouts(self)
  local seconds = steps.seconds(self)
  local port, list = Sock.look_up(self, host, service, false, seconds)
  if not port then return nil, list end
  local ok, why
  for i = 1, list.n do
    ok, why = Sock.connect(self, list[i], port, seconds)
    if ok then return ok end
    -- Another task may have closed it, or taken its descriptor.
    if block == 0 or self:getfd() < 0 then break end
  end
  return nil, why
end

return Sock
