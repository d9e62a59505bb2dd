-- process_run.lua - process.run: a program, from its start to its end.
-- SPDX-License-Identifier: MIT
--
-- The caller reads the standard output, and a task the other one, for a program
-- that fills a pipe which nobody reads waits for ever; a third one writes the
-- input. The program leads a group of its own, unless it is told not to. When
-- the call ends before the program, whatever ends it, the whole group is killed
-- and reaped.
--
-- A run (run):
--   process   the program
--   input     what its standard input is to be; nil: nothing
--   deadline  when all of it must end; nil: never
--   max       how many bytes each output may have
--   grace     seconds between TERM and KILL
--   group     the tasks that read and write

local casting, internal = ...
local pcall, type = pcall, type
local Group, Net, Process, shield = internal.group, internal.net_common,
  internal.process_common, internal.shield
local bad, got = internal.bad, internal.got

local KNOWN = {input = true, timeout = true, max = true, grace = true,
  stdin = true}
for k in pairs(Process.KNOWN) do KNOWN[k] = true end

local MAX, GRACE = 2 ^ 26, 0.5

local function read_options(t)
  local o = Process.read("run", t, KNOWN)
  o.input, o.max, o.grace = t.input, t.max or MAX, t.grace or GRACE
  local kind = type(o.input)
  if o.input ~= nil and kind ~= "string" and kind ~= "table" then
    bad(1, "run", "input must be a string or a list of strings, got " ..
      got(o.input))
  end
  Net.check_seconds(1, "run", "timeout", t.timeout)
  Net.check_seconds(1, "run", "grace", o.grace)
  Net.check_count(1, "run", "max", o.max, 0)
  o.deadline = Net.deadline(t.timeout)
  if o.group == nil then o.group = true end
  return o
end

-- -- reading and writing ------------------------------------------------------

-- A program need not read all of its input.
local function feed(stream, input)
  stream:write(input)
  stream:close()
end

-- All of an output; or nil, why.
local function read_all(stream, deadline, max)
  return stream:read("a", {timeout = Net.left(deadline), max = max})
end

-- What has come of it by now. Pieces are put together as soon as the one before
-- is no longer, so that no byte is copied often.
local function take(stream, max)
  local parts, n, size = {}, 0, 0
  while size <= max do
    local part, _, rest = stream:read(nil, 0)
    part = part or rest or ""
    if part == "" then break end
    size = size + #part
    while n > 0 and #parts[n] <= #part do
      part, n = parts[n] .. part, n - 1
    end
    n = n + 1
    parts[n] = part
  end
  local all = ""
  for i = n, 1, -1 do all = parts[i] .. all end
  return all
end

-- Its outputs and how it ended; or nil, why.
local function collect(run)
  local process, group = run.process, run.group
  if run.input then
    group:adopt(casting.spawn(feed, process.stdin, run.input))
  end
  local errors = group:adopt(
    casting.spawn(read_all, process.stderr, run.deadline, run.max))
  local out, why = read_all(process.stdout, run.deadline, run.max)
  if not out then return nil, why end
  local err
  err, why = errors:await()
  if not err then return nil, why end
  local how, code = process:wait(Net.left(run.deadline))
  if not how then return nil, code end
  group:drain()
  return how, code, out, err
end

-- -- the end ------------------------------------------------------------------

-- Until it has ended, or its time is over. A select does not take its end, so
-- the rest of its group can be killed afterwards.
local function await_end(process, grace)
  casting.select {process, timeout = grace}
end

-- Kills what is left of the program and its group.
local function stop(run)
  local process = run.process
  if process:kill "TERM" then pcall(shield, await_end, process, run.grace) end
  process:kill "KILL"
  pcall(shield, process.wait, process)
end

local function close(process)
  if process.stdin then process.stdin:close() end
  process.stdout:close()
  process.stderr:close()
end

return function(t)
  local o = read_options(t)
  local process, why = Process.start(o, o.input and "pipe" or "null", "pipe",
    "pipe")
  if not process then return nil, why end
  local run = {process = process, input = o.input, deadline = o.deadline,
    max = o.max, grace = o.grace, group = Group.new()}
  local function finally()
    stop(run)
    close(process)
    run.group:drain()
  end
  local how, code, out, err = run.group:guard(finally, collect, run)
  if how then
    close(process)
    return how == "exit" and code or -code, out, err
  end
  stop(run)
  run.group:cancel()
  shield(run.group.drain, run.group)
  out, err = take(process.stdout, o.max), take(process.stderr, o.max)
  close(process)
  return nil, code, out, err
end
