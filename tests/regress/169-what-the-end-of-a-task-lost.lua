-- 169: Of a task that failed near its session's limit of memory, the error was
-- replaced by its text, or by "not enough memory"; results with a __save that
-- waits were replaced by that, too; and tasks that had not begun when their
-- session had used up its processor time failed without a report.
-- still: what a __save loads is loaded at once.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local LONG = 60
local reports = casting.channel(1000)
casting.on_error(reports)

-- Little memory is left, and a table is the error.
local function fail(spare)
  local e, keep = {code = 42}, {} -- luacheck: ignore
  for i = 1, 20000 do keep[i] = false end
  collectgarbage() collectgarbage()
  collectgarbage "stop"
  local i, big = 0, ("k"):rep(4000)
  local function fill(text)
    while true do
      i = i + 1
      keep[i] = text .. i
    end
  end
  for _ = 1, 6 do
    pcall(fill, big)
    pcall(fill, "s")
    collectgarbage()
  end
  pcall(fill, "s")
  for k = i, i - spare + 1, -1 do keep[k] = false end
  error(e)
end

-- Without GC64 a LuaJIT state cannot be limited.
local function is_limited()
  local session = casting.session {memory = 1e6}
  local ok = session:spawn("return ('x'):rep(4000000)"):join(LONG)
  session:close()
  return not ok
end

for spare = 0, is_limited() and 60 or -1, 15 do
  local session = casting.session {memory = 1500000}
  local task = session:spawn(fail, spare)
  local r = assert(reports:receive(LONG))
  assert(type(r.error) == "table" and r.error.code == 42, tostring(r.error))
  local ok, e = task:join(LONG)
  assert(not ok and type(e) == "table" and e.code == 42, tostring(e))
  session:close()
end

-- At the end of a task no __save can wait; later it can.
package.preload.slow = function()
  local C = {}
  C.__index = C
  function C.make(n) return setmetatable({n = n}, C) end
  function C:__save()
    require "casting".sleep(0.001)
    return C.make, self.n
  end
  return C
end
do
  local session, given = casting.session(), casting.channel(1)
  session:spawn(function(given) -- luacheck: ignore
    local casting = require "casting" -- luacheck: ignore
    local out = casting.channel(1)
    local task = casting.spawn(function() return require "slow".make(7) end)
    out:send(task) -- before its end
    task:join()
    given:send(task)
    local ok, v = task:join()
    given:send(ok and v.n)
    given:send(out:receive())
    casting.sleep(1000)
  end, given)
  local task = given:receive(LONG)
  assert(given:receive(LONG) == 7)
  assert(given:receive(LONG) == task)
  local ok, v = task:join(LONG)
  assert(ok and v.n == 7, tostring(v))
  session:close(0)

  session = casting.session()
  task = session:spawn(function() return require "slow".make(7) end)
  ok, v = task:join(LONG)
  assert(not ok and v:find("cannot block here", 1, true), v)
  assert(task:status() == "done")
  task = session:spawn(function() error(require "slow".make(7)) end)
  local r = assert(reports:receive(LONG))
  assert(r.task == task and type(r.error) == "string", tostring(r.error))
  ok, v = task:join(LONG)
  assert(not ok and v:find("cannot block here", 1, true), v)
  session:close()
end

-- Each once, also those that have not begun. LuaJIT does not stop the first;
-- ThreadSanitizer lets signals wait for a call of the C library.
if not rawget(_G, "jit") then
  local session = casting.session {cpu = 0.05, name = "short"}
  local tasks = {session:spawn "while true do os.time() end",
    session:spawn "require 'casting'.sleep(1000)", session:spawn "return 1"}
  session:wait(LONG)
  local seen, failed = {}, 0
  for _, task in ipairs(tasks) do -- on a slow machine the last may have run
    if task:status() == "failed" then failed = failed + 1 end
  end
  assert(failed >= 2)
  for _ = 1, failed do
    local r = assert(reports:receive(LONG))
    assert(r.error:find("used up its 0.05 seconds of cpu", 1, true), r.error)
    assert(not seen[r.task])
    seen[r.task] = r.traceback
  end
  for task, traceback in pairs(seen) do
    assert(traceback:find("stack traceback", 1, true), traceback)
    assert(task:status() == "failed" and task:traceback() == traceback)
  end
  assert(#reports == 0)
  session:close()
end
