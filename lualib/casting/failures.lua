-- failures.lua - making failures, and joining them.
-- SPDX-License-Identifier: MIT
--
-- These functions are not in the class (failure.lua), which crosses to other
-- sessions by its name.

local getmetatable, ipairs, pairs, rawequal, setmetatable, tostring, type =
  getmetatable, ipairs, pairs, rawequal, setmetatable, tostring, type

local _, internal = ...
local Failure = internal.failure

local Failures = {}

function Failures.is(v)
  return getmetatable(v) == Failure
end

-- `text`, and the line of the program that waits for the task.
local function with_place(text)
  local place = internal.where()
  return place and text .. "\nawaited at " .. place or text
end

-- The failure of `task`, which has failed with the error value `e`. If that is
-- a failure already, it is the one of a task that `task` has waited for.
function Failures.of(task, e)
  if Failures.is(e) then return e end
  local text = task:traceback() or tostring(e)
  text = text .. "\nin " .. task:name() .. " of session '" ..
    internal.quote(task:session():name()) .. "'"
  return setmetatable({error = e, task = task, traceback = with_place(text)},
    Failure)
end

-- The failure of an item of a map; `trace` is its traceback, with its task.
function Failures.of_item(index, e, trace)
  return setmetatable({error = e, index = index,
    traceback = with_place(trace)}, Failure)
end

-- Are two failures the same? A task that awaits another fails with its error.
-- Only tables show that: equal strings may come from different places.
local function same(a, b)
  return a == b or type(a.error) == "table" and rawequal(a.error, b.error)
end

-- The failure to raise for a list of them, in the order in which they came: the
-- first one, with the others in it. It is a copy, for the program may have the
-- first one already.
function Failures.join(list, cancelled)
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
  if type(first.others) == "table" then
    for _, f in ipairs(first.others) do whole.others[#whole.others + 1] = f end
  end
  for _, f in ipairs(others) do whole.others[#whole.others + 1] = f end
  if #whole.others == 0 then whole.others = nil end
  whole.cancelled = cancelled or first.cancelled
  return setmetatable(whole, Failure)
end

return Failures
