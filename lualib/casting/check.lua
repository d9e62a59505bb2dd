-- check.lua - what a program passes: numbers, lists, options.
-- SPDX-License-Identifier: MIT
--
-- A function which knows the argument's place, its number `i` in the function
-- called `name`, raises the error about it (internal.bad). The others return
-- what is wrong, a text, as the caller may have to put a path before it.

local _, internal = ...
local error, pairs, pcall = error, pairs, pcall
local type = type
local bad, got, kind = internal.bad, internal.got, internal.kind

local Check = {}

-- Raises unless v is of that kind: a type of Lua, or a class of handles.
function Check.expect(i, name, v, expected)
  if kind(v) ~= expected then
    bad(i, name, expected .. " expected, got " .. kind(v))
  end
end

-- What is wrong with v, the value of an option that may be left out and must
-- be of kind `expected`; nil if nothing is.
function Check.mismatch(option, v, expected)
  if v ~= nil and kind(v) ~= expected then
    return option .. " must be a " .. expected .. ", got " .. got(v)
  end
end

-- A key of the table t that is not one of `known`; nil if there is none.
function Check.unknown(t, known)
  for k in pairs(t) do
    if not known[k] then return k end
  end
end

local NONE = {}

-- The options that argument i is: a table, empty if it was left out. Raises if
-- it is something else, or has another key than the `known` ones.
function Check.options(i, name, options, known)
  if options == nil then return NONE end
  Check.expect(i, name, options, "table")
  local key = Check.unknown(options, known)
  if key ~= nil then
    bad(i, name, "unknown option '" .. internal.quote(key) .. "'")
  end
  return options
end

-- Raises if v cannot be spawned in n sessions, before it is sent to any: a
-- value in it that moves, a stream for example, would be lost in the first one.
-- What can be packed is what can be sent more than once.
function Check.crosses(i, name, v, n)
  local ok, problem
  if n > 1 then
    ok, problem = pcall(internal.pack_code, v)
  else
    ok, problem = internal.spawnable(v)
  end
  if ok then return end
  if type(problem) ~= "string" or problem == "not enough memory" then
    error(problem, 0)
  end
  bad(i, name, problem)
end

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
    return nil, "its length must be an integer from 0 on, got " .. got(n)
  end
  if Check.is_integer(n, 0) then return n end
  return nil, "its n must be an integer from 0 on, got " .. got(n)
end

return Check
