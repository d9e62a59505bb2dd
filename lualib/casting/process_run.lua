-- process_run.lua - process.run: a program, from its start to its end.
-- SPDX-License-Identifier: MIT
--
-- A task reads each output, for a program that fills a pipe which nobody reads
-- waits for ever; a third one writes the input. The program leads a group of
-- its own, unless it is told not to. When the call ends before the program,
-- whatever ends it, the whole group is killed and reaped.
--
-- A run (run):
--   process   the program
--   input     the text for its standard input; nil: it has none
--   deadline  when all of it must end; nil: never
--   max       how many bytes each output may have
--   grace     seconds between TERM and KILL
--   group     the tasks that read and write
--   stopped   the program was told to end, and will be killed
--   stdout    all of an output, once it has ended; nil: it has not
--   stderr    likewise

local casting, internal = ...
local error, ipairs, pairs, pcall, type = error, ipairs, pairs, pcall, type
local processes = internal.processes
local Check, Group, Net, Process, shield = internal.check, internal.group,
  internal.net_common, internal.process_common, internal.shield
local bad, got = internal.bad, internal.got

local KNOWN = {input = true, timeout = true, max = true, grace = true}
for k in pairs(Process.KNOWN) do KNOWN[k] = true end

local MAX, GRACE, DEPTH, PIECES = 2 ^ 26, 0.5, 100, 1e6

-- What stream:write takes, looked at before the program is started: a string,
-- or a list of strings, numbers and lists. count: how many values were seen.
local function check_input(v, where, depth, count)
  count[1] = count[1] + 1
  if count[1] > PIECES then bad(1, "run", "too many strings in input") end
  local kind = type(v)
  if kind == "string" or kind == "number" and depth < DEPTH then return end
  if kind ~= "table" then
    bad(1, "run", where .. " must be a string or a list of strings, got " ..
      got(v))
  end
  if depth == 0 then bad(1, "run", "the lists in input are too deep") end
  for k in pairs(v) do
    if not Check.is_integer(k, 1, #v) then
      bad(1, "run", where .. " must be a list without holes or other keys")
    end
  end
  for i = 1, #v do
    check_input(v[i], where .. "[" .. i .. "]", depth - 1, count)
  end
end

local function read_options(t)
  local o = Process.read("run", t, KNOWN)
  o.input, o.max, o.grace = t.input, t.max or MAX, t.grace or GRACE
  if o.input ~= nil then check_input(o.input, "input", DEPTH, {0}) end
  Net.check_seconds(1, "run", "timeout", t.timeout)
  Net.check_seconds(1, "run", "grace", o.grace)
  Net.check_count(1, "run", "max", o.max, 1)
  o.deadline = Net.deadline(t.timeout)
  if o.group == nil then o.group = true end
  return o
end

-- -- reading and writing ------------------------------------------------------

-- A program need not read all of its input. Whatever happens, it ends.
local function feed(stream, input)
  local ok, e = pcall(stream.write, stream, input)
  stream:close()
  if not ok then error(e, 0) end
end

-- Keeps all of an output under `name`; or nil, why.
local function keep_all(run, name, stream)
  local text, why = stream:read("a", {timeout = Net.left(run.deadline),
    max = run.max})
  run[name] = text
  return text, why
end

-- What has come of an output by now, unless all has. Pieces are put together as
-- soon as the one before is no longer, so that no byte is copied often.
local function take(run, name, stream)
  if run[name] then return run[name] end
  local parts, n, size = {}, 0, 0
  while size <= run.max do
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
  return processes.cut(all, run.max)
end

-- Waits until both outputs have ended, in any order; nil, why: one has not, or
-- the input could not be written. A program may close an output long before its
-- end, so whoever reads the other one must not be waited for first.
local function read_both(run)
  local group, process = run.group, run.process
  local function spawn(name)
    return group:adopt(casting.spawn(keep_all, run, name, process[name]))
  end
  local readers = {[spawn "stdout"] = true, [spawn "stderr"] = true}
  local left = 2
  while left > 0 do
    local task, ok, e = group:take()
    if not ok then error(e, 0) end
    if readers[task] then
      local text, why = task:await()
      if not text then return nil, why end
      left = left - 1
    end
  end
  return true
end

-- How it ended; or nil, why.
local function collect(run)
  local process = run.process
  if run.input then
    run.group:adopt(casting.spawn(feed, process.stdin, run.input))
  end
  local ok, why = read_both(run)
  if not ok then return nil, why end
  local how, code = process:wait(Net.left(run.deadline))
  if not how then return nil, code end
  -- Nobody needs the rest of the input, but who was left behind may have it.
  if process.stdin then process.stdin:close() end
  run.group:drain()
  return how, code
end

-- -- the end ------------------------------------------------------------------

-- Until it has ended, and nobody has its outputs any more, or the time is over.
-- A select does not take its end, so the rest of its group can be killed
-- afterwards.
local function await_end(run, deadline)
  local process = run.process
  casting.select {process, timeout = Net.left(deadline)}
  for _, name in ipairs {"stdout", "stderr"} do
    if not run[name] then
      run[name] = process[name]:read("a", {timeout = Net.left(deadline),
        max = run.max})
    end
  end
end

-- Ends the program and its group, whose outputs nobody reads now. If the
-- cancellation leaves no time to wait for it, a timer kills it. What cannot be
-- killed, by its rights for example, is not waited for.
local function stop(run)
  local process = run.process
  local deadline = Net.deadline(run.grace)
  local is_there = processes.stop(process, run.grace)
  run.stopped = true
  if not is_there or
    pcall(shield, await_end, run, deadline) then
    process:kill "KILL"
    pcall(shield, process.wait, process, GRACE)
  end
end

local function close(process)
  if process.stdin then process.stdin:close() end
  process.stdout:close()
  process.stderr:close()
end

-- Ends it before its time: what it has said by then.
local function break_off(run, why)
  run.group:cancel()
  shield(run.group.drain, run.group)
  stop(run)
  return nil, why, take(run, "stdout", run.process.stdout),
    take(run, "stderr", run.process.stderr)
end

-- In the guard.
local function begin(run, o)
  local process, why = Process.start(o, o.input and "pipe" or "null", "pipe",
    "pipe", run)
  run.process = process
  if not process then return nil, why end -- it did not start
  local how, code = collect(run)
  if not how then return break_off(run, code) end
  return how == "exit" and code or -code, run.stdout, run.stderr
end

-- Without memory the guard may have given up. Nothing here needs any.
local function leave(run, ok, ...)
  local process = run.process
  if ok then
    if process then close(process) end
    return ...
  end
  if process and not run.stopped then pcall(processes.stop, process, 0) end
  if process then pcall(close, process) end
  error((...), 0)
end

return function(t)
  local o = read_options(t)
  local run = {input = o.input, deadline = o.deadline, max = o.max,
    grace = o.grace, group = Group.new()}
  local function finally()
    run.group:drain()
    if not run.process then return end
    pcall(stop, run)
    pcall(close, run.process)
  end
  local group = run.group
  return leave(run, pcall(group.guard, group, finally, begin, run, o))
end
