-- 216: A failure, or a result, that could not be rebuilt broke off what waited
-- for it: with fail_fast = false the other tasks were cancelled, and a race
-- lost the result of its winner for what a loser had returned. And when the
-- body of a scope was cancelled, the failure of another task was dropped if it
-- was equal to the one before.
-- still: tasks begin in the order of their spawns.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local session = casting.session()

-- An object that can leave its session, and be rebuilt in no other one.
local function only_here(how)
  local casting = require "casting"
  package.loaded.only_here = {mt = {__index = {}}}
  local v = setmetatable({}, package.loaded.only_here.mt)
  if how == "late" then pcall(casting.sleep, 60) end
  if how == "error" then error(v) end
  return v
end

local function failure(f, ...)
  local t = casting.spawn(f, ...)
  local ok, e = t:join(helper.LONG)
  assert(ok == false, "it must fail")
  assert(type(e) == "table" and e.traceback, tostring(e))
  return e
end

-- A scope: a failure as any other.
local done = false
local failed
local e = failure(casting.scope, function(scope)
  failed = scope:spawn_in(session, only_here, "error")
  local monitor = failed:monitor()
  scope:spawn(function()
    assert(not pcall(monitor.receive, monitor)) -- it tells the error
    casting.yield()
    casting.yield()
    done = true
  end)
end, {fail_fast = false})
assert(done, "the other task was cancelled")
assert(e.task == failed and type(e.error) == "string")
assert(e.error:find("only_here", 1, true), e.error)
assert(e.traceback:find("stack traceback", 1, true), e.traceback)
e = failure(casting.scope, function(scope)
  failed = scope:spawn_in(session, only_here, "error")
  casting.sleep(60)
end)
assert(e.task == failed)

-- all, and race: as well; a result that is wanted, and cannot be rebuilt, is
-- the error.
failed = session:spawn(only_here, "error")
assert(failure(casting.all, {failed, function() casting.sleep(60) end}).task ==
  failed)
failed = session:spawn(only_here, "error")
assert(failure(casting.race, {failed, function() casting.sleep(60) end}).task ==
  failed)
for _, f in ipairs {casting.all, casting.race} do
  local t = casting.spawn(f, {session:spawn(only_here),
    function() casting.sleep(60) end})
  local ok, why = t:join(helper.LONG)
  assert(ok == false and tostring(why):find("only_here", 1, true))
end

-- What a loser leaves is nothing to a race.
local i, v = casting.race {
  function()
    casting.yield()
    return "won"
  end, session:spawn(only_here, "late")}
assert(i == 1 and v == "won")

-- Two failures are two, also if they are equal, and the body was cancelled.
e = failure(casting.scope, function(scope)
  for _ = 1, 2 do scope:spawn(error, "equal", 0) end
  casting.sleep(60)
end)
assert(e.error == "equal" and #e.others == 1 and e.others[1].error == "equal")
-- But not if the body has just awaited the other.
e = failure(casting.scope, function(scope)
  scope:spawn(error, "awaited", 0):await()
end)
assert(e.error == "awaited" and not e.others)
