-- net_close.lua - stream:close where there is no room for a layer's last word.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local pcall = pcall
local sockets = internal.sockets

-- The seconds that the other side may take to make room: as in Go's crypto/tls.
local MOST = 5

-- Whatever ends the wait, or if the task cannot wait, as it is cancelled for
-- example, the stream is closed. The next wait of the task raises what this
-- one has raised.
return function(stream)
  pcall(casting.with_timeout, MOST, stream.shutdown, stream)
  return sockets.close_now(stream)
end
