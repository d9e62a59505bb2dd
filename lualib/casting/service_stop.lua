-- service_stop.lua - service:stop: the orderly end of a service.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local Check, bad, kind = internal.check, internal.bad, internal.kind

local DRAIN, KILL = 5, 2 -- seconds: for calls; for its session to close

-- Takes no more calls, waits for those that are there, then gives up those that
-- are left.
return function(service, seconds)
  if kind(service) ~= "service" then
    bad(1, "stop", "service expected, got " .. kind(service))
  end
  if seconds ~= nil and not Check.is_seconds(seconds) then
    bad(2, "stop", "timeout must be a number of seconds, zero or more, got " ..
      internal.got(seconds))
  end
  if internal.forked() then return true end -- the service is the parent's
  local task, within, own = internal.service_drain(service)
  if not task then return nil, "gone" end
  if within then return true end -- a method, for which it would wait
  local ok, e = task:join(seconds or DRAIN)
  if ok == nil then
    task:cancel("stopped")
    task:join()
    e = "timeout"
  end
  if own then task:session():close(KILL) end
  if ok == false and not casting.is_cancelled(e) then return false, e end
  if ok == nil then return nil, e end
  return true
end
