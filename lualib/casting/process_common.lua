-- process_common.lua - what the functions of casting.process have in common.
-- SPDX-License-Identifier: MIT
--
-- The C function internal.processes.start takes lists of strings, and what
-- becomes each standard stream.

local _, internal = ...
local pairs, tostring, type = pairs, tostring, type
local Check, processes = internal.check, internal.processes
local bad, got = internal.bad, internal.got

local Process = {}

-- The options that both functions know.
Process.KNOWN = {cwd = true, env = true, group = true}

local function check_text(name, what, v, is_name)
  if type(v) ~= "string" then
    bad(1, name, what .. " must be a string, got " .. got(v))
  end
  local problem = processes.problem(v, is_name)
  if problem then bad(1, name, what .. " " .. problem) end
  return v
end

-- The program and its arguments: the list in t. A number is as good as a
-- string.
local function arguments(name, t)
  local list = {}
  for i = 1, #t do
    local v = t[i]
    if type(v) == "number" then v = tostring(v) end
    list[i] = check_text(name, i == 1 and "the program" or "argument " .. i - 1,
      v)
  end
  if list[1] == nil or list[1] == "" then
    bad(1, name, "the list must begin with the name of a program")
  end
  return list
end

-- What is said about the environment: NAME -> value, as the list that the
-- system wants; nil: it stays as it is.
local function environment(name, env)
  if env == nil then return nil end
  local problem = Check.mismatch("env", env, "table")
  if problem then bad(1, name, problem) end
  local list = {}
  for k, v in pairs(env) do
    check_text(name, "a name in env", k, true)
    if type(v) == "number" then v = tostring(v) end
    list[#list + 1] = k .. "=" .. check_text(name, "env." .. k, v)
  end
  return list
end

-- Reads the table t that spawn or run was called with, each field once.
function Process.read(name, t, known)
  Check.expect(1, name, t, "table")
  for k in pairs(t) do
    if not known[k] and not Check.is_integer(k, 1, #t) then
      bad(1, name, Check.is_integer(k, 1) and "the list has holes" or
        "unknown option '" .. internal.quote(k) .. "'")
    end
  end
  local o = {arguments = arguments(name, t), cwd = t.cwd, group = t.group}
  o.env = environment(name, t.env)
  if o.cwd ~= nil then check_text(name, "cwd", o.cwd) end
  local problem = Check.mismatch("group", o.group, "boolean")
  if problem then bad(1, name, problem) end
  return o
end

-- Starts the program that o tells about: a process; or nil, why. One that is
-- to end with its call becomes run.process before it is started.
function Process.start(o, stdin, stdout, stderr, run)
  return processes.start(o.arguments, o.env, o.cwd, stdin, stdout, stderr,
    o.group, run)
end

return Process
