-- checked.lua - calls a check and raises what it finds at its caller's line.
-- SPDX-License-Identifier: MIT

local error, pcall, type = error, pcall, type

-- check(...) raises {argument = number, text = ...} for a mistake. `level` is
-- that of who has called the public function `name`, as error would count it
-- there.
return function(name, level, check, ...)
  local ok, result = pcall(check, ...)
  if ok then return result end
  if type(result) == "table" and result.argument then
    error("bad argument #" .. result.argument .. " to '" .. name .. "' (" ..
      result.text .. ")", level + 1)
  end
  error(result, 0)
end
