-- 164: A task of another session that was cancelled before its first turn ran
-- all the same, up to its first wait: the request stood in the session's inbox
-- behind the task itself. So it was with a session that was cancelled or closed
-- as a whole.
-- still: a task that was not begun is ready.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local LONG = 60

-- A session that is kept busy, by a task that computes until `go` is open; so
-- whatever is spawned there has not begun.
local function busy()
  local session, ready = casting.session(), casting.channel(1)
  local go = casting.channel()
  local task = session:spawn(function()
    ready:send(true)
    repeat local _, why = go:try_receive() until why == "closed"
  end)
  assert(ready:receive(LONG))
  return session, go, task
end

local ran = casting.channel(100)
local function runs() ran:send "ran" end

local function never_ran(task, text)
  local ok, e = task:join(LONG)
  assert(not ok and casting.is_cancelled(e), tostring(e))
  assert(tostring(e) == text, tostring(e))
  assert(task:status() == "cancelled", task:status())
  assert(#ran == 0, "it ran")
end

-- One task, with a function or with text.
for _, f in ipairs {runs, "(...):send 'ran'"} do
  local session, go = busy()
  local task = session:spawn(f, ran)
  assert(task:status() == "ready")
  assert(task:cancel "too late")
  go:close()
  never_ran(task, "cancelled: too late")
  assert(session:spawn("return 'on'"):await(LONG) == "on")
  session:close()
end

-- All of a session.
do
  local session, go, first = busy()
  local tasks = {}
  for i = 1, 5 do tasks[i] = session:spawn(runs) end
  assert(session:cancel "all")
  go:close()
  for i = 1, 5 do never_ran(tasks[i], "cancelled: all") end
  first:join(LONG)
  assert(session:spawn("return 'on'"):await(LONG) == "on")
  session:close()
end

-- A session that closes.
do
  local session, go = busy()
  local task = session:spawn(runs)
  local closes = casting.spawn(function() return session:close(LONG) end)
  casting.yield()
  go:close()
  never_ran(task, "cancelled: the session closes")
  assert(closes:await(LONG))
end

-- A scope's: by the scope, by a failure, and by a deadline around it. The task
-- that lets the session go on runs when the scope waits for its tasks, which it
-- has cancelled by then.
local ways = {
  function(scope) scope:cancel() end,
  function() error "failed" end,
  function() error(select(2, pcall(casting.sleep, LONG))) end,
}
for i, way in ipairs(ways) do
  local session, go = busy()
  local task, left
  local opens = casting.spawn(function()
    while not left do casting.sleep(0.001) end
    go:close()
  end)
  casting.with_timeout(i == 3 and 0.01 or LONG, function()
    pcall(casting.scope, function(scope)
      task = scope:spawn_in(session, runs)
      local ok, e = pcall(way, scope)
      left = true
      if not ok then error(e, 0) end
    end)
  end)
  local ok, e = task:join(LONG)
  assert(not ok and casting.is_cancelled(e), tostring(e))
  assert(#ran == 0, "it ran")
  opens:join(LONG)
  session:close()
end
