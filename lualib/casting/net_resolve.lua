-- net_resolve.lua - net.resolve: the addresses of a name.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Check, Net, sockets =
  internal.check, internal.net_common, internal.sockets

local KNOWN = {family = true, timeout = true}

-- net.resolve(name [, options])
return function(host, options)
  local is, problem = Net.family("resolve", host)
  options = Check.options(2, "resolve", options, KNOWN)
  local family, timeout = options.family, options.timeout
  Net.check_family(2, "resolve", family)
  Net.check_seconds(2, "resolve", "timeout", timeout)
  if is == "unix" or problem then return nil, "not a host name" end
  return sockets.resolve(host, family, timeout)
end
