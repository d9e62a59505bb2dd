-- 192: A task that goes on after it was cancelled is ended where it computes,
-- past all that would catch an error. What that must not change: its clean-up
-- has its time before, its __close handlers run and get the error, and nobody
-- goes on with its coroutines.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local LONG = 60 * helper.slow
local loops = helper.loops
local options = {jit = false}

-- One that cleans up: the error comes once, and what follows has its time.
local session = casting.session(options)
local log = casting.channel(math.huge)
local task = session:spawn(loops [[
  local log = ...
  log:send "begun"
  local ok, e = pcall(function() while true do end end)
  local n = 0
  for i = 1, 1000 do n = n + i end
  require "casting".shield(log.send, log, n)
  error(e)]], log)
log:receive(LONG)
task:cancel "enough"
local ok, e = task:join(LONG)
assert(ok == false and casting.is_cancelled(e) and e.reason == "enough", e)
assert(log:receive(LONG) == 500500)

-- One that does not: how it ends is told as ever.
local stubborn =
  loops "while true do pcall(function() while true do end end) end"
task = session:spawn(stubborn)
casting.sleep(0.05)
task:cancel "now"
ok, e = task:join(LONG)
assert(ok == false and casting.is_cancelled(e) and e.reason == "now", e)
assert(task:status() == "cancelled")

-- Other tasks of its session go on, also one that has one of its coroutines.
task = session:spawn(loops [[
  local log = ...
  kept = coroutine.create(function()
    log:send "begun"
    while true do pcall(function() while true do end end) end
  end)
  coroutine.resume(kept)
  log:send "gone on"]], log)
assert(log:receive(LONG) == "begun")
task:cancel "again"
assert(task:join(LONG) == false)
assert(log:receive(0) == nil)
local function resume()
  return coroutine.resume(kept) -- luacheck: ignore
end
assert(session:spawn(resume):await(LONG) == false)
assert(session:spawn("return 1"):await(LONG) == 1)
assert(session:close(LONG))

-- A deadline ends the call alone, and the task goes on.
session = casting.session(options)
local function timed()
  local c = require "casting"
  local f = (loadstring or load)(stubborn)
  local a, b = c.with_timeout(0.05, f)
  local ok, e = c.with_timeout(0.05, function()
    return c.with_timeout(1000, f)
  end)
  c.sleep(0.001)
  return a, b, ok, e
end
local a, b, c, d = session:spawn(timed):await(LONG)
assert(a == nil and b == "timeout" and c == nil and d == "timeout")
assert(session:close(LONG))

-- A limit of processor time: an ordinary error.
session = casting.session {name = "small", cpu = 0.05}
ok, e = session:spawn(stubborn):join(LONG)
assert(ok == false and tostring(e):find("'small' has used up", 1, true), e)
assert(session:close(LONG))

if _VERSION < "Lua 5.4" then return end

-- The handlers of its variables, also of those in a coroutine of wrap, get the
-- error, and can wait.
session = casting.session()
task = session:spawn(loops [[
  local log = ...
  local c = require "casting"
  local function closing(name)
    return setmetatable({}, {__close = function(_, e)
      c.sleep(0.001)
      log:send(name .. " " .. tostring(e))
    end})
  end
  local a <close> = closing "task"
  coroutine.wrap(function()
    local b <close> = closing "wrap"
    log:send "begun"
    while true do pcall(function() while true do end end) end
  end)()]], log)
assert(log:receive(LONG) == "begun")
task:cancel "last"
ok, e = task:join(LONG)
assert(ok == false and casting.is_cancelled(e), e)
assert(log:receive(LONG) == "wrap cancelled: last")
assert(log:receive(LONG) == "task cancelled: last")
assert(session:close(LONG))
