-- net_udp.lua - net.udp: a socket for datagrams.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local ipairs, pairs, tostring, type = ipairs, pairs, tostring, type
local bad, got = internal.bad, internal.got
local Check, Net, sockets =
  internal.check, internal.net_common, internal.sockets

-- The options that are true or false, and those that are integers in a range;
-- what they mean is the system's affair (io/net_option.c).
local SWITCHES = {"broadcast", "multicast_loop", "reuseaddr", "reuseport",
  "v6only"}
local NUMBERS = {multicast_ttl = {0, 255}, recvbuffer = {1, 1073741824},
  sendbuffer = {1, 1073741824}, ttl = {1, 255}}

-- Other sockets have the last three of these; the system's answer says so.
local KNOWN = {family = true, multicast_device = true, nodelay = true,
  keepalive = true, linger = true}
for _, name in ipairs(SWITCHES) do KNOWN[name] = true end
for name in pairs(NUMBERS) do KNOWN[name] = true end

-- The options, argument i, each read once.
local function read(i, options, may_be_unix)
  options = Check.options(i, "udp", options, KNOWN)
  local o = {family = options.family,
    multicast_device = options.multicast_device, nodelay = options.nodelay,
    keepalive = options.keepalive, linger = options.linger}
  if not (may_be_unix and o.family == "unix") then
    Net.check_family(i, "udp", o.family)
  end
  local problem = Check.mismatch("multicast_device", o.multicast_device,
    "string")
  if problem then bad(i, "udp", problem) end
  for _, name in ipairs(SWITCHES) do
    o[name] = options[name]
    Net.check_boolean(i, "udp", name, o[name])
  end
  for name, range in pairs(NUMBERS) do
    local v = options[name]
    if v ~= nil and not Check.is_integer(v, range[1], range[2]) then
      bad(i, "udp", name .. " must be an integer from " ..
        tostring(range[1]) .. " to " .. tostring(range[2]) .. ", got " ..
        got(v))
    end
    o[name] = v
  end
  return o
end

-- A socket on all addresses of this machine, of both families if there are two.
local function bind_everywhere(port, o)
  if o.family ~= "inet" then
    if o.v6only == nil then o.v6only = o.family == "inet6" end
    local socket, why = sockets.udp("::", port, o)
    if socket then return socket end
    if o.family or why == "address already in use" or
        why == "permission denied" then
      return nil, why
    end
    o.v6only = nil
  end
  return sockets.udp("0.0.0.0", port, o)
end

-- Without an address: of the family in the options, which may be "unix" here,
-- and bound by the first send.
local function unbound(i, options)
  return sockets.udp(nil, nil, read(i, options, true))
end

-- net.udp([host, port [, options]]), net.udp("unix:PATH" [, options]),
-- net.udp(options)
return function(host, port, options)
  if host == nil and port == nil then return unbound(3, options) end
  if type(host) == "table" and port == nil and options == nil then
    return unbound(1, host)
  end
  if host == "*" then
    Net.check_port("udp", nil, port)
    return bind_everywhere(port, read(3, options))
  end
  local family, problem = Net.family("udp", host)
  local at
  port, options, at = Net.options(family, port, options)
  Net.check_port("udp", family, port)
  local o = read(at, options)
  problem = problem or Net.misfit(family, o.family)
  if problem then return nil, problem end
  if family == "unix" then
    return sockets.udp(host, nil, o)
  end
  local list
  list, problem = Net.addresses(host, family, o.family)
  if not list then return nil, problem end
  for i = 1, list.n do
    local socket, why = sockets.udp(list[i], port, o)
    if socket then return socket end
    problem = problem or why
  end
  return nil, problem
end
