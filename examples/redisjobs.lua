-- redisjobs.lua - works on jobs from a list in Redis, in 1,000 tasks.
-- SPDX-License-Identifier: MIT
--
-- Each task has a connection of its own, waits in BLPOP for a job, and works on
-- it. A job that fails is put at the end of the list QUEUE:failed. A connection
-- that is lost is made again, after pauses that become longer. SIGTERM and
-- Ctrl-C end the program when all jobs that it has taken are done; what is not
-- done after the time of grace is put back to where it came from.
--
-- What it shows: redis-lua on LuaSocket, both unchanged: a call waits for its
-- reply, and 999 other tasks of the same session go on. No job is lost at
-- the end: a task that is cancelled in BLPOP might just have been given one. So
-- another connection asks the server to unblock all of them, as if their time
-- was over, and each task sees for itself that it is to end. What is put back
-- is in a shield, for the task that does so was cancelled.
--
-- How to run it:
--   ./dev run examples/redisjobs.lua fill 100000
--   ./dev run examples/redisjobs.lua work

local casting = require "casting"
local process = require "casting.process"
require("casting.socket").install()

local USAGE = [[
usage: redisjobs.lua [options] work       work on jobs until told to end
       redisjobs.lua [options] fill N     put N jobs into the queue

  --server HOST[:PORT]   where Redis is (default 127.0.0.1:6379)
  --queue NAME           the list with the jobs (default jobs)
  --tasks N              so many tasks work (default 1000)
  --grace N              seconds for the jobs that are begun (default 10)
  --help                 print this
]]

local BLOCK = 30                -- seconds that BLPOP waits for a job
local SILENCE = 40              -- seconds of silence that tell of a dead server
local PAUSE, LONGEST = 0.1, 10  -- seconds between two tries to connect
local BATCH = 1000              -- jobs that are sent at once

local options = {server = "127.0.0.1", queue = "jobs", tasks = 1000, grace = 10}

local function complain(...)
  io.stderr:write("redisjobs: ", string.format(...), "\n")
end

local function refuse(...)
  complain(...)
  io.stderr:write(USAGE)
  os.exit(2)
end

-- A module that may not be there, and which package has it.
local function need(name, package)
  local ok, module = pcall(require, name)
  if ok then return module end
  local why = tostring(module):match "^[^\n]*":gsub(":$", "")
  complain("needs %s: %s", package, why)
  os.exit(1)
end

need("socket", "LuaSocket (lua-socket)")
local redis = need("redis", "redis-lua (lua-redis)")
redis.commands.client = redis.command "CLIENT" -- one that it does not have

-- What a job is: here a number of milliseconds that it takes, as one that waits
-- for an answer from elsewhere.
local function work_on(job)
  casting.sleep((tonumber(job) or error("not a number", 0)) / 1000)
end

-- ---------------------------------------------------------- connections --

local counts = {connected = 0, waiting = 0, working = 0, done = 0, failed = 0}
local ending = casting.channel()         -- is closed when the program is to end
local blocked = {}                       -- the connections in BLPOP, by numbers

local function connect()
  local host, port = options.server:match "^(.*):(%d+)$"
  return redis.connect {host = host or options.server, port = port,
    timeout = SILENCE}
end

local function close(client)
  client.network.socket:close()
end

-- Calls f(client) with a connection, and closes it. As pcall, but what must not
-- be caught passes on.
local function with_connection(f)
  local client
  local ok, e = pcall(function()
    client = connect()
    counts.connected = counts.connected + 1
    return f(client)
  end)
  if client then
    counts.connected = counts.connected - 1
    close(client)
  end
  if casting.is_cancelled(e) then error(e, 0) end
  if ok then return true end
  e = tostring(e):gsub("^%S+:%d+: ", "")       -- where redis-lua has raised it
  if e:lower():match "too many open files" then
    e = e .. ": ulimit -n must tell more than there are tasks"
  end
  return false, e
end

-- ----------------------------------------------------------------- work --

-- Takes a job, and works on it. Errors of Redis are raised: then it is not
-- known what has become of the job.
local function one_job(client, id)
  counts.waiting, blocked[id] = counts.waiting + 1, true
  local ok, reply = pcall(client.blpop, client, options.queue, BLOCK)
  counts.waiting, blocked[id] = counts.waiting - 1, nil
  if not ok then error(reply, 0) end
  local job = reply and reply[2]
  if not job then return end
  counts.working = counts.working + 1
  local good, e = pcall(work_on, job)
  counts.working = counts.working - 1
  if good then
    counts.done = counts.done + 1
  elseif casting.is_cancelled(e) then
    casting.shield(client.lpush, client, options.queue, job)
    complain("put back: %s", job)
    error(e, 0)
  else
    counts.failed = counts.failed + 1
    complain("failed: %s: %s", job, tostring(e))
    client:rpush(options.queue .. ":failed", job)
  end
end

-- One of the tasks.
local function worker()
  local pause = PAUSE
  while not ending:closed() do
    local ok, e = with_connection(function(client)
      local id = client:client "ID"
      pause = PAUSE
      while not ending:closed() do one_job(client, id) end
    end)
    if not ok then
      counts.why = e
      -- Not all at the same moment, or the server that is back is lost again.
      casting.select {ending, timeout = pause * (0.5 + math.random())}
      pause = math.min(2 * pause, LONGEST)
    end
  end
end

-- Wakes all tasks that wait in BLPOP, until none is left there. A task may be
-- about to wait when it is told: so it is told again.
local function unblock()
  repeat
    local ok, e = with_connection(function(client)
      while next(blocked) do
        for id in pairs(blocked) do client:client("UNBLOCK", id) end
        casting.sleep(0.05)
      end
    end)
    if not ok then
      counts.why = e
      casting.sleep(PAUSE)
    end
  until ok
end

-- A line each second, if anything has changed.
local function tell()
  local last, before = nil, 0
  for _ in casting.every(1) do
    local line = ("%d connected, %d waiting, %d working; %d done, %d failed"):
      format(counts.connected, counts.waiting, counts.working, counts.done,
        counts.failed)
    if line ~= last then print(("%s; %d jobs/s"):format(line, counts.done -
      before)) end
    last, before = line, counts.done
    if counts.why then complain("%s", counts.why) end
    counts.why = nil
  end
end

local function work()
  local signals = assert(process.signals("INT", "TERM"))
  io.stdout:setvbuf "line"
  local told = casting.spawn(tell)
  local in_time = true
  casting.scope(function(scope)
    local workers = {}
    for i = 1, options.tasks do workers[i] = scope:spawn(worker) end
    complain("%s: no more jobs are taken", signals:receive())
    signals:close()                        -- a second one ends it at once
    ending:close()
    in_time = casting.with_timeout(options.grace, function()
      unblock()
      for _, task in ipairs(workers) do task:join() end
    end)
    if not in_time then
      for _, task in ipairs(workers) do task:cancel "the end" end
    end
  end)
  told:cancel()
  print(("%d jobs done, %d failed"):format(counts.done, counts.failed))
  return in_time
end

-- ----------------------------------------------------------------- fill --

local function fill(total)
  local ok, e = with_connection(function(client)
    local length
    for first = 1, total, BATCH do
      local words = {options.queue}
      for n = first, math.min(first + BATCH - 1, total) do
        words[#words + 1] = ("%d"):format(n % 20)
      end
      length = client:rpush(words)
    end
    print(("%d jobs in %s"):format(length, options.queue))
  end)
  if not ok then complain("%s", e) end
  return ok
end

-- ----------------------------------------------------------------- main --

local NUMBERS = {tasks = 1, grace = 0}   -- and the least of each

local words, i = {}, 1
while arg[i] do
  local name, value = arg[i]:match "^%-%-(%l+)$", arg[i + 1]
  if name == "help" then
    io.write(USAGE)
    os.exit(0)
  elseif NUMBERS[name] then
    local n = tonumber(value)
    if not n or n < NUMBERS[name] or n > 1e6 or n % 1 ~= 0 then
      refuse("--%s needs a whole number", name)
    end
    options[name], i = n, i + 1
  elseif name == "server" or name == "queue" then
    options[name], i = value or refuse("--%s needs a name", name), i + 1
  elseif arg[i]:sub(1, 1) == "-" then
    refuse("what is %s?", arg[i])
  else
    words[#words + 1] = arg[i]
  end
  i = i + 1
end
local number = tonumber(words[2])
if words[1] == "work" and not words[2] then
  os.exit(work() and 0 or 1)
elseif words[1] == "fill" and number and number >= 1 and number % 1 == 0 and
  not words[3] then
  os.exit(fill(number) and 0 or 1)
end
refuse "what is to be done, work or fill N?"
