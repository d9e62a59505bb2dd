-- A session's name and the reason of a cancellation ended at the first zero
-- byte.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local name, reason = "a\0b", "be\0cause"
local session = casting.session {name = name, tasks = 1}
assert(session:name() == name and session:stats().name == name)

local task = session:spawn("require('casting').sleep(100)")
local ok, e = pcall(session.spawn, session, "return 1")
assert(not ok and e:find("session '" .. name .. "' has its limit", 1, true), e)
task:cancel(reason)
ok, e = task:join(60)
assert(ok == false and e.reason == reason)
assert(tostring(e) == "cancelled: " .. reason)

task = casting.spawn(casting.sleep, 100)
task:cancel(reason)
ok, e = task:join(60)
assert(ok == false and e.reason == reason)

session:wait()
task = session:spawn("require('casting').sleep(100)")
session:cancel(reason)
ok, e = task:join(60)
assert(ok == false and e.reason == reason)

session:close()
ok, e = pcall(session.spawn, session, "return 1")
assert(not ok and e:find("session '" .. name .. "' is closed", 1, true), e)

ok, e = pcall(casting.session, {name = name, init = function()
  error("why\0not", 0)
end})
assert(not ok)
assert(e:find("init of session '" .. name .. "' failed: why\0not", 1, true), e)

local supervisor = casting.supervisor {name = name, children = {}}
assert(supervisor.task:session():name() == name)
supervisor:stop()
