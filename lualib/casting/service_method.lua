-- service_method.lua - service.name: a function that calls the method.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local error, tostring = error, tostring

-- Raises an outcome that is not a result.
local function results(name, ok, ...)
  if ok then return ... end
  local place = internal.where()
  error((place and place .. ": " or "") .. "service: the call of '" ..
    internal.quote(name) .. "' has no answer: " .. tostring((...)), 0)
end

-- Returns the function, and its arguments, for lib_service.c.
return function(service, name)
  local call = service.call
  local function method(...)
    if (...) == service then
      internal.bad(1, name, "a method of a service is called with a dot")
    end
    return results(name, call(service, name, ...))
  end
  return method, service, name
end
