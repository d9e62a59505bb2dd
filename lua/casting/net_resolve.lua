-- net_resolve.lua - net.resolve: the addresses of a name.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local bad = internal.bad
local Check, Net, sockets =
  internal.check, internal.net_common, internal.sockets

local KNOWN = {family = true, timeout = true}

-- net.resolve(name [, options])
return function(host, options)
  Check.expect(1, "resolve", host, "string")
  local is, problem = sockets.numeric(host)
  if is == "unix" then problem = "a path of a socket is no name" end
  if problem then bad(1, "resolve", problem) end
  options = Check.options(2, "resolve", options, KNOWN)
  local family, timeout = options.family, options.timeout
  Net.check_family(2, "resolve", family)
  Net.check_seconds(2, "resolve", "timeout", timeout)
  return sockets.resolve(host, family, timeout)
end
