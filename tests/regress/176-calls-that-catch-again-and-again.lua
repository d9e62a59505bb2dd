-- 176: A task that called itself through pcall, until Lua had a hundred
-- thousand calls to unwind, was unwound one by one, each step as long as the
-- stack was deep; of nested coroutines only the first and the last raised at
-- each instruction; on 5.1 and LuaJIT a task that was in with_timeout or shield
-- had time for another round; and on LuaJIT handlers, and what load reads, were
-- never stopped at all. So plain Lua code went on past all limits.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local slow = helper.slow
local LONG = 60 * slow
local ways = {
  pcall = "local function f() while true do pcall(f) end end f()",
  xpcall = "local function f() while true do xpcall(f, f) end end f()",
  handler = [[
    xpcall(function() while true do end end, function() while true do end end)
    while true do end]],
  wrap = [[
    local function f() while true do pcall(coroutine.wrap(f)) end end f()]],
  wrapped_handler = [[
    local function g() while true do end end
    local function f() while true do xpcall(f, coroutine.wrap(g)) end end f()]],
  resume = [[
    local function f()
      while true do coroutine.resume(coroutine.create(f)) end
    end
    f()]],
  deep_in_a_coroutine = [[
    local function f() while true do pcall(f) end end
    while true do coroutine.wrap(f)() end]],
  index = [[
    local t t = setmetatable({}, {__index = function()
      while true do pcall(function() return t.x end) end
    end})
    return t.x]],
  gsub = [[
    local function f() while true do pcall(string.gsub, "x", "x", f) end end
    f()]],
  load = [[
    while true do
      pcall(load, function()
        while true do pcall(function() while true do end end) end
      end)
    end]],
  shield = [[
    local shield = require "casting".shield
    local function f() while true do pcall(shield, f) end end f()]],
  timeout = [[
    local with_timeout = require "casting".with_timeout
    local function loop() while true do end end
    while true do pcall(with_timeout, 1e9, loop) end]],
  timeouts = [[
    local with_timeout = require "casting".with_timeout
    local function f() while true do pcall(with_timeout, 1e9, f) end end f()]],
  tostring = [[
    error(setmetatable({}, {__tostring = function()
      local function f() while true do pcall(f) end end f()
    end}))]],
}
if _VERSION >= "Lua 5.4" then
  ways.close = [[
    local function f()
      local x <close> = setmetatable({}, {__close = function()
        local function g() while true do pcall(g) end end g()
      end})
      while true do pcall(f) end
    end
    f()]]
end

-- Starts all of them, each in a session of its own, to be stopped by `stop`. (A
-- limit keeps LuaJIT from compiling.)
local function try(how, limits, stop)
  local sessions, tasks = {}, {}
  for name, text in pairs(ways) do
    local session = casting.session {
      name = name, memory = 8e6, cpu = limits.cpu or 1e9,
      sandbox = limits.sandbox}
    sessions[name] = session
    tasks[name] = session:spawn(helper.loops(text))
  end
  casting.sleep(0.3)
  local used = {}
  for name, session in pairs(sessions) do
    used[name] = session:stats().cpu
    stop(session, tasks[name])
  end
  for name, task in pairs(tasks) do
    local what = how .. ", " .. name
    local ok = task:join(LONG)
    assert(ok ~= nil, what .. ": it goes on")
    -- A shield holds for a second, and there are two in a row of a handler and
    -- what it calls. What could not be ended took many.
    if how ~= "closed" then
      local more = sessions[name]:stats().cpu - used[name]
      assert(more < 3 * slow, ("%s: it went on for %.1f s"):format(what, more))
    end
    assert(sessions[name]:close(LONG), what .. ": it does not close")
  end
end

try("cpu", {cpu = 0.1}, function() end)
try("cpu of a sandbox", {cpu = 0.1, sandbox = true}, function() end)
try("cancelled", {}, function(_, task) task:cancel "enough" end)
try("closed", {}, function(session) session:close(0) end)
