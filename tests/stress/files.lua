-- files.lua - files that several sessions share, read, write and give up at
-- random, by tasks that are cancelled. Each line of a shared file is read by
-- exactly one task, what was written is there, whole and in order, an atomic
-- write is seen wholly or not at all, and in the end no descriptor and no
-- temporary file is left.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/files.lua [SEED] [SECONDS]     (2 seconds by default)

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local casting = require "casting"
local fs = casting.fs

local seed = kit.arguments()
local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
local seconds = tonumber(arg[2]) or 2
local SESSIONS, TASKS = 3, 6
casting.on_error(casting.channel(math.huge)) -- of tasks that are cancelled

local dir = assert(fs.tempdir())
local LINES = math.max(2000, math.floor(60000 * seconds / factor))

local function make_lines()
  local list = {}
  for i = 1, LINES do
    list[i] = i .. ":" .. ("x"):rep(i * 7 % 90 + (i % 997 == 0 and 70000 or 0))
  end
  assert(fs.write(dir .. "/lines", table.concat(list, "\n")))
end
make_lines()

-- What each session does, in tasks of its own, until `stop` is closed. Returns
-- what its tasks have seen: they note it as soon as they have it.
local function work(number, o)
  local casting = require "casting" -- luacheck: ignore
  local fs = casting.fs
  local random = o.generator(o.seed * 10 + number)
  local seen = {read = {}, wrote = {}, made = {}, n = 0, ops = 0}
  local function check(ok, ...)
    if not ok then error(table.concat({...}, " "), 2) end
  end

  -- Lines by turns; every one that a read has brought is noted.
  local function read_lines()
    for _ = 1, random(40) do
      local line, why = o.lines:read "l"
      if not line then return check(not why, tostring(why)) end
      local i, rest = line:match "^(%d+):(x*)$"
      i = tonumber(i)
      check(i and #rest == i * 7 % 90 + (i % 997 == 0 and 70000 or 0), "torn",
        line:sub(1, 50))
      check(not seen.read[i], "twice", i)
      seen.read[i] = true
    end
  end

  local function write_log()
    seen.n = seen.n + 1
    local n = seen.n
    local text = ("%d %d %s\n"):format(number, n, ("y"):rep(n % 300))
    if o.log:write(text) then seen.wrote[n] = true end
  end

  local function whole(text)
    local n, rest = text:match "^(%d+) (z*)$"
    return n and #rest == tonumber(n)
  end
  local function write_whole()
    local n = random(3) == 1 and random(3000000) or random(5000)
    check(fs.write(o.dir .. "/whole" .. random(2), {n, " ", ("z"):rep(n)},
      {atomic = true}))
  end
  local function read_whole()
    local text, why = fs.read(o.dir .. "/whole" .. random(2))
    check(text and whole(text) or not text and why:find "no such file",
      why or text:sub(1, 20))
  end

  -- What a call has made, and told of, is its caller's.
  local function temp(make)
    local f, path = make {dir = o.dir}
    check(f, path)
    seen.made[path or f] = true
    return f, path
  end

  local function private()
    local f, path = temp(fs.temp)
    local text = ("abc\n"):rep(random(5000))
    check(f:write(text))
    check(f:seek "set" == 0)
    check(f:read(#text + 1) == text, "not what was written")
    check(f:write("def", 0) and f:read(3, 0) == "def", "at an offset")
    f:close()
    check(fs.remove(path))
  end
  local function give_up()
    local f = temp(fs.temp)
    if random(2) == 1 then f:close() end
    fs.remove((temp(fs.tempdir)))
  end
  local function look()
    local names = fs.list(o.dir)
    check(names and #names > 0 and fs.stat(o.dir .. "/lines").type == "file")
    for _ in fs.walk(o.dir) do
      if random(3) == 1 then break end
    end
  end

  local acts = {read_lines, read_lines, write_log, write_log, write_whole,
    read_whole, private, give_up, look}
  local tasks = {}
  local function one()
    while not o.stop:closed() do
      acts[random(#acts)]()
      seen.ops = seen.ops + 1
    end
  end
  for i = 1, o.tasks do tasks[i] = casting.spawn(one) end
  while not o.stop:closed() do
    casting.sleep(0.0002 * random(10))
    local i = random(o.tasks)
    if random(2) == 1 then tasks[i]:cancel() end
    local ok, why = tasks[i]:join(0)
    if ok ~= nil then
      check(ok or casting.is_cancelled(why), tostring(why))
      tasks[i] = casting.spawn(one)
    end
  end
  for i = 1, o.tasks do
    local ok, why = tasks[i]:join(60 * o.factor)
    check(ok or ok == false and casting.is_cancelled(why), tostring(why))
  end
  collectgarbage()
  return seen
end

local function descriptors()
  return #(fs.list "/proc/self/fd" or {})
end

fs.read(dir .. "/lines", 1) -- a helper is there
local before = descriptors()
local lines = assert(fs.open(dir .. "/lines"))
local log = assert(fs.open(dir .. "/log", "a"))
local stop = casting.channel()
local o = {lines = lines, log = log, dir = dir, stop = stop, seed = seed,
  tasks = TASKS, factor = factor, generator = kit.generator}
local sessions, workers = {}, {}
for i = 1, SESSIONS do
  sessions[i] = casting.session()
  workers[i] = sessions[i]:spawn(work, i, o)
end
casting.sleep(seconds)
stop:close()

local read, ops = {}, 0
local wrote, made = {}, {}
for i = 1, SESSIONS do
  local seen = kit.join(workers[i], "session " .. i, 120 * factor)
  for n in pairs(seen.read) do
    kit.check(not read[n], "line %d was read twice", n)
    read[n] = true
  end
  for path in pairs(seen.made) do made[path] = true end
  wrote[i], ops = seen.wrote, ops + seen.ops
  sessions[i]:close()
end

-- Those that are left follow the last one that was read, without a hole.
local last = 0
for n in pairs(read) do last = math.max(last, n) end
for n = 1, last do kit.check(read[n], "line %d was lost", n) end
for line in lines:lines() do
  last = last + 1
  kit.check(tonumber(line:match "^%d+") == last, "after line %d: %s", last - 1,
    line:sub(1, 20))
end
kit.check(last == LINES, "%d lines of %d", last, LINES)
lines:close()
log:close()

local latest, nlog = {}, 0
if fs.stat(dir .. "/log").size > 0 then
  for line in fs.lines(dir .. "/log") do
    local session, n, rest = line:match "^(%d+) (%d+) (y*)$"
    session, n = tonumber(session), tonumber(n)
    kit.check(session and #rest == n % 300, "torn in the log: %s", line)
    kit.check(n > (latest[session] or 0), "out of order: %s", line)
    latest[session], nlog = n, nlog + 1
    wrote[session][n] = nil
  end
end
for i = 1, SESSIONS do
  kit.check(next(wrote[i]) == nil, "a write of session %d was lost", i)
end

for _, name in ipairs((fs.list(dir))) do
  kit.check(name == "lines" or name == "log" or name:match "^whole[12]$" or
    made[dir .. "/" .. name], "%s was left", name)
end
assert(fs.remove(dir, {tree = true}))
collectgarbage()
collectgarbage()
local after = descriptors()
kit.check(after <= before, "%d descriptors were %d", after, before)
print(("files: %d operations, %d lines read, %d written"):format(ops, #read,
  nlog))
