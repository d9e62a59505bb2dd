-- On LuaJIT calls of C functions in calls of C functions have no limit but the
-- Lua stack, and for coroutines in coroutines none at all; so the C stack
-- overflowed, as it does in the interpreter. In a session they raise an error.
-- Elsewhere they did already: it is the same for all kinds of recursion, on
-- the stack that a session's tasks begin on and on others.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"
local helper = require "helper"

local function recursions()
  local casting = require "casting"
  local cases = {}
  -- coroutine.wrap's function adds the place of its call to an error, and that
  -- for each level: a long text many times.
  local function wrap(f)
    local run = coroutine.wrap(f)
    return function()
      local ok, why = pcall(run)
      if not ok then error(tostring(why):match "overflow" or why, 0) end
      return why
    end
  end
  function cases.gsub()
    local function f() return (("x"):gsub(".", f)) end
    return f()
  end
  function cases.table_of_gsub()
    local t
    t = setmetatable({}, {__index = function() return (("x"):gsub(".", t)) end})
    return t.x
  end
  function cases.deep_and_waiting()
    local function f()
      return (("x"):gsub(".", function()
        casting.yield()
        return f()
      end))
    end
    return f()
  end
  function cases.wrap()
    local function f() return (wrap(f)()) end
    return f()
  end
  function cases.waiting_wrap()
    local function f()
      casting.yield()
      return (wrap(f)())
    end
    return f()
  end
  function cases.create()
    local function f()
      local ok, why = coroutine.resume(coroutine.create(f))
      if not ok then error(why, 0) end
    end
    return f()
  end
  function cases.wrap_in_gsub()
    local function f()
      return (wrap(function() return (("x"):gsub(".", f)) end)())
    end
    return f()
  end
  function cases.sort()
    local function f()
      table.sort({3, 2, 1}, function(a, b)
        f()
        return a < b
      end)
    end
    return f()
  end
  function cases.shield()
    local function f() return (casting.shield(f)) end
    return f()
  end
  function cases.with_timeout()
    local function f() return (casting.with_timeout(100, f)) end
    return f()
  end
  function cases.plain()
    local function f() return 1 + f() end
    return f()
  end
  function cases.handler()
    local function f() return 1 + f() end
    local ok, why = xpcall(f, function() return 1 + f() end)
    error(ok or tostring(why) .. " overflow", 0)
  end
  function cases.parser()
    local chunk = "return " .. ("("):rep(1e5) .. "1" .. (")"):rep(1e5)
    local f, why = (loadstring or load)(chunk)
    error(f or why:gsub("too many.*levels", "overflow"), 0)
  end
  return cases
end

local function all(recursions)
  for name, f in pairs(recursions()) do
    -- At the end of its stack 5.4 takes long for each finalizer that comes.
    collectgarbage()
    local ok, why = pcall(f)
    if ok or not tostring(why):match "overflow" then
      error(("%s: %s, %s"):format(name, tostring(ok), tostring(why)))
    end
  end
  return "through"
end

local session = casting.session()
local ok, how = session:spawn(all, recursions):join(20 * helper.LONG)
assert(ok and how == "through", how)
-- Beside a task that has kept the stack that the others began on.
local waiting, here = casting.channel(), casting.channel(1)
local sorting = session:spawn(function(waiting, here)
  table.sort({2, 1}, function(a, b)
    here:try_send(true)
    return waiting:receive() and a < b
  end)
end, waiting, here)
assert(here:receive())
ok, how = session:spawn(all, recursions):join(20 * helper.LONG)
assert(ok and how == "through", how)
waiting:close()
assert(sorting:join(helper.LONG))
assert(session:close(helper.LONG))
