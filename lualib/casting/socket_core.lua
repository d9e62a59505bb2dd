-- socket_core.lua - what require "socket.core" returns, of casting.socket.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local error, getmetatable, pcall, setmetatable, tostring, type =
  error, getmetatable, pcall, setmetatable, tostring, type
local bad = internal.bad
local Sock, steps = internal.socket_common, internal.luasocket

-- The argument i of the function called `name`, as a string; `usual` if there
-- is none.
local function check_string(i, name, v, usual)
  if v == nil and usual ~= nil then return usual end
  if type(v) ~= "string" and type(v) ~= "number" then
    bad(i, name, "string expected, got " .. type(v))
  end
  return tostring(v)
end

-- -- sockets ------------------------------------------------------------------

local FAMILIES = {unspec = true, inet = true, inet6 = true}

-- connect(host, port [, local host [, local port [, family]]])
local function connect(host, port, own_host, own_port, family)
  host = check_string(1, "connect", host)
  port = check_string(2, "connect", port)
  if own_host ~= nil then own_host = check_string(3, "connect", own_host) end
  own_port = check_string(4, "connect", own_port, "0")
  family = check_string(5, "connect", family, "unspec")
  if not FAMILIES[family] then
    bad(5, "connect", "invalid option '" .. internal.quote(family) .. "'")
  end
  local socket, why = steps.new("tcp", family ~= "unspec" and family or nil)
  if not socket then return nil, why end
  local ok = true
  if own_host then ok, why = Sock.bind(socket, own_host, own_port) end
  if ok then
    ok, why = Sock.connect_to_any(socket, host, port)
  end
  if not ok then
    socket:close()
    return nil, why
  end
  steps.become(socket)
  return socket
end

local function maker(kind, family)
  return function() return steps.new(kind, family) end
end

local function sleep(seconds)
  local n = steps.number(seconds)
  if not n then bad(1, "sleep", "number expected, got " .. type(seconds)) end
  if n ~= n or n < 0 then n = 0 end
  if n > 2147483647 then n = 2147483647 end
  casting.sleep(n)
end

-- -- exceptions ---------------------------------------------------------------

-- The metatable of what try raises, which programs cannot see.
local Thrown = {__metatable = false}

local function newtry(finalizer)
  return function(ok, ...)
    if ok then return ok, ... end
    if finalizer ~= nil then finalizer() end
    error(setmetatable({(...)}, Thrown), 0)
  end
end

local function conclude(ok, ...)
  if ok then return ... end
  local e = ...
  if type(e) == "table" and getmetatable(e) == Thrown then return nil, e[1] end
  error(e, 0)
end

local function protect(f)
  return function(...) return conclude(pcall(f, ...)) end
end

-- -- names --------------------------------------------------------------------

local dns = {}

-- The name of a host, and all that is known of it; or nil and why.
local function look_up(name, address)
  local host, aliases, addresses =
    steps.ask("host", check_string(1, name, address))
  if not host then return nil, aliases end
  return host, {name = host, alias = aliases, ip = addresses}
end

function dns.tohostname(address)
  return look_up("tohostname", address)
end

function dns.toip(address)
  local host, known = look_up("toip", address)
  if not host then return nil, known end
  return known.ip[1], known
end

function dns.getaddrinfo(host)
  local list, why =
    Sock.addresses(check_string(1, "getaddrinfo", host), "unspec", 0)
  if not list then return nil, why end
  local found = {}
  for i = 1, list.n do
    found[i] = {family = internal.sockets.numeric(list[i]), addr = list[i]}
  end
  return found
end

function dns.getnameinfo(host, service)
  if host ~= nil then host = check_string(1, "getnameinfo", host) end
  if service ~= nil then service = check_string(2, "getnameinfo", service) end
  if not host and not service then
    error("host and serv cannot be both nil", 2)
  end
  local names, word = steps.ask("info", host, service)
  if not names then return nil, word end
  if service then return names, word end
  return names
end

dns.gethostname = steps.hostname

-- -- the module ---------------------------------------------------------------

return function()
  return {
    _VERSION = "LuaSocket 3.0.0",
    _SETSIZE = steps._SETSIZE,
    _SOCKETINVALID = -1,
    _DATAGRAMSIZE = 8192,
    __unload = steps.__unload,
    connect = connect,
    tcp = maker("tcp"), tcp4 = maker("tcp", "inet"),
    tcp6 = maker("tcp", "inet6"),
    udp = maker("udp"), udp4 = maker("udp", "inet"),
    udp6 = maker("udp", "inet6"),
    select = internal.socket_select,
    sleep = sleep,
    gettime = steps.gettime,
    skip = steps.skip,
    protect = protect,
    newtry = newtry,
    dns = dns,
  }
end
