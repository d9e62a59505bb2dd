-- convert.lua - sends many files through a program, with progress bars.
-- SPDX-License-Identifier: MIT
--
-- COMMAND is one for the shell, which reads a file and writes another one, with
-- SUFFIX after its name. Four files are converted at a time. On a terminal
-- there is a bar for each of them and one for all, else a line for each.
--
-- What it shows: programs with pipes. Three tasks talk to a program: one feeds
-- it, one takes what it makes, one what it complains of; so no pipe fills up
-- while nobody looks. A program that fails is told of at the end. Ctrl-C
-- cancels the tasks, which kill their programs and remove half a file.
--
-- How to run it:
--   ./dev run examples/convert.lua 'gzip -9' .gz FILE...

local casting = require "casting"
local process = require "casting.process"

local AT_ONCE, BLOCK, PERIOD, GRACE = 4, 65536, 0.1, 0.5
local NUMBERS = {HUP = 1, INT = 2, TERM = 15}

-- A job: {name=, size=, done=}, in bytes; `total` is one for all of them.
local jobs, running, failures = {}, {}, {}
local total = {size = 0, done = 0, begun = 0, ended = 0}
local width           -- columns of the terminal; nil: it is none
local drawn = 0       -- how many lines of it are bars

-- --------------------------------------------------------------- drawing --

local function measure()
  local stty = process.spawn {"sh", "-c", "stty size <&2 2>/dev/null",
    stdout = "pipe"}
  local size = stty and stty.stdout:read("l") or ""
  width = tonumber(size:match "^%d+ (%d+)")
  if width and width < 40 then width = nil end
end

-- A name in n columns, of a long one the end: a character of UTF-8 is one.
local function fit(name, n)
  local list = {}
  for c in name:gsub("%c", "?"):gmatch "[^\128-\191][\128-\191]*" do
    list[#list + 1] = c
  end
  if #list > n then return "..." .. table.concat(list, "", #list - n + 4) end
  return table.concat(list) .. (" "):rep(n - #list)
end

local function bar(name, job)
  local part = job.size > 0 and math.min(job.done / job.size, 1) or 1
  local room = width - 34
  local full = math.floor(part * room)
  return ("%s [%s%s] %3d%%\n"):format(fit(name, 24), ("#"):rep(full),
    ("."):rep(room - full), math.floor(part * 100))
end

-- Writes lines above the bars and the bars anew, all at once, so that nothing
-- flickers.
local function draw(lines)
  local out = {drawn > 0 and ("\r\27[%dA\27[J"):format(drawn) or "", lines}
  if width then
    for _, job in ipairs(running) do out[#out + 1] = bar(job.name, job) end
    out[#out + 1] = bar(("%d of %d"):format(total.ended, #jobs), total)
  end
  drawn = #out - 2
  io.stderr:write(table.concat(out))
end

-- ------------------------------------------------------------ converting --

local function feed(program, job)
  local file = assert(io.open(job.name, "rb"))
  while true do
    local block, why = file:read(BLOCK)
    if why then error(why, 0) end
    if not block or not program.stdin:write(block) then break end
    job.done, total.done = job.done + #block, total.done + #block
  end
  file:close()
  program.stdin:close()
end

local function keep(program, file)
  for block in function() return program.stdout:read() end do
    assert(file:write(block))
  end
  assert(file:close())
end

-- Converts one file: how many bytes it has become; or nil, why.
local function convert(job, command, suffix)
  if job.problem then return nil, job.problem end
  local file, why = io.open(job.name .. suffix, "wb")
  if not file then return nil, why end
  local program, complaint = nil, ""
  local ok, e = pcall(function()
    program = assert(process.spawn {"sh", "-c", command, stdin = "pipe",
      stdout = "pipe", stderr = "pipe", group = true})
    casting.all {
      function() feed(program, job) end,
      function() keep(program, file) end,
      function()
        for text in function() return program.stderr:read() end do
          complaint = (complaint .. text):sub(-200)
        end
      end,
    }
    local how, code = program:wait()
    if how == "exit" and code == 0 then return end
    error(("%s %s: %s"):format(how, code, complaint:match "([^\n]*)\n*$"), 0)
  end)
  if ok then return program.stdout:stats().read end
  if program then
    program:kill "TERM"
    casting.shield(function()          -- it has ended when this task does
      if not program:wait(GRACE) then program:kill "KILL" end
      program:wait(GRACE)
    end)
  end
  os.remove(job.name .. suffix)
  if casting.is_cancelled(e) then error(e, 0) end
  return nil, tostring(type(e) == "table" and e.error or e)
end

-- Takes one job after another until none is left.
local function work(command, suffix)
  while total.begun < #jobs do
    total.begun = total.begun + 1
    local job = jobs[total.begun]
    running[#running + 1] = job
    local bytes, why = convert(job, command, suffix)
    for i = #running, 1, -1 do
      if running[i] == job then table.remove(running, i) end
    end
    total.ended, total.done = total.ended + 1, total.done + job.size - job.done
    if not bytes then failures[#failures + 1] = job.name .. ": " .. why end
    draw(("%s: %s\n"):format(job.name, bytes and
      ("%d -> %d bytes"):format(job.size, bytes) or "FAILED"))
  end
end

-- ------------------------------------------------------------------ main --

local command, suffix = arg[1], arg[2]
if not arg[3] or suffix == "" then
  io.stderr:write "usage: convert.lua COMMAND SUFFIX FILE...\n"
  os.exit(2)
end
for i = 3, #arg do
  local job = {name = arg[i], size = 0, done = 0}
  local file, why = io.open(job.name, "rb")
  if file then
    why = select(2, file:read(0))      -- that it is a directory
    job.size = why and 0 or file:seek "end"
    file:close()
  end
  job.problem = why and why:match "([^:]+)$":match "%S.*"
  jobs[#jobs + 1], total.size = job, total.size + job.size
end

local signals = assert(process.signals("HUP", "INT", "TERM"))
local resized = assert(process.signals "WINCH")
local tick = casting.every(PERIOD)
measure()
local ok, failure = pcall(casting.scope, function(scope)
  scope:spawn(function()
    local signal = signals:receive()
    if signal then error(signal, 0) end
  end)
  scope:spawn(function() for _ in resized do measure() end end)
  scope:spawn(function() for _ in tick do if width then draw "" end end end)
  local workers = {}
  for i = 1, AT_ONCE do workers[i] = scope:spawn(work, command, suffix) end
  for _, worker in ipairs(workers) do worker:await() end
  signals:close()
  resized:close()
  tick:close()
end)
for _, text in ipairs(failures) do io.stderr:write("convert: ", text, "\n") end
if not ok then
  local e = tostring(failure.error)
  io.stderr:write("convert: ", e, "\n")
  os.exit(NUMBERS[e] and 128 + NUMBERS[e] or 1)
end
os.exit(#failures == 0 and 0 or 1)
