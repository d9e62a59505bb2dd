-- 141: A string of digits was refused as "must be a positive integer, got 3",
-- as a number is named; a supervisor called its options "a supervisor"; and
-- texts said "1 restarts in 1 seconds".
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

-- f(...) must raise an error with that text at the end of the parentheses.
local function refused(text, f, ...)
  local n, arguments = select("#", ...), {...}
  helper.misuse(function() f(helper.unpack(arguments, 1, n)) end, text .. ")")
end
local session, supervisor = casting.session, casting.supervisor
local function f() end

refused("tasks must be a positive integer, got a string", session,
  {tasks = "3"})
refused("memory must be a positive integer, got a table", session,
  {memory = {}})
refused("cpu must be a positive number, got -1", session, {cpu = -1})
refused("name must be a string, got 5", session, {name = 5})
refused("or a list of library names, got \"io\"", session, {libs = "io"})
refused("init must be a function, got a boolean", session, {init = true})

refused("1000000000 at most, got a string", casting.map, {}, f, {batch = "2"})
refused("got 0", casting.map, {}, f, {window = 0})
refused("or a list of sessions, got a string", casting.map, {}, f,
  {sessions = "2"})
refused("its n must be an integer from 0 on, got a string", casting.all,
  {n = "1"})
refused("fail_fast must be a boolean, got 1", casting.scope, f,
  {fail_fast = 1})

refused("zero or more, got a string", casting.select, {timeout = "1"})
refused("zero or more, got a string", casting.with_timeout, "1", f)
refused("zero or more, got nil", casting.with_timeout, nil, f)

refused("table of options expected, got nil", supervisor)
refused("intensity must be a number, 0 or more, got a string", supervisor,
  {intensity = "1"})
refused("intensity must be an integer, or math.huge, got 1.5", supervisor,
  {intensity = 1.5})
refused("one_for_all, rest_for_one, got 'x'", supervisor, {strategy = "x"})
refused("session: tasks must be a positive integer, got a string", supervisor,
  {children = {{id = 1, start = f, session = {tasks = "3"}}}})
local sup = supervisor {}
refused("zero or more, got a string", sup.wait, sup, "1")
refused("events must be a channel, got a session", supervisor,
  {events = session()})
sup:stop()

-- What C functions take for a number, Lua's own functions do, too.
assert(casting.channel("3"):capacity() == 3)
casting.sleep("0")

local one = supervisor {intensity = 1, period = 1,
  events = casting.channel(1),
  children = {{id = "x", start = function() error("no", 0) end}}}
local _, e = one:wait()
assert(e:find("more than 1 restart in 1 second; the last", 1, true), e)
local small = session {tasks = 1, name = "small"}
small:spawn("require 'casting'.sleep(1000)")
helper.misuse(function() small:spawn("return") end, "has its limit of 1 task")
casting.scope(function(scope) -- its body is a task as well
  assert(tostring(scope) == "scope of 1 task", tostring(scope))
end)
