-- failure.lua - the error that a scope, all, race or map raises.
-- SPDX-License-Identifier: MIT
--
-- A failure tells of the task that has failed first, and of those that have
-- failed after it, until all had ended:
--   error      the error value, as it was raised
--   traceback  a string: the error and where it was raised
--   task       the task, if it was one
--   index      the number of the item, if it was one of a map
--   others     a list of the other failures; nil if there are none
--   cancelled  the error of the cancellation that was under way, if any
-- A failure that is raised again by an outer scope stays the same: `error` is
-- always the value that was raised in the first place.

local _, internal = ...
local getmetatable, ipairs, tostring, type =
  getmetatable, ipairs, tostring, type

local Failure = {__name = "casting.failure", __metatable = "casting.failure"}

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
