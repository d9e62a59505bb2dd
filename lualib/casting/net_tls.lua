-- net_tls.lua - stream:tls: what is known of its TLS.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Net, sockets = internal.net_common, internal.sockets

-- stream:tls([timeout])
return function(stream, timeout)
  Net.check_seconds(2, "tls", "timeout", timeout)
  if not sockets.is_layered(stream) then
    if stream:fd() then return nil, "no TLS" end
    return nil, "closed"
  end
  return Net.tls("tls").info(stream, timeout)
end
