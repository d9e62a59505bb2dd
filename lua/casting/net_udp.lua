-- net_udp.lua - net.udp: a socket for datagrams.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local type = type
local Check, Net, sockets = internal.check, internal.net_common, internal.sockets

local KNOWN = {reuseaddr = true, reuseport = true, broadcast = true,
  v6only = true, family = true}

-- The options, each read once.
local function read(i, options)
  options = Check.options(i, "udp", options, KNOWN)
  local o = {reuseaddr = options.reuseaddr, reuseport = options.reuseport,
    broadcast = options.broadcast, v6only = options.v6only,
    family = options.family}
  for _, name in internal.builtin.ipairs {"reuseaddr", "reuseport",
    "broadcast", "v6only"} do
    Net.check_boolean(i, "udp", name, o[name])
  end
  Net.check_family(i, "udp", o.family)
  return o
end

-- net.udp([host, port [, options]]), net.udp("unix:PATH" [, options]),
-- net.udp(options)
return function(host, port, options)
  if type(host) == "table" and port == nil and options == nil then
    host, options = nil, host
  end
  if host == nil then
    local o = read(3, options)
    return sockets.udp(o.family == "inet6" and "::" or "0.0.0.0", 0, o)
  end
  Check.expect(1, "udp", host, "string")
  if host == "*" then
    local o = read(3, options)
    Net.check_host("udp", "0.0.0.0", port)
    if o.family ~= "inet" then
      if o.v6only == nil then o.v6only = o.family == "inet6" end
      local socket, why = sockets.udp("::", port, o)
      if socket or o.family or why == "address already in use" or
          why == "permission denied" then
        return socket, why
      end
    end
    return sockets.udp("0.0.0.0", port, o)
  end
  local family = sockets.numeric(host)
  port, options = Net.options(family, port, options)
  Net.check_host("udp", host, port)
  local o = read(3, options)
  if family == "unix" then return sockets.udp(host, nil, o) end
  local list, problem = Net.addresses(host, family, o.family)
  if not list then return nil, problem end
  for i = 1, list.n do
    local socket, why = sockets.udp(list[i], port, o)
    if socket then return socket end
    problem = problem or why
  end
  return nil, problem
end
