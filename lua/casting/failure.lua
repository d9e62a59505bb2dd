-- failure.lua - the error that a scope, all, race or map raises.
-- SPDX-License-Identifier: MIT
--
-- A failure tells of one task that has failed, and of those that failed after
-- it, until all had ended:
--   error      the error value, as it was raised
--   traceback  a string: the error and where it was raised
--   task       the task, if it was one
--   index      (map) which item it was
--   others     a list of failures; nil if there are none
--   cancelled  the cancellation that was under way, if any
-- A failure that passes through further scopes stays what it is: `error` is
-- always what was raised in the first place.

local _, internal = ...
local getmetatable, ipairs, tostring, type =
  getmetatable, ipairs, tostring, type

local Failure = {__name = "casting.failure"}

function Failure:__tostring()
  if getmetatable(self) ~= Failure then
    internal.bad(1, "__tostring", "failure expected, got " ..
      internal.kind(self))
  end
  local text = tostring(self.traceback)
  if self.index then text = "item " .. tostring(self.index) .. ": " .. text end
  if self.cancelled then
    text = text .. "\nwhile it was " .. tostring(self.cancelled)
  end
  local others = type(self.others) == "table" and self.others or {}
  for i, other in ipairs(others) do
    text = text .. "\n\nand failure " .. i + 1 .. ": " .. tostring(other)
  end
  return text
end

return Failure
