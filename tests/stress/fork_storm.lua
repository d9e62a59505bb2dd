-- fork_storm.lua - a busy process that forks wherever code of the user's may
-- run: each child ends soon, as it is told to, and the parent notices nothing.
-- SPDX-License-Identifier: MIT
--
-- See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local helper = require "helper"
local casting = require "casting"
local found, P = pcall(require, "processes") -- tests/modules

if not found or not helper.can_fork_busy() then
  print "fork_storm: nothing forks here while other threads work"
  return
end

io.stdout:setvbuf "no" -- or children would write what the parent has left
local seed = kit.arguments()
local random = kit.generator(seed)
local scaled = kit.scaled
local stale = 20 * helper.slow -- seconds that no child takes

-- What is done in a child, or in the parent: source text of a function that is
-- called in any session. forks(way, n) forks; it returns false in the parent
-- when the child has ended well, and in the child, of which it does not always
-- come back, true.
local library = [[
  local P, casting = require "processes", require "casting"
  local REFUSED = "casting was used before this process was forked"
  local CLOSED = "casting has closed in this Lua state" -- before the fork
  local names = {"now", "report", "channel", "session", "sleep", "spawn",
    "after", "every", "self", "run", "threads"}
  local function refused(name)
    local ok, e = pcall(casting[name], name == "spawn" and print or 0.001)
    local text = tostring(e)
    if not ok and (text:find(REFUSED, 1, true) or text:find(CLOSED, 1, true))
    then
      return true
    end
    io.stderr:write(("%s in a child: %s\n"):format(name, text))
    return false
  end
  local function allocate()
    local all = {}
    for i = 1, 3000 do all[i] = {("x"):rep(i)} end
    all[#all + 1] = ("y"):rep(300000)
    collectgarbage()
  end
  local function program()
    local pipe = io.popen "echo a line"
    if pipe:read "*l" ~= "a line" then os.exit(41) end
    pipe:close()
    if os.execute "exit 0" == nil then os.exit(42) end
  end
  local forks
  local acts = {
    function() end,
    allocate,
    function() coroutine.wrap(function() coroutine.yield() end)() end,
    function()
      for i = 2, #names do if not refused(names[i]) then os.exit(43) end end
      if not pcall(casting.now) then os.exit(44) end
    end,
    function() if forks(1, 1) then P.exit(0) end end,
    program,
  }
  local expected = {[3] = "exit 7", [4] = "exit 0", [5] = "signal 9"}
  function forks(way, act)
    local pid = P.fork()
    if pid > 0 then
      local how, code = P.wait(pid, STALE)
      how = how and how .. " " .. code or "did not end"
      local want = expected[way] or "exit 0"
      if how ~= want then
        io.stderr:write(("child of way %d, act %d: %s\n"):format(way, act, how))
        os.exit(1)
      end
      return false
    end
    acts[act]()
    if way == 3 then os.exit(7) end
    if way == 4 then os.exit(0, true) end
    if way == 5 then P.kill(P.pid(), 9) end
    return true
  end
  local function finalized(f)
    if _VERSION > "Lua 5.1" then return setmetatable({}, {__gc = f}) end
    local u = newproxy(true)
    getmetatable(u).__gc = f
    return u
  end
]]
library = library:gsub("STALE", tostring(stale))

-- Where it forks. `f` is what does so; the rest of these functions goes on in
-- the child, too.
local places = {
  "f()",
  "coroutine.wrap(function() f() end)()",
  "coroutine.wrap(function() coroutine.wrap(f)() coroutine.yield() end)()",
  "local once table.sort({3, 2, 1}, function(a, b) " ..
    "if not once then once = true f() end return a < b end)",
  "pcall(function() f() error 'caught' end)",
  "casting.with_timeout(1000, f)",
  "casting.shield(f)",
  "pcall(casting.with_timeout, 0.0001, function() " ..
    "pcall(casting.sleep, 100) f() end)",
  "do local x = finalized(f) x = nil end collectgarbage() collectgarbage()",
  "do local x = finalized(f) x = nil end for i = 1, 20000 do local t = {} end",
  "do local x = finalized(f) x = nil end " ..
    "pcall(function() for i = 1, 2000 do casting.channel() end end)",
  "local once local x = setmetatable({}, {__save = function() " ..
    "if not once then once = true f() end return tostring, 1 end}) " ..
    "pcall(ch.try_send, ch, x)",
  "debug.sethook(function() debug.sethook() f() end, '', 10) " ..
    "for i = 1, 100 do local t = {} end",
  "package.preload.forks = function() f() return 1 end " ..
    "require 'forks' package.loaded.forks = nil",
  "pcall(casting.scope, function(scope) scope:spawn(casting.yield) f() end)",
  "tostring(setmetatable({}, {__tostring = function() f() return 'x' end}))",
  "local t = casting.spawn(function() pcall(casting.sleep, 100) f() end) " ..
    "casting.yield() t:cancel() pcall(t.join, t)",
  "casting.spawn(f):join()",
}
local ways, acts = 5, 6

local function source(place, way, act)
  return ("%s local ch = ... local forked\n" ..
    "local me = P.pid()\n" ..
    "local function f()\n" ..
    "  if P.pid() ~= me then return end -- an old finalizer, in a child\n" ..
    "  if forks(%d, %d) then forked = true end\n" ..
    "end\n" ..
    "local ok, e = pcall(function() %s end)\n" ..
    "if not ok and not forked then error(e, 0) end return forked")
    :format(library, way, act, place)
end

-- -- what goes on meanwhile ---------------------------------------------------

local ch, stop = casting.channel(10), false
local busy = {
  "while ch:send {('x'):rep(100)} do ch:receive() casting.yield() end",
  "while not ch:closed() do casting.session():close() end",
  "while not ch:closed() do casting.session():spawn('return 1'):join() end",
  "while not ch:closed() do casting.after(0.0001):receive() end",
  "while not ch:closed() do local t = {} for i = 1, 100 do t[i] = {i} end " ..
    "local s = ('x'):rep(100000) casting.yield() end",
  "while not ch:closed() do os.execute 'exit 0' casting.yield() end",
  "while not ch:closed() do io.popen('echo x'):close() casting.yield() end",
  "while not ch:closed() do casting.report() casting.sleep(0.001) end",
  "while not ch:closed() do casting.spawn(function() end):join() end",
}
local sessions, workers = {}, {}
for i = 1, 4 do
  sessions[i] = casting.session()
  local body = "local ch = ... local casting = require 'casting' " ..
    busy[random(#busy)]
  workers[i] = sessions[i]:spawn(body, ch)
end

local me = P.pid()

-- Leaves the child, in which it is the main program that goes on.
local function leave()
  local how = random(3)
  if how == 1 then os.exit(0) end
  if how == 2 then os.exit(0, true) end
  P.exit(0)
end

casting.spawn(function()
  local ok, e = pcall(function()
    while not stop do
      casting.spawn(function() end)
      casting.sleep(0.0005)
    end
  end)
  if P.pid() ~= me then leave() end -- a finalizer has forked here
  if not ok then error(e, 0) end
end)

-- -- forks --------------------------------------------------------------------

local compile = rawget(_G, "loadstring") or load

local counts = {main = 0, task = 0, session = 0}
for i = 1, scaled(150, 10) do
  local place, way, act = places[random(#places)], random(ways), random(acts)
  local text = source(place, way, act)
  local where = ({"main", "task", "session", "session"})[random(4)]
  local what = ("fork %d, in %s: way %d, act %d: %s"):format(i, where, way, act,
    place)
  counts[where] = counts[where] + 1
  if os.getenv "VERBOSE" then io.stderr:write(what, "\n") end
  -- A finalizer of an earlier round may fork at any time, too.
  local ok, e = pcall(function()
    if where == "main" then return assert(compile(text))(ch) end
    if where == "task" then
      return casting.spawn(assert(compile(text)), ch):await()
    end
    -- Whoever collects runs a finalizer, and is what goes on in the child.
    local s = random(2) == 1 and not place:find "finalized" and
      sessions[random(#sessions)] or casting.session()
    s:spawn(text, ch):await()
  end)
  if P.pid() ~= me then leave() end
  kit.check(ok, "%s: %s", what, tostring(e))
  for k = 1, #workers do
    if workers[k]:status() == "failed" then
      kit.violation("worker %d failed: %s", k, workers[k]:traceback())
    end
  end
end
local ok, e = pcall(function()
  stop = true
  ch:close()
  for i, t in ipairs(workers) do kit.join(t, "worker " .. i) end
end)
if P.pid() ~= me then leave() end
kit.check(ok, "%s", tostring(e))
print(("fork_storm: %d forks in main, %d in tasks, %d in sessions")
  :format(counts.main, counts.task, counts.session))
