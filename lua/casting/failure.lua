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

local getmetatable, ipairs, pairs, rawequal, setmetatable, tostring, type =
  getmetatable, ipairs, pairs, rawequal, setmetatable, tostring, type

local Failure = {__name = "casting.failure"}
Failure.__index = Failure

function Failure.is(v)
  return getmetatable(v) == Failure
end

-- What has made `task` fail, with the error value `e`.
function Failure.of(task, e)
  if Failure.is(e) then return e end
  return setmetatable({error = e, task = task,
    traceback = task:traceback() or tostring(e)}, Failure)
end

function Failure.new(fields)
  return setmetatable(fields, Failure)
end

-- Whether two are the same: a task that awaits another fails as that does.
local function same(a, b)
  return a == b or type(a.error) == "table" and rawequal(a.error, b.error)
end

-- The failure to raise for a list of them, in the order in which they came.
function Failure.join(list, cancelled)
  local first, others = list[1], {}
  for i, f in ipairs(list) do
    local known = false
    for j = 1, i - 1 do known = known or same(list[j], f) end
    if not known and i > 1 then others[#others + 1] = f end
  end
  if #others == 0 and not cancelled then return first end
  local whole = {}
  for k, v in pairs(first) do whole[k] = v end
  whole.others = {}
  for _, f in ipairs(first.others or {}) do
    whole.others[#whole.others + 1] = f
  end
  for _, f in ipairs(others) do whole.others[#whole.others + 1] = f end
  if #whole.others == 0 then whole.others = nil end
  whole.cancelled = cancelled or first.cancelled
  return setmetatable(whole, Failure)
end

function Failure:__tostring()
  local text = tostring(self.traceback)
  if self.index then text = "item " .. tostring(self.index) .. ": " .. text end
  if self.cancelled then
    text = text .. "\nwhile it was " .. tostring(self.cancelled)
  end
  for i, other in ipairs(self.others or {}) do
    text = text .. "\n\nand failure " .. i + 1 .. ": " .. tostring(other)
  end
  return text
end

return Failure
