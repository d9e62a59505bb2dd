-- process_spawn.lua - process.spawn: a program beside this one.
-- SPDX-License-Identifier: MIT

local _, internal = ...
local type = type
local Check, Process, processes =
  internal.check, internal.process_common, internal.processes
local bad, got = internal.bad, internal.got

local KNOWN = {stdin = true, stdout = true, stderr = true}
for k in pairs(Process.KNOWN) do KNOWN[k] = true end

local WORDS = {pipe = true, null = true, inherit = true}

-- What becomes a standard stream: one of the words, a stream, a number.
local function check_stream(option, v, otherwise)
  if v == nil then return otherwise end
  if WORDS[v] or Check.is_integer(v, 0, 2 ^ 31 - 1) then return v end
  if processes.is_stream(v) then
    local problem = processes.stream_problem(v)
    if problem then bad(1, "spawn", option .. ": " .. problem) end
    return v
  end
  if option == "stderr" and v == "stdout" then return v end
  bad(1, "spawn", option .. ' must be "pipe", "null", "inherit", ' ..
    (option == "stderr" and '"stdout", ' or "") ..
    "a stream or the number of a descriptor, got " ..
    (type(v) == "string" and '"' .. internal.quote(v) .. '"' or got(v)))
end

return function(t)
  local o = Process.read("spawn", t, KNOWN)
  local stdin = check_stream("stdin", t.stdin, "null")
  local stdout = check_stream("stdout", t.stdout, "inherit")
  local stderr = check_stream("stderr", t.stderr, "inherit")
  return Process.start(o, stdin, stdout, stderr)
end
