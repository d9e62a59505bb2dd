-- 048: An error's __tostring was called where no task is, so that it could not
-- wait, and its text was lost. And a raised userdata was called a result.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local is_jit = rawget(_G, "jit") ~= nil

local function try(casting, is_jit)
  local asked, answer = casting.channel(), casting.channel()
  local function failing(f)
    return casting.spawn(function()
      error(setmetatable({code = 7}, {__tostring = f}))
    end)
  end
  local function first_line(task) return task:traceback():match "^[^\n]*" end

  local sleeping = failing(function()
    casting.sleep(0.001)
    return "the reason"
  end)
  local ok, e = sleeping:join(60)
  assert(ok == false and e.code == 7)
  assert(first_line(sleeping) == "the reason", sleeping:traceback())
  assert(sleeping:traceback():find "stack traceback:")

  -- Others go on meanwhile, and it counts as waiting.
  local asking = failing(function()
    asked:send "why"
    return (answer:receive())
  end)
  assert(asked:receive() == "why")
  casting.yield()
  assert(asking:status() == "waiting" and not asking:join(0))
  answer:send "because"
  assert(asking:join(60) == false and first_line(asking) == "because")

  -- It can be cancelled, and then the error is described without it.
  local never = failing(function() casting.channel():receive() end)
  casting.yield()
  casting.yield()
  never:cancel()
  ok, e = never:join(60)
  assert(ok == false and e.code == 7 and never:status() == "failed")
  assert(first_line(never):find "^table: ")
  if not is_jit then
    local began, other = casting.channel(1), casting.session()
    other:spawn(function(began) began:receive():cancel() end, began)
    local computing = failing(function()
      began:send(casting.self())
      -- ThreadSanitizer delivers signals in calls of the C library.
      while true do os.time() end
    end)
    assert(computing:join(60) == false)
    other:close()
  end
  for _, f in ipairs {function() error "x" end, function() return {} end,
    function() return coroutine.yield(1) end} do
    local bad = failing(f)
    ok, e = bad:join(60)
    assert(ok == false and e.code == 7 and first_line(bad):find "^table: ")
  end
  return "done"
end

assert(try(casting, is_jit) == "done")
assert(casting.spawn(try, casting, is_jit):await() == "done")
local session = casting.session()
assert(session:spawn(try, casting, is_jit):await() == "done")

local task = session:spawn(function() error(io.stdout) end)
local ok, e = task:join(60)
assert(ok == false and e:find("cannot send a userdata (error)", 1, true), e)
task = session:spawn(function() return 1, io.stdout end)
ok, e = task:join(60)
assert(ok == false and e:find("cannot send a userdata (result 2)", 1, true), e)
