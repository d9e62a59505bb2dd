-- http_allocfail.lua - servers and clients of HTTP in a session whose memory
-- fails at each allocation: an error that says so, or nothing at all; no crash,
-- no leak, no hang, and what is answered is right.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/http_allocfail.lua [SEED] [SCALE [NAME ...]]
--
-- Scale 1: each allocation, which takes minutes; 0.1: about each tenth, drawn
-- from the seed. Who waits for somebody that had no memory to say a word does
-- so until its time is over, two seconds here. Names choose some scenarios,
-- which are in lib/webs.lua. With VERBOSE in the environment it prints what
-- runs have ended with, and how often; with TRACE, each run before it begins.

local here = arg[0]:match "^(.*)[/\\]" or "."
package.path = here .. "/lib/?.lua;./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local helper = require "helper"
local casting = require "casting"

local function skip(why)
  print("http_allocfail: skipped, " .. why)
  os.exit(0)
end
if not pcall(require, "casting.http") then skip "there is no casting.http" end
local starve = helper.internal().starve
if not starve then skip "memory cannot be made to fail in this build" end

local seed, scale = kit.arguments()
if not arg[2] then scale = scale / 200 end
local random = kit.generator(seed)
local fs = casting.fs
local LONG = 60 * (tonumber(os.getenv "CASTING_TIME_FACTOR") or 1)

local what = "?"
local function check(ok, message, ...)
  if not ok then kit.violation("%s: " .. message, what, ...) end
end

local NAMES = {"requests", "streams", "files", "forms", "gzip", "websockets",
  "events", "cookies"}
local failures = casting.channel(math.huge)
casting.on_error(failures) -- what tasks fail with is no concern here

local place = assert(fs.tempdir())
assert(fs.write(place .. "/file.txt", ("a file, "):rep(5000)))

local function descriptors()
  local n = 0
  for _ in pairs(fs.list "/proc/self/fd" or {}) do n = n + 1 end
  return n
end

-- -- one run -----------------------------------------------------------------

-- In the session: a scenario, which has its modules already.
local function scene(name, place) -- luacheck: ignore
  require("webs")[name](place .. "/file.txt")
end

local function collect()
  collectgarbage()
  collectgarbage()
end

local function tidy()
  require("webs").tidy()
  collectgarbage()
  collectgarbage()
end

local session

-- To wait takes memory, too.
local function joined(task)
  local done, ok, e
  repeat done, ok, e = pcall(task.join, task, LONG) until done
  if ok == nil then check(false, "it did not end\n%s", casting.report()) end
  return ok, e
end

-- Another session, in which all is loaded, and was done once. With a limit
-- LuaJIT compiles nothing: its compiled code does not survive such a failure.
local function renew(name)
  if session then check(session:close(LONG), "it did not close") end
  session = casting.session {memory = rawget(_G, "jit") and 1e9 or nil}
  for _ = 1, 2 do
    local ok, e = joined(session:spawn(scene, name, place))
    check(ok, "it fails with all memory: %s", tostring(e))
    ok, e = joined(session:spawn(tidy))
    check(ok, "it leaves something: %s", tostring(e))
  end
end

local outcomes = {}
local function attempt(name, n, many)
  what = ("%s, memory failing at %d + %d"):format(name, n, many)
  if os.getenv "TRACE" then io.stderr:write(what, "\n") end
  local began = casting.now()
  starve(n, many)
  local spawned, task = pcall(session.spawn, session, scene, name, place)
  local ok, e = spawned, task
  if spawned then ok, e = joined(task) end
  local failed = starve()
  starve(0)
  check(ok or failed, "an error without a failure: %s", tostring(e))
  check(ok or not tostring(e):find("violation: ", 1, true), "%s", tostring(e))
  local text = ok and "fine" or tostring(e)
  if casting.now() - began > 1 and os.getenv "VERBOSE" then
    print(("%s: %.1f s, %s"):format(what, casting.now() - began, text))
  end
  outcomes[text] = (outcomes[text] or 0) + 1
  local f = failures:try_receive()
  while f do
    if os.getenv "VERBOSE" then
      text = "  a task: " .. tostring(f.error or f)
      outcomes[text] = (outcomes[text] or 0) + 1
    end
    f = failures:try_receive()
  end
  collect()
  ok, e = joined(session:spawn(tidy))
  check(ok, "it leaves something: %s\n%s", tostring(e), casting.report())
  return failed
end

-- -- the run -----------------------------------------------------------------

local function blocks() return (select(2, starve())) end

-- What is kept for later grows to some bound; a leak goes on.
local peak = 0
local function sound(name, n, many)
  local before
  for round = 1, 2 do
    before = blocks()
    for _ = 1, 60 do attempt(name, n, many) end
    local deadline = casting.now() + LONG / 20
    while blocks() > before + 40 and casting.now() < deadline do
      casting.sleep(0.001)
      joined(session:spawn(collect))
    end
    if blocks() <= before + 40 then break end
    if round == 2 then
      check(false, "%d blocks are left by 60 runs\n%s", blocks() - before,
        casting.report())
    end
  end
  peak = math.max(peak, blocks())
end

local chosen, runs = {}, 0
for i = 3, #arg do chosen[i - 2] = arg[i] end
if #chosen == 0 then chosen = NAMES end
for _, name in ipairs(chosen) do
  what = name
  renew(name)
  local open = descriptors()
  for _, many in ipairs {1, 2, 20} do
    local n = 0
    repeat
      n = n + (scale >= 1 and 1 or random(math.floor(2 / scale)))
      local failed = attempt(name, n, many)
      if failed and blocks() > peak then sound(name, n, many) end
      runs = runs + 1
    until not failed
    if os.getenv "VERBOSE" then
      print(("%s: %d allocations, %d in a row"):format(name, n, many))
    end
  end
  local deadline = casting.now() + LONG
  while descriptors() > open and casting.now() < deadline do
    joined(session:spawn(collect))
  end
  check(descriptors() <= open, "%d descriptors are left, of %d", descriptors(),
    open)
end
check(session:close(LONG), "it did not close")
fs.remove(place, {tree = true})
if os.getenv "VERBOSE" then
  local list = {}
  for text, n in pairs(outcomes) do list[#list + 1] = {n, text} end
  table.sort(list, function(x, y) return x[1] > y[1] end)
  for _, row in ipairs(list) do print(("%6d %s"):format(row[1], row[2])) end
end
print(("http_allocfail: %d runs"):format(runs))
