-- 081-reports-that-nobody-reads.lua - a report was written by the monitor's
-- thread. With stderr a full pipe that thread blocked, and no sleep, timeout or
-- ticker of the process ended any more, in no session.
-- SPDX-License-Identifier: MIT
--
-- The program runs itself as a child whose stderr is a named pipe, held open at
-- both ends by the shell, so that nobody reads unless told to.

local helper = require "helper"

local pipe = rawget(_G, "arg")[1]
if not pipe then
  if not helper.has_children() then os.exit(0) end
  pipe = os.tmpname()
  local script = ("os.remove '%s'; os.execute 'mkfifo %s'"):format(pipe, pipe)
  assert((loadstring or load)(script))()
  local ok = os.execute(("exec 9<>%s; exec timeout %d %s %s %s 2>%s"):format(
    pipe, 100 * helper.slow, helper.command(), rawget(_G, "arg")[0], pipe,
    pipe))
  os.remove(pipe)
  assert(ok == true or ok == 0, "the child has failed")
  os.exit(0)
end

local casting = require "casting"
local LONG = helper.LONG

-- Fills the pipe to the last byte, or empties it; through descriptors of their
-- own, since nobody else's are to become non-blocking.
local function fill()
  for _, size in ipairs {65536, 4096, 1} do
    os.execute(("dd if=/dev/zero of=%s bs=%d count=100000 oflag=nonblock " ..
      "2>/dev/null"):format(pipe, size))
  end
end
local function drain()
  os.execute(("dd if=%s of=/dev/null bs=65536 count=1000 iflag=nonblock " ..
    "2>/dev/null"):format(pipe))
end

local failing, sleeping = casting.session(), casting.session()
local function fail() error(("a long message "):rep(50), 0) end

local function test()
  -- Some that are due by time, and one whose handle goes.
  fill()
  local keep = {}
  for i = 1, 3 do keep[i] = failing:spawn(fail) end
  assert(#keep == 3)
  failing:spawn(fail):status()
  collectgarbage()
  collectgarbage()
  for _ = 1, 30 do
    local task = sleeping:spawn(function()
      local c = require "casting"
      local ticks = c.every(0.01)
      for _ = 1, 5 do ticks:receive() end
      c.sleep(0.05)
      return c.with_timeout(0.01, c.sleep, 10)
    end)
    local ok, e, word = task:join(LONG)
    assert(ok and e == nil and word == "timeout", tostring(e))
  end

  -- Nothing was lost without a word: those that were not dropped are here, and
  -- the next report tells the number of the others.
  drain()
  keep[4] = casting.session {name = "the last one"}:spawn(fail)
  local dropped, said = 0, 0
  for line in io.lines(pipe) do
    local n = line:match "casting: (%d+) reports? could not be written"
    dropped = dropped + (tonumber(n) or 0)
    if line:find("the last one", 1, true) then break end
    if line:find("failed:", 1, true) then said = said + 1 end
  end
  if dropped + said ~= 4 then
    error(("%d dropped and %d said, of 4"):format(dropped, said))
  end
end

-- An error has to be told elsewhere: nobody reads stderr.
local ok, e = pcall(test)
if not ok then
  io.stdout:write(tostring(e), "\n")
  io.stdout:flush()
  os.exit(1)
end

-- An end does not wait for who does not read; see the manual.
fill()
for _ = 1, 3 do failing:spawn(fail) end
os.exit(0, true)
