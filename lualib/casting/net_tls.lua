-- net_tls.lua - stream:tls: what is known of its TLS.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Net, sockets = internal.net_common, internal.sockets

-- stream:tls([timeout])
return function(stream, timeout)
  Net.check_seconds(2, "tls", "timeout", timeout)
  local info = sockets.tell(stream)
  if info == false then
    local ok, why = stream:write("", timeout)
    if not ok then return nil, why end
    info = sockets.tell(stream)
  end
  if info then return info end
  return nil, stream:fd() and "no TLS" or "closed"
end
