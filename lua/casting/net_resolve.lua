-- net_resolve.lua - net.resolve: the addresses of a name.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local bad = internal.bad
local Check, Net, sockets = internal.check, internal.net_common, internal.sockets

local KNOWN = {family = true, timeout = true}

-- net.resolve(name [, options])
return function(host, options)
  Check.expect(1, "resolve", host, "string")
  if host == "" then bad(1, "resolve", "a host has a name") end
  options = Check.options(2, "resolve", options, KNOWN)
  local family, timeout = options.family, options.timeout
  Net.check_family(2, "resolve", family)
  Net.check_seconds(2, "resolve", "timeout", timeout)
  if sockets.numeric(host) == "unix" then
    bad(1, "resolve", "a path of a socket is no name")
  end
  return sockets.resolve(host, family, timeout)
end
