-- check.lua - numbers and lists that a program passes.
-- SPDX-License-Identifier: MIT
--
-- What is wrong is returned, as a text for internal.bad.

local tostring, type = tostring, type

local Check = {}

local MOST = 2 ^ 53 -- integers up to here are exact in all versions

-- Is v an integer from `least` to `most`? Not if it is a string of one.
function Check.is_integer(v, least, most)
  return type(v) == "number" and v >= least and v <= (most or MOST) and
    v % 1 == 0
end

function Check.is_seconds(v)
  return type(v) == "number" and v >= 0
end

-- How many items a list has: its n, or its length if it has none. Either may
-- come from a metamethod. nil and what is wrong with it.
function Check.length(list)
  local n = list.n
  if n == nil then
    n = #list
    if Check.is_integer(n, 0) then return n end
    return nil, "its length must be an integer from 0 on, got " .. tostring(n)
  end
  if Check.is_integer(n, 0) then return n end
  return nil, "its n must be an integer from 0 on, got " .. tostring(n)
end

return Check
