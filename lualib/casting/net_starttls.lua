-- net_starttls.lua - stream:starttls.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local Net = internal.net_common

-- stream:starttls([options])
return function(stream, options)
  return Net.tls("starttls").start(stream, options)
end
