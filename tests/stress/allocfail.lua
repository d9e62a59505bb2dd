-- allocfail.lua - memory that fails at each allocation of a piece of every
-- area: an error that says so, or nothing at all; no crash, no leak, no hang,
-- and what is returned is right.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/allocfail.lua [SEED] [SCALE [NAME ...]]
--
-- Scale 1: each allocation; 0.1: about each tenth, drawn from the seed. Names
-- choose some of the scenarios. Needs a build with CASTING_DEBUG, whose
-- `internal.starve` makes allocations fail (src/lua/lib/starve.c). A scenario
-- that hangs is for the caller's time limit; with CASTING_REPORT_ON_QUIT=1 in
-- the environment a SIGQUIT then shows what everything waits for.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local casting = require "casting"
local kit = require "kit"
local helper = require "helper"

local seed, scale = kit.arguments()
if not arg[2] then scale = scale / 10 end -- all is for ./dev check allocfail
local random = kit.generator(seed)
local starve = helper.internal().starve
local unpack = table.unpack or unpack -- luacheck: ignore
if not starve then
  print "allocfail: skipped, memory cannot be made to fail in this build"
  os.exit(0)
end

local LONG = 30 * (tonumber(os.getenv "CASTING_TIME_FACTOR") or 1)
local has_buffer, buffer = pcall(require, "buffer") -- examples/buffer.c

-- What is being done, for messages.
local what = "?"
local function check(ok, message, ...)
  if not ok then kit.violation("%s: " .. message, what, ...) end
end

-- The sessions and the supervisor that a scenario makes: they are closed after
-- it.
local sessions, supervisor = {}, nil
local function new(options)
  local s = casting.session(options)
  sessions[#sessions + 1] = s
  return s
end

-- And tasks of the main program that would go on for long.
local sleepers = {}
local function sleeper()
  local t = casting.spawn(casting.sleep, 100)
  sleepers[#sleepers + 1] = t
  return t
end

-- A join or await that may not take for ever; and it must not.
local function finish(ok, ...)
  if ok == nil and (...) == "timeout" then
    check(false, "a task did not end\n%s", casting.report())
  end
  return ok, ...
end
local function join(t) return finish(t:join(LONG)) end
local function await(t)
  local r = {n = 0}
  local function keep(...) r.n, r[1] = select("#", ...), nil
    for i = 1, r.n do r[i] = (select(i, ...)) end
  end
  keep(finish(t:join(LONG)))
  if not r[1] then error(r[2], 0) end
  return unpack(r, 2, r.n)
end

-- Receives from, or sends to, a task that may die of its failures; it comes
-- with its monitor.
local function get(ch, monitor)
  local r = {casting.select {ch, monitor}}
  if r[1] == 2 then error("the other one has ended", 0) end
  return unpack(r, 2, 4)
end
local function put(ch, monitor, ...)
  local i = casting.select {{ch, ...}, monitor}
  if i == 2 then error("the other one has ended", 0) end
end

-- -- scenarios ---------------------------------------------------------------

local scenarios, names = {}, {}
local function scenario(name, f)
  scenarios[name], names[#names + 1] = f, name
end

scenario("sessions", function()
  local s = new {name = "one", libs = {"string", "table"}}
  local t = s:spawn("return 1, 'two', ...", 3, ("x"):rep(100))
  local a, b, c, d = await(t)
  check(a == 1 and b == "two" and c == 3 and #d == 100, "wrong results")
  local plain = new()
  check(await(plain:spawn(function() return 5 end)) == 5, "wrong result")
  check(plain:name() and s:tasks() ~= nil and s:stats().name == "one", "stats")
  check(s:wait(LONG) and s:close(LONG), "it did not close")
end)

scenario("own threads", function()
  local s = new {thread = "own", init = function() here = 1 end} -- luacheck: ignore
  check(await(s:spawn("return here")) == 1, "no init")
  local ch = casting.channel()
  local t = s:spawn(function(ch) -- luacheck: ignore
    local sum = 0
    table.sort({2, 1}, function(a, b) sum = sum + ch:receive() return a < b end)
    return sum
  end, ch)
  local m = t:monitor()
  for _ = 1, 1 do put(ch, m, 1) end
  check(ch:close() and t:join(LONG) ~= nil, "it did not end")
  check(s:close(LONG), "it did not close")
end)

scenario("require", function()
  package.preload.allocfail = function() return {casting.now()} end
  package.loaded.allocfail = nil
  check(type(casting.require "allocfail") == "table", "no module")
  local a, b = new(), new {thread = "own"}
  local function load() return #require "casting".require "allocfail" end
  local t, u = a:spawn(load), b:spawn(load)
  check(await(t) == 1 and await(u) == 1, "wrong module")
  package.loaded.allocfail, package.preload.allocfail = nil, nil
end)

scenario("spawning", function()
  local s, sum = new(), 0
  local up = {1, {2}, "three"}
  local function f(n, ...) return n + up[2][1], select("#", ...) end
  for i = 1, 4 do
    local t = s:spawn(f, i, up, {}, "x")
    local n, count = await(t)
    check(n == i + 2 and count == 3, "wrong results")
    sum = sum + n
    check(t:status() == "done" and tostring(t) and t:name() ~= 0, "status")
  end
  check(sum == 18, "wrong sum")
  local t = s:spawn(function()
    local c = require "casting"
    local inner, list = {}, {}
    for i = 1, 3 do
      inner[i] = c.spawn(function(...) c.yield() return i, ... end, {i})
    end
    for i = 1, 3 do
      local n, kept = inner[i]:await()
      list[i] = n == i and kept[1] == i
    end
    return list
  end)
  local list = await(t)
  check(list[1] and list[2] and list[3] and #list == 3, "wrong list")
end)

scenario("main", function()
  local ch, got = casting.channel(), {}
  local t = casting.spawn(function(...)
    for v in ch do got[#got + 1] = v end
    return #got, ...
  end, "and more")
  for i = 1, 3 do ch:send {i} end
  ch:close()
  local n, more = await(t)
  check(n == 3 and more == "and more" and got[3][1] == 3, "wrong results")
  local naps = {}
  for i = 1, 3 do
    naps[i] = casting.spawn(function() casting.sleep(0.0001 * i) return i end)
  end
  for i = 1, 3 do check(await(naps[i]) == i, "a wrong sleeper") end
end)

-- All kinds of values, there and back.
local class = {}
class.__index = class
class.__save = function(v)
  return function(n)
    return setmetatable({n = n}, {__eq = false})
  end, v.n
end

scenario("values", function()
  local s, there, back = new(), casting.channel(), casting.channel(2)
  local t = s:spawn(function(there, back) -- luacheck: ignore
    for v, n in there do back:send(v, n) end
  end, there, back)
  local shared, deep, long = {}, {}, ("long "):rep(2000)
  for i = 1, 30 do deep = {deep, [i] = i, name = "n" .. i} end
  local monitor = t:monitor()
  local cycle = setmetatable({shared, shared},
    {__len = function() return 7 end})
  cycle[3] = cycle
  local function even(n) return n == 0 or not deep[n] end
  local values = {1, 1.5, -0.0, 1 / 0, "short", ("s"):rep(60), long, true,
    shared, deep, cycle, even, string.format, casting, there, s,
    casting.self() or t,
    setmetatable({n = 3}, class), {[{}] = {}, [1.5] = 2, [true] = long, long},
    function() return deep, cycle end}
  for i = 1, #values do
    put(there, monitor, values[i], i)
    local v, n = get(back, monitor)
    check(n == i or v == nil, "another value")
    check(v == nil or type(v) == type(values[i]), "another type")
    if v ~= nil and i == 11 then
      check(v[3] == v and v[1] == v[2], "sharing is lost")
    end
    if v ~= nil and type(v) ~= "table" and type(v) ~= "function" then
      check(v == values[i], "another value")
    end
  end
  there:close()
  await(t)
end)

-- Neither side is told of the other's trouble: what cannot be rebuilt raises,
-- and the channel goes on working.
scenario("queueing", function()
  local ch = casting.channel(math.huge)
  local sent = 0
  for i = 1, 6 do
    local ok = pcall(ch.send, ch, {i, ("x"):rep(i * 1000)}, i)
    if ok then sent = sent + 1 end
    check(#ch == sent, "a failed send left something, or a good one nothing")
  end
  for _ = 1, sent do
    local before = #ch
    local ok, v, n = pcall(ch.receive, ch, 0)
    check(#ch == before - 1, "a receive took %d", before - #ch)
    check(not ok or type(v) == "table" and v[1] == n and #v[2] == n * 1000,
      "a wrong message")
  end
  check(select(2, ch:try_receive()) == "empty", "something is left")
  ch:send "last"
  check(ch:receive() == "last", "the channel does not work any more")
end)

-- A list goes whole or not at all; what was received is right.
scenario("batches", function()
  local s, ch, out = new(), casting.channel(10), casting.channel(math.huge)
  local t = s:spawn(function(ch, out)
    for list in ch:batches(5) do assert(out:send_all(list)) end
    out:close()
  end, ch, out)
  local monitor = t:monitor()
  local list = {1, "two", {3}, 4, 5, ("6"):rep(100), 7}
  check(ch:send_all(list), "not sent")
  ch:close()
  check(casting.select {monitor, timeout = LONG} == 1, "it hangs")
  await(t)
  local n = 0
  for got in out:batches(4) do
    for _, v in ipairs(got) do
      n = n + 1
      check(type(v) == type(list[n]) and (n == 3 or v == list[n]), "wrong")
    end
  end
  check(n == #list, "lost")
end)

scenario("packing", function()
  local s, chans, tasks = new(), {}, {}
  local m = casting.pack({1, {2}, ("p"):rep(5000)}, "more")
  for i = 1, 3 do
    chans[i] = casting.channel(i - 1)
    tasks[i] = s:spawn(function(ch)
      local v, more = ch:receive()
      return v[2][1], #v[3], more
    end, chans[i])
  end
  for i = 1, 3 do put(chans[i], tasks[i]:monitor(), m) end
  for i = 1, 3 do
    local a, b, c = await(tasks[i])
    check(a == 2 and b == 5000 and c == "more", "wrong results")
  end
  check(casting.transferable {1, m}, "not transferable")
  local co = coroutine.create(function() end)
  check(not casting.transferable(co), "transferable")
end)

scenario("functions again", function()
  local s, there, back = new(), casting.channel(), casting.channel()
  local t = s:spawn(function(there, back) -- luacheck: ignore
    for f, n in there do back:send(f(n)) end
  end, there, back)
  local monitor = t:monitor()
  for i = 1, 4 do
    local add = i
    put(there, monitor, function(n) return n + add end, i)
    check(get(back, monitor) == 2 * i, "a wrong sum")
  end
  there:close()
  await(t)
end)

scenario("select", function()
  local s, a, b, c = new(), casting.channel(), casting.channel(1),
    casting.channel()
  local t = s:spawn(function(a, b, c) -- luacheck: ignore
    local casting, seen = require "casting", 0 -- luacheck: ignore
    while true do
      local i, v = casting.select {a, b, {c, {"out"}}, timeout = 20}
      if v == nil then return seen end
      if i < 3 then seen = seen + 1 end
    end
  end, a, b, c)
  local monitor = t:monitor()
  for i = 1, 3 do
    put(a, monitor, i)
    put(b, monitor, {i})
    check(get(c, monitor)[1] == "out", "a wrong value")
  end
  check(casting.select {c, timeout = 0} ~= 2, "a wrong case")
  local i, why = casting.select {casting.channel(), false, timeout = 0.0001}
  check(i == nil and why == "timeout", "no timeout")
  a:close()
  check(await(t) >= 3, "something was not seen")
end)

scenario("timers", function()
  local s = new()
  check(casting.after(0.0001):receive(), "no tick")
  local every, n = casting.every(0.0001), 0
  for _ in every do
    n = n + 1
    if n == 3 then every:close() end
  end
  check(n >= 3, "wrong ticks")
  check(select(2, casting.channel():receive(0.0001)) == "timeout", "no timeout")
  local t = s:spawn(function()
    local c = require "casting"
    c.sleep(0.0001)
    local ok, why = c.with_timeout(0.0005, function()
      c.channel():receive()
    end)
    return ok, why,
      c.with_timeout(20, c.shield, function(...) return ... end, 5)
  end)
  local a, why, ok, five = await(t)
  check(a == nil and why == "timeout" and ok and five == 5, "wrong results")
end)

scenario("guards", function()
  local ok, a, b = casting.with_timeout(20, function(...)
    return casting.shield(function(...) casting.yield() return ... end, ...)
  end, 1, {2})
  check(ok and a == 1 and b[1] == 2, "wrong results")
  local bad, why = casting.with_timeout(0.0005, function()
    while true do casting.yield() end
  end)
  check(bad == nil and why == "timeout", "no timeout")
end)

scenario("cancelling", function()
  local s, ch = new(), casting.channel()
  local tasks = {}
  for i = 1, 3 do
    tasks[i] = s:spawn(function(ch) -- luacheck: ignore
      local c = require "casting"
      local ok, e = pcall(ch.receive, ch)
      c.shield(c.sleep, 0.0001)
      if not ok then error(e, 0) end
      return "closed"
    end, ch)
  end
  for i = 1, 3 do tasks[i]:cancel(i == 1 and "no more" or nil) end
  for i = 1, 3 do
    local ok, e = join(tasks[i])
    check(not ok, "it was not cancelled")
    -- The reason is dropped when there is no memory for it.
    check(i > 1 or not casting.is_cancelled(e) or e.reason == nil or
      e.reason == "no more", "another reason")
  end
  local t = sleeper()
  t:cancel()
  check(not join(t), "it was not cancelled")
end)

-- Modules that wait while they are loaded; those who require them wait, too.
local function load_twice()
  local c = require "casting"
  package.loaded.slow = nil
  function package.preload.slow()
    c.yield()
    c.sleep(0.0001)
    c.run(function() c.session():close() end)
    return {}
  end
  local a, b = c.spawn(require, "slow"), c.spawn(require, "slow")
  local ok1, x = a:join()
  local ok2, y = b:join()
  if not ok1 then error(x, 0) end
  if not ok2 then error(y, 0) end
  return x == y
end

scenario("loading", function()
  local s = new()
  check(await(s:spawn(load_twice)), "loaded twice")
  check(load_twice(), "loaded twice")
  local init = new {init = function()
    require "casting".sleep(0.0001)
    rawset(_G, "x", 5)
  end}
  check(await(init:spawn "return x") == 5, "no init")
  local ok, why = casting.with_timeout(0.0001, casting.session,
    {init = function() require "casting".sleep(100) end})
  check(ok == nil and why == "timeout", "no timeout")
end)

-- An endless loop that catches all there is, memory errors among it.
scenario("loops", function()
  local s, ch = new(), casting.channel(1)
  local t = s:spawn(function(ch) -- luacheck: ignore
    local c = require "casting"
    ch:send(1)
    while true do pcall(c.yield) end
  end, ch)
  get(ch, t:monitor())
  t:cancel()
  check(not join(t), "it was not cancelled")
end)

scenario("scopes", function()
  local s = new()
  local t1, t2
  local list = {casting.scope(function(scope)
    t1 = scope:spawn(function(n) casting.yield() return n end, 1)
    t2 = scope:spawn_in(s, function(n) return {n} end, 2)
    return casting.all {t1, t2}
  end)}
  check(list[1] == 1 and list[2][1] == 2, "wrong results")
  local ok, e = pcall(casting.scope, function(scope)
    scope:spawn(casting.sleep, 100)
    scope:spawn(error, "on purpose")
  end)
  check(not ok and e ~= nil, "no error came")
  local winner = casting.race {
    function() casting.sleep(100) end,
    function() return "fast" end,
  }
  check(winner ~= nil, "nobody has won")
end)

scenario("map", function()
  local squares = casting.map({1, 2, 3, 4, 5}, function(n) return n * n end,
    {sessions = 2})
  for i = 1, 5 do check(squares[i] == i * i, "a wrong square") end
end)

scenario("streams", function()
  local source = {at = 0}
  local sum = casting.stream(function()
    source.at = source.at + 1
    if source.at <= 20 then return source.at end
  end):map(function(x) return {x} end, {sessions = {new()}, tasks = 2})
    :filter(function(t) return t[1] % 2 == 0 end):batch(3)
    :map(function(list) return #list end, {sessions = 0, ordered = false})
    :fold(function(sum, n) return sum + n end, 0)
  check(sum == 10, "a wrong sum: %s", sum)
end)

scenario("monitors", function()
  local s, ch = new(), casting.channel(1)
  local function take(from) return from:receive() end
  local a, b = s:spawn(take, ch), s:spawn(take, casting.channel())
  local first = a:monitor()
  a:link(b)
  ch:send "x"
  local task = first:receive(LONG)
  check(task ~= nil, "the monitor is silent")
  local second = a:monitor()
  check(second:receive(LONG) ~= nil, "the late monitor is silent")
  b:cancel()
  check(not join(b), "it was not cancelled")
  local l, r = s:spawn(take, casting.channel()), sleeper()
  l:link(r)
  l:cancel "the end"
  check(not join(l) and not join(r), "a link did not hold")
end)

scenario("supervisors", function()
  local told = casting.channel(math.huge)
  supervisor = casting.supervisor {strategy = "rest_for_one", intensity = 5,
    children = {
      {id = "a", start = function(told) told:send "a" -- luacheck: ignore
        require "casting".sleep(100) end, args = {told}},
      {id = "b", restart = "transient", args = {told},
        start = function(told) -- luacheck: ignore
          told:send "b"
          if #told < 4 then error("on purpose", 0) end
        end},
    }}
  local monitor = supervisor.task:monitor()
  for _ = 1, 3 do get(told, monitor) end
  supervisor:which_children()
  check(supervisor:stop(LONG) ~= nil, "it did not stop")
end)

-- In a task: what the main program holds would stay when it has failed.
local function in_task(f)
  return function() await(casting.spawn(f)) end
end

scenario("semaphores", in_task(function()
  local s, semaphore = new(), casting.semaphore(3)
  local function use(semaphore, n) -- luacheck: ignore
    local permit = semaphore:acquire(n)
    require "casting".yield()
    return permit:release()
  end
  local mine = semaphore:acquire(2)
  local a, b = s:spawn(use, semaphore, 2), casting.spawn(use, semaphore, 3)
  check(semaphore:acquire(3, 0.0001) == nil, "too many places")
  check(mine:release(), "it was not held")
  check(await(a) and await(b), "not released")
  check(semaphore:with(function() return semaphore:available() end) == 2,
    "wrong number of places")
  local dies = s:spawn(function(semaphore) -- luacheck: ignore
    semaphore:acquire(3)
    error("on purpose", 0)
  end, semaphore)
  check(not join(dies), "no error")
  check(semaphore:available() == 3, "places were lost")
end))

-- What a task holds that has failed for want of memory is free again.
scenario("permits that end with their tasks", function()
  local semaphore = casting.semaphore(3) -- each task wants two
  local s = new()
  local function many(semaphore) -- luacheck: ignore
    local list = {}
    for i = 1, 10 do
      list[i] = assert(semaphore:acquire())
      if i % 2 == 0 then
        list[i]:release()
        list[i - 1]:release()
      end
    end
  end
  local ok = pcall(function()
    local a, b = s:spawn(many, semaphore), casting.spawn(many, semaphore)
    local x, y = a:join(LONG), b:join(LONG)
    check(x ~= nil and y ~= nil, "a task waits for ever")
  end)
  s:close(LONG)
  if ok then check(semaphore:available() == 3, "places were lost") end
end)

scenario("limiters", function()
  local limiter = casting.limiter {rate = 1e5, burst = 3}
  local s = new()
  local t = s:spawn(function(limiter) -- luacheck: ignore
    for _ = 1, 3 do limiter:take(2) end
    return true
  end, limiter)
  check(limiter:take() and limiter:take(3, LONG), "no tokens")
  check(await(t), "no tokens in a session")
end)

scenario("broadcasts", function()
  local b, s = casting.broadcast(), new()
  local one = b:subscribe {capacity = 2}
  local t = s:spawn(function(b) -- luacheck: ignore
    local ch = b:subscribe {capacity = 1, slow = "close"}
    b:publish {1}
    b:publish("two", ("x"):rep(100))
    return ch:receive()[1], ch:receive()
  end, b)
  local n, gone = await(t)
  check(n == 1 and gone == nil, "wrong values")
  check(one:receive()[1] == 1 and one:receive() == "two", "wrong messages")
  check(b:close() and one:receive() == nil, "it was not closed")
end)

-- The key is one for all runs, since what once has kept stays.
scenario("once, retry and pools", in_task(function()
  local key, n = "allocfail", 0
  local function f() n = n + 1 return {n} end
  local first = casting.once(key, f)[1]
  check(casting.once(key, f)[1] == first, "it was called again")
  local tries = 0
  local result = casting.retry {times = 5, backoff = 0} (function()
    tries = tries + 1
    if tries < 3 then return nil, "no" end
    return tries
  end)
  check(result >= 3, "too early")
  local live = 0
  local pool = casting.pool {size = 2,
    make = function()
      local item = {}
      live = live + 1
      return item
    end,
    close = function() live = live - 1 end}
  local ok, e = pcall(function()
    local lease = pool:take()
    pool:with(function(item) check(item ~= lease.item, "lent twice") end)
    lease:release()
  end)
  pool:close()
  if not ok then error(e, 0) end
  check(live == 0 and pool:stats().used == 0, "it was not closed")
end))

-- A call may be told that the service is gone: that has then run out of memory.
scenario("services", function()
  local service = casting.service({
    echo = function(_, ...) return ... end,
    fail = function(_, e) error(e, 0) end,
  }, {session = new(), concurrent = 2, cancel = true, name = "allocfail"})
  local function ask(...)
    local ok, v = service:within(LONG):call("echo", ...)
    check(ok or v == "gone", "a call had no answer: %s", tostring(v))
    if not ok then error("it is gone", 0) end
    return v
  end
  check(ask(5) == 5, "a wrong number")
  check(ask(("x"):rep(5000)):len() == 5000, "a wrong text")
  check(ask({1, {2}})[2][1] == 2, "a wrong table")
  local ok, e = pcall(service.fail, "on purpose")
  if ok or e ~= "on purpose" then error(e, 0) end
  service:cast("echo", {})
  check(service.echo(6) == 6, "a wrong number")
  local found = casting.named_service "allocfail"
  check(not found or found == service, "another one was found")
  check(service:stop(LONG) ~= nil, "it did not stop")
end)

scenario("budgets", function()
  local s = new {memory = 1e6, tasks = 3, cpu = 10}
  local ok = join(s:spawn("local t = {} while true do t[#t + 1] = {#t} end"))
  check(not ok, "no limit")
  check(await(s:spawn("return 1")) == 1, "a wrong result")
  local ch, tasks = casting.channel(), {}
  for i = 1, 3 do
    tasks[i] = s:spawn("return (...):receive()", ch)
  end
  check(not pcall(s.spawn, s, "return 1"), "no limit of tasks")
  local stats = s:stats()
  check(stats.memory > 0 and stats.tasks_max == 3, "wrong stats")
  ch:close()
  for i = 1, 3 do join(tasks[i]) end
end)

scenario("failures", function()
  local s = new()
  local t = s:spawn(function()
    local function deep(n)
      if n > 0 then return 1 + deep(n - 1) end
      error {n}
    end
    deep(5)
  end)
  check(not join(t), "it did not fail")
  check(t:status() ~= "done" and (t:traceback() or true), "a wrong status")
  s:spawn(error, "alone")
  check(s:wait(LONG), "it has not ended")
  collectgarbage()
  local ch = casting.channel()
  local w = s:spawn(function(ch) ch:receive() end, ch) -- luacheck: ignore
  local report = casting.report()
  check(type(report) == "string", "no report")
  check(w:traceback() or w:status(), "no stack")
  ch:close()
  join(w)
end)

scenario("deadlocks", function()
  local s, ch = new(), casting.channel()
  local t = s:spawn(function(ch) ch:receive() end, ch) -- luacheck: ignore
  local ok, e = pcall(casting.select, {ch, t:monitor()})
  if ok then error("the other one has ended", 0) end
  check(e ~= nil, "no deadlock was found")
  t:cancel()
  join(t)
end)

scenario("handles", function()
  local s, ch = new(), casting.channel(4)
  local t = s:spawn(function(ch, s) -- luacheck: ignore
    local casting = require "casting" -- luacheck: ignore
    local self = casting.self()
    local mine = casting.channel(1)
    ch:send({mine, self, s, {self:session()}})
    return mine:receive()
  end, ch, s)
  local list = get(ch, t:monitor())
  check(list[3] == s and list[4][1] == s and list[2] == t, "other handles")
  list[1]:send {ch, t, s}
  local back = await(t)
  check(back[1] == ch and back[2] == t and back[3] == s, "other handles")
  -- What is in a channel and holds it would stay for ever.
  for _, v in ipairs {ch, {ch, {ch}}} do
    if pcall(ch.send, ch, v) then
      local ok, got = pcall(ch.receive, ch)
      check(not ok or got == ch or got[2][1] == ch, "another channel")
    end
  end
  local name = "allocfail"
  local named = casting.named(name, 1)
  check(casting.named(name) == named, "another channel")
  named:close()
end)

scenario("in place", function()
  local s, ch = new(), casting.channel()
  local t = s:spawn(function(ch) -- luacheck: ignore
    local list = {3, 1, 2}
    table.sort(list, function(a, b) ch:receive() return a < b end)
    local n = 0
    coroutine.wrap(function() for v in ch do n = n + v end end)()
    return list[1] + n
  end, ch)
  local monitor = t:monitor()
  local feeder = casting.spawn(function()
    for _ = 1, 12 do put(ch, monitor, 1) end
    ch:close()
  end)
  await(feeder)
  check(await(t) > 1, "a wrong result")
end)

scenario("resolving", function()
  local function resolve()
    return require "casting".net.resolve("localhost", {timeout = LONG})
  end
  local t = new():spawn(resolve)
  for _ = 1, 2 do
    local list, why = resolve()
    check(list and list[1] or why == "not enough memory", "%s", tostring(why))
  end
  local list, why = await(t)
  check(list and list[1] or why == "not enough memory", "%s", tostring(why))
end)

-- Sockets for datagrams. What cannot be handed out is there the next time.
scenario("datagrams", function()
  local net = casting.net
  local open = {}
  local function udp(...)
    local s, why = net.udp(...)
    check(s, "no socket: %s", tostring(why))
    open[#open + 1] = s
    return s
  end
  local function body()
    local a = udp("127.0.0.1", 0, {ttl = 5})
    local host, port = a:name()
    local b, long = udp(), ("d"):rep(9000)
    check(b:connect(host, port) and b:send(long), "not sent")
    local ok, got = pcall(a.receive, a, LONG)
    if not ok then got = a:receive(LONG) end
    check(got == long, "another datagram")
    local t = casting.spawn(function() return #a:receive() end)
    local u = casting.spawn(function() return #a:receive() end)
    casting.yield()
    b:send(long)
    b:send "x"
    ok = join(t) and join(u)
    if ok then
      check(select(2, a:receive(0)) == "timeout", "one too many")
    end
    local s = new()
    local v = s:spawn(function(a) -- luacheck: ignore
      return (a:receive())
    end, a)
    b:send "there"
    join(v)
    b:send "anybody?"
  end
  local ok, e = pcall(body)
  for i = 1, #open do pcall(open[i].close, open[i]) end
  if not ok then error(e, 0) end
end)

-- The queue of such a socket is short, so that sending waits.
scenario("full queues", function()
  local path = os.tmpname()
  os.remove(path)
  local name = "unix:" .. path
  local a, b = casting.net.udp(name), nil
  local ok, e = pcall(function()
    b = casting.net.udp(nil, nil, {family = "unix"})
    local n = 0
    while b:send("x", name, nil, 0) do n = n + 1 end
    local t = casting.spawn(function() return b:send("last", name) end)
    casting.yield()
    for _ = 1, n do check(a:receive(LONG) == "x", "another datagram") end
    if join(t) then check(a:receive(LONG) == "last", "another datagram") end
  end)
  if a then a:close() end
  if b then b:close() end
  local left = io.open(path)
  check(left == nil, "the file is there")
  if not ok then error(e, 0) end
end)

-- A select over channels and descriptors that fails leaves all of them, and
-- what it would have sent.
scenario("selecting sockets", function()
  local net, select = casting.net, casting.select
  local a, b = net.pair()
  local c, d = net.pair()
  check(a and c, "no pair")
  local ok, e = pcall(function()
    local ch, fd = casting.channel(), a:fd()
    local t = casting.spawn(function()
      return select {ch, a, {net.wait, fd, "r"}, {ch, c, {1}}}
    end)
    local u = casting.spawn(function() return net.wait(fd, "r", LONG) end)
    casting.yield()
    check(b:write "x", "not written")
    local done, i = join(t)
    check(not done or i == 2 or i == 3, "case %s", tostring(i))
    done, i = join(u)
    check(not done or i == true, "the wait has ended with %s", tostring(i))
    check(select {a, timeout = 0} == 1, "nothing can be read")
    check(a:read(1) == "x", "another byte")
    check(c:write "y" and d:read(1) == "y", "a stream was lost")
    check(select {a, {net.wait, fd, "r"}, timeout = 0} == nil, "not empty")
    local s = new()
    t = s:spawn(function(a, ch) -- luacheck: ignore
      return (require "casting".select {ch, a})
    end, a, ch)
    b:write "z"
    done, i = join(t)
    check(not done or i == 2, "case %s", tostring(i))
  end)
  for _, s in ipairs {a, b, c, d} do pcall(s.close, s) end
  if not ok then error(e, 0) end
end)

if has_buffer then
  scenario("moving", function()
    local s, ch = new(), casting.channel(1)
    local b = buffer.new(100)
    b:set(1, 42)
    local ok = pcall(ch.send, ch, {b, b})
    if ok then
      check(not pcall(b.get, b, 1), "it is still here")
      local list = ch:receive()
      check(list[1]:get(1) == 42 and list[1] == list[2], "it has not come")
      b = list[1]
    else
      check(b:get(1) == 42, "a failed send has lost it")
    end
    local t = s:spawn(function(b) return b:get(1), b end, b) -- luacheck: ignore
    local n, back = await(t)
    check(n == 42 and back:get(1) == 42, "wrong results")
    ch:send(back)
    ch:close()
  end)
end

local netkit = require "netkit"
local net = netkit.net

-- f(...), and then finally() however f has ended.
local function ensure(finally, f, ...)
  local ok, e = pcall(f, ...)
  finally()
  if not ok then error(e, 0) end
end

-- What a stream has read stays to be read, and what is written arrives whole
-- and in order, or the end comes.
scenario("streams", function()
  local a, b = net.pair()
  local n, long = 12, ("s"):rep(3000)
  local writer = casting.spawn(function()
    for i = 1, n do
      repeat
        local ok, done = pcall(b.write, b, {i, " ", {long}, "\n"})
        if ok and not done then return end -- shut
      until ok
    end
    b:close()
  end)
  ensure(function() a:close() end, function()
    local at = 0
    while true do
      local ok, line, why = pcall(a.read, a, "l", LONG)
      if ok and not line then
        check(why == "closed", "read: %s", tostring(why))
        break
      elseif ok then
        at = at + 1
        check(line == at .. " " .. long, "a wrong line")
      end
    end
  end)
  join(writer)
  b:close()
end)

scenario("listeners", function()
  local listener = assert(net.listen("127.0.0.1", 0))
  local _, port = listener:name()
  local s, near = new(), nil
  local function dial()
    while true do
      local ok, c = pcall(net.socket, "127.0.0.1", port)
      if ok and c then
        local done, connected = pcall(net.connect, c, "127.0.0.1", port)
        if done and connected then return c end
      end
    end
  end
  -- A connection that was accepted without memory for it comes again; one whose
  -- connect has failed may come, too, and ends at once.
  local function serve(l) -- luacheck: ignore
    while true do
      local ok, stream, why = pcall(l.accept, l, 100)
      if ok and not stream then return why end
      if ok then
        local line
        repeat ok, line = pcall(stream.read, stream, "l", 100) until ok
        if line then return line end
      end
    end
  end
  ensure(function() listener:close() end, function()
    local far = s:spawn(serve, listener)
    near = casting.spawn(serve, listener)
    local clients = {}
    for i = 1, 2 do
      clients[i] = dial()
      repeat local ok = pcall(clients[i].write, clients[i], "hello\n") until ok
    end
    local done, one = join(far)
    check(not done or one == "hello", "wrong bytes: %s", tostring(one))
    done, one = join(near)
    check(not done or one == "hello", "wrong bytes: %s", tostring(one))
  end)
end)

scenario("moving streams", function()
  local s, ch = new(), casting.channel(1)
  s:spawn(netkit.prepare):join(LONG)
  local a, b = net.pair()
  b:write "zero\none\n"
  local function line()
    while true do
      local ok, text = pcall(a.read, a, "l", LONG)
      if ok then return text end
    end
  end
  check(line() == "zero", "wrong bytes")
  local t = s:spawn(function(ch) -- luacheck: ignore
    local stream = ch:receive()
    return stream:read "l"
  end, ch)
  if pcall(put, ch, t:monitor(), a) then
    local ok, text = join(t)
    check(not ok or text == "one", "wrong bytes")
  else
    check(line() == "one", "a failed send has lost it")
  end
  ch:close()
  b:close()
end)

-- -- the run -----------------------------------------------------------------

local failures = casting.channel(math.huge)
casting.on_error(failures) -- what tasks fail with is no concern here

-- A server and its clients. A connection that could not be served is closed.
local function serving(options)
  local net = require "casting.net"
  local listener = assert(net.listen("127.0.0.1", 0))
  local function echo(stream)
    for line in stream:lines() do stream:write(line .. "\n") end
  end
  local serve, close = listener.serve, listener.close
  local server = casting.spawn(function()
    local ok, e = pcall(serve, listener, echo, options)
    close(listener)
    if not ok then error(e, 0) end
  end)
  local streams = {}
  local ok, e = pcall(function()
    local monitor = server:monitor()
    for i = 1, 2 do
      local stream = net.connect("127.0.0.1", select(2, listener:name()),
        {timeout = LONG})
      if stream then
        streams[#streams + 1] = stream
        stream:write(i .. "\n")
        local which = casting.select {stream, monitor, timeout = LONG}
        check(which, "no answer\n%s", casting.report())
        if which ~= 1 then return end -- the server has not even begun
        local line = stream:read("l", LONG)
        check(line == nil or line == tostring(i), "a wrong answer")
      end
    end
  end)
  for i = 1, #streams do streams[i]:close() end
  if not ok then collectgarbage() end -- one may be in nobody's hands
  listener:close()
  join(server)
  if not ok then error(e, 0) end
end
scenario("servers", function() serving {limit = 2, grace = LONG} end)
scenario("servers in sessions", function() serving {sessions = 1} end)

-- Addresses that race: the first does not answer.
scenario("races", function()
  local net, sockets = require "casting.net", helper.internal().sockets
  local listener = assert(net.listen("127.0.0.1", 0))
  local resolve = sockets.resolve
  sockets.resolve = function() return {"127.0.0.9", "127.0.0.1"} end
  local ok, e = pcall(function()
    local stream = net.connect("here", select(2, listener:name()),
      {timeout = LONG})
    if stream then stream:close() end
  end)
  sockets.resolve = resolve
  listener:close()
  if not ok then error(e, 0) end
end)

-- The core of LuaSocket: what was sent comes whole, or a call fails.
local function with_luasocket(long)
  require("casting.socket").install()
  local socket = require "socket.core"
  local function check(ok, ...) -- luacheck: ignore
    if not ok then error("luasocket: " .. string.format(...)) end
  end
  local server, client = socket.tcp4(), socket.tcp()
  if not (server and client and server:bind("127.0.0.1", 0) and
      server:listen()) then return end
  local _, port = server:getsockname()
  client:settimeout(long)
  local peer = port and client:connect("127.0.0.1", port) and server:accept()
  if not peer then return end
  peer:settimeout(long)
  peer:settimeout(long, "t")
  local text = ("x"):rep(70000)
  if client:send("one\r\n") and client:send("23" .. text) then
    client:close()
    local line, why = peer:receive()
    check(line == nil or line == "one", "a wrong line: %s", tostring(line))
    check(line or why ~= "timeout", "no line")
    local two = line and peer:receive(2)
    check(two == nil or two == "23", "wrong bytes: %s", tostring(two))
    local rest = two and peer:receive("*a", "4")
    check(rest == nil or rest == "4" .. text, "a wrong rest")
  end
  local a, b = socket.udp4(), socket.udp4()
  if a and b and a:setsockname("127.0.0.1", 0) then
    _, port = a:getsockname()
    if port and b:sendto("datagram", "127.0.0.1", port) and
        socket.select({a}, {b}, long)[1] == a then
      local data = a:receivefrom()
      check(data == nil or data == "datagram", "a wrong datagram")
    end
    a:close()
    b:close()
  end
  peer:close()
  server:close()
end
local function try_luasocket(f, ...)
  local ok, e = pcall(f, ...)
  check(ok or not tostring(e):find "luasocket: ", "%s", tostring(e))
  if not ok then error(e, 0) end
end
scenario("luasocket", function() try_luasocket(with_luasocket, LONG) end)
scenario("luasocket in a session", function()
  try_luasocket(function() await(new():spawn(with_luasocket, LONG)) end)
end)

-- What is not copied is still there.
scenario("copies", function()
  local net = require "casting.net"
  local a, b = net.pair()
  local c, d = net.pair()
  local text = ("0123456789"):rep(1000)
  check(a:write(text) and a:shutdown(), "not written")
  local t = casting.spawn(function() return b:copy(c) end)
  local ok, n = join(t)
  check(not ok or n == #text, "not all was copied")
  c:close()
  local got = d:read "a"
  if got then
    local rest = b:read "a"
    check(not rest or got .. rest == text, "bytes are lost")
  end
  for _, stream in ipairs {a, b, d} do stream:close() end
end)

-- Files, and a directory of them, which is left empty.
local place = casting.fs.tempdir()
local function with_files(place) -- luacheck: ignore
  local fs, seen = require "casting.fs", 0
  local function check(ok, ...) -- luacheck: ignore
    if not ok then error("files: " .. string.format(...)) end
  end
  check(fs.write(place .. "/a", {"1\n2\n", ("3"):rep(5000), "\n4"}), "a")
  check(fs.write(place .. "/b", ("x"):rep(70000), {atomic = true}), "b")
  local text = fs.read(place .. "/b")
  check(text and #text == 70000, "not what was written")
  local file = assert(fs.open(place .. "/a"))
  for line in file:lines() do
    seen = seen + 1
    check(line:sub(1, 1) == tostring(seen), "line %d: %s", seen, line)
  end
  check(seen == 4 and file:seek("set", 0) == 0, "%d lines", seen)
  check(#file:read "a" == 5006 and file:read(3, 1), "not all")
  file:close()
  local temp, path = fs.temp {dir = place}
  check(temp:write "abc" and temp:read(2, 1) == "bc", "a temporary file")
  temp:close()
  check(fs.rename(path, place .. "/c"), "rename")
  check(fs.mkdir(place .. "/d/e", {parents = true}), "mkdir")
  local names, types = fs.list(place)
  check(table.concat(names, " ") == "a b c d" and types.d == "directory",
    "names")
  local n = 0
  for _ in fs.walk(place) do n = n + 1 end
  check(n == 6, "%d things", n)
end
local function try_files(f, ...)
  local ok, e = pcall(f, ...)
  repeat -- as soon as there is memory again
    local done = pcall(function()
      for _, name in ipairs((casting.fs.list(place))) do
        assert(casting.fs.remove(place .. "/" .. name, {tree = true}))
      end
    end)
  until done
  check(ok or not tostring(e):find "files: ", "%s", tostring(e))
  if not ok then error(e, 0) end
end
scenario("files", function() try_files(with_files, place) end)
scenario("files in a session", function()
  try_files(function() await(new():spawn(with_files, place)) end)
end)

-- Programs: what was run to its end is whole, whatever ends early is ended, and
-- those that are given away end with their pipes.
local process = casting.process
local function children()
  local _, out = process.run {"sh", "-c",
    "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') . '$PPID' '"}
  return tonumber(out) - 1 -- the shell
end
local function with_programs()
  local process = require "casting.process" -- luacheck: ignore
  local function check(ok, ...) -- luacheck: ignore
    if not ok then error("programs: " .. string.format(...)) end
  end
  local text = ("x"):rep(70000)
  local code, out, err = process.run {"cat", input = {text, "y"}}
  check(code == nil or code == 0 and out == text .. "y" and err == "",
    "run: %s", tostring(code))
  code, out = process.run {"sleep", "100", timeout = 0.001, grace = 0}
  check(code == nil, "not ended: %s", tostring(out))
  local first = process.spawn {"cat", stdin = "pipe", stdout = "pipe"}
  local second = first and process.spawn {"cat", stdin = first.stdout,
    stdout = "pipe", stderr = "null", env = {A = "b"}, group = true}
  if second then
    first.stdin:write "one\n"
    local line = second.stdout:read "l"
    check(line == nil or line == "one", "wrong bytes")
    second:kill "KILL"
    local how, number = second:wait()
    check(how == nil or how == "signal" and number == 9, "%s", tostring(how))
    first.stdin:close()
    casting.select {first}
  end
end
local function try_programs(f, ...)
  local ok, e = pcall(f, ...)
  check(ok or not tostring(e):find "programs: ", "%s", tostring(e))
  if not ok then error(e, 0) end
end
scenario("programs", function() try_programs(with_programs) end)
scenario("programs in a session", function()
  try_programs(function() await(new():spawn(with_programs)) end)
end)

-- A signal that comes while there is a channel for it is told.
scenario("signals", function()
  local signals = process.signals("USR1", "USR2")
  local code = process.run {"sh", "-c", "kill -USR1 $PPID"}
  local ok, e = pcall(function()
    if signals and code == 0 then
      check(signals:receive() == "USR1", "another signal")
    end
  end)
  if signals then signals:close() end
  if not ok then error(e, 0) end
end)

-- A watch: each file that is made is told of, or that events were lost.
local function with_watch(place) -- luacheck: ignore
  local fs = require "casting.fs"
  local function check(ok, ...) -- luacheck: ignore
    if not ok then error("files: " .. string.format(...)) end
  end
  local watch = fs.watch(place, {tree = true})
  if not watch then return end
  local made, last = {}, place .. "/d/2"
  local ok, e = pcall(function()
    for i = 1, 2 do
      if i == 2 then fs.mkdir(place .. "/d") end
      local dir = i == 1 and place or place .. "/d"
      if fs.write(("%s/%d"):format(dir, i), "x") then made[i] = true end
    end
    fs.rename(place .. "/1", place .. "/3")
    watch:add(place .. "/3")
  end)
  while ok and made[2] do
    local event
    ok, event = pcall(watch.next, watch, 20)
    if not ok then e = event end
    check(not ok or event, "nothing is told of %s", last)
    if not ok or event.kind == "overflow" or event.kind == "failed" or
      event.path == last then break end
  end
  pcall(watch.drop, watch, place .. "/3")
  repeat until pcall(watch.close, watch)
  if not ok then error(e, 0) end
end
scenario("watches", function() try_files(with_watch, place) end)
scenario("watches in a session", function()
  try_files(function() await(new():spawn(with_watch, place)) end)
end)

-- Nothing of the scenario is left, but what the runtime keeps for later.
local function clean_up()
  if supervisor then
    check(supervisor:stop(LONG) ~= nil, "it did not stop\n%s",
      casting.report())
    supervisor = nil
  end
  for i = 1, #sleepers do
    sleepers[i]:cancel()
    sleepers[i] = nil
  end
  for i = 1, #sessions do
    check(sessions[i]:close(LONG), "a session did not close\n%s",
      casting.report())
    sessions[i] = nil
  end
  collectgarbage()
  while failures:try_receive() do end -- luacheck: ignore
  collectgarbage()
end

local function live()
  local _, blocks, lost = starve()
  return blocks, lost
end

-- The scenario with a failure at the n-th allocation; false: so many there are
-- not.
local function attempt(name, n, many)
  what = ("%s, failing at %d + %d"):format(name, n, many)
  starve(n, many)
  local ok, e = pcall(scenarios[name])
  local failed = starve()
  starve(0)
  clean_up()
  check(ok or failed, "an error without a failure: %s", tostring(e))
  return failed
end

-- Sessions that nobody has any more close by themselves, soon; there is no
-- event for that. True: no more than so many blocks are left.
local function settle(most)
  local deadline = casting.now() + LONG / 10
  while live() > most and casting.now() < deadline do casting.sleep(0.001) end
  return live() <= most
end

-- What is kept for later use grows to some bound; a leak goes on, with one more
-- each time. So only what exceeds all that was there before is looked into.
-- Where Lua has no memory to call a finalizer, what that was for is lost, and
-- nobody else knows of it: such runs are not judged.
local peak, unjudged = 0, 0
local function sound(name, n, many)
  local before, lost
  for round = 1, 2 do
    before, lost = live()
    for _ = 1, 60 do attempt(name, n, many) end
    if settle(before + 40) then break end
    if select(2, live()) > lost then
      unjudged = unjudged + 1
      break
    end
    check(round == 1, "%d blocks are left by 60 runs", live() - before)
  end
  peak = math.max(peak, live())
end

-- These go on for as long as it takes, with an error in each turn, or until
-- their memory is used up.
local most = {loops = 600, budgets = 900}

local function run(name, many)
  local n, times = 0, 0
  attempt(name, 0, 1) -- what is made once, is now
  repeat
    n = n + (scale >= 1 and 1 or random(math.floor(2 / scale)))
    local failed = attempt(name, n, many)
    if failed and live() > peak then sound(name, n, many) end
    times = times + 1
  until not failed or n > (most[name] or n)
  return times, n
end

-- The library that opens files has the process's, too.
local function standard_files()
  local open = {}
  for i = 0, 2 do
    local done = os.execute(("test -e /proc/$PPID/fd/%d"):format(i))
    open[i + 1] = tostring(done == true or done == 0)
  end
  return table.concat(open, " ")
end

local chosen, total, files = {}, 0, standard_files()
for i = 3, #arg do chosen[i - 2] = arg[i] end
if #chosen == 0 then chosen = names end
for _, name in ipairs(chosen) do
  check(scenarios[name], "there is no scenario %s", name)
  for _, many in ipairs {1, 2, 20} do
    local began = casting.now()
    local times, n = run(name, many)
    total = total + times
    if os.getenv "VERBOSE" then
      print(("%s: %d runs, of %d allocations, %d in a row; %.1f s"):format(name,
        times, n, many, casting.now() - began))
    end
  end
end
casting.on_error(nil)
casting.fs.remove(place)
check(standard_files() == files, "a standard file was closed")
local deadline = casting.now() + LONG
while children() > 0 and casting.now() < deadline do casting.sleep(0.01) end
check(children() == 0, "a program is left, or was not reaped")
print(("allocfail: %d runs, %d of them with finalizers that were not called")
  :format(total, unjudged))
