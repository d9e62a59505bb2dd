-- service_worker.lua - a task that works on the calls of a service.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local error = error

-- `next_call` answers the call of the seat with what it is given behind its
-- number, if there is one, and returns the name and the arguments of the next;
-- nothing when there will be none.
return function(next_call, seat, object)
  local function step(name, ...)
    if name == nil then return end
    local method = object[name]
    if method == nil then
      error("service: there is no method '" .. internal.quote(name) .. "'", 0)
    end
    return step(next_call(seat, method(object, ...)))
  end
  return step(next_call(seat))
end
