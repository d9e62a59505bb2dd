-- 232: coroutine.close() of 5.5 ends the coroutine that runs, and jumps over
-- calls of C. A task for which another session's values were being made never
-- ended then, nor did its session; and a module that did so while
-- casting.require loaded it kept the turn, so that nobody could load any more.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
if tonumber(helper.version) < 5.5 then return end
casting.on_error(casting.channel(math.huge)) -- they fail on purpose

-- Values of a module, which the session has to require.
package.loaded.forged = {f = function() end, g = print}
local session = casting.session()
session:spawn(function()
  _G.require = function() coroutine.close() end
end):await()
local task = session:spawn(function(...) return ... end, package.loaded.forged)
assert(task:join(20 * helper.slow) ~= nil, "the task never ends")
assert(session:close(20 * helper.slow))

-- In a session the coroutine is not closed where that leaves things undone.
session = casting.session()
local ok, e = session:spawn(function()
  local co = coroutine.create(function()
    table.sort({1, 2}, function() coroutine.close() end)
  end)
  return coroutine.resume(co)
end):await()
assert(not ok and e:find "cannot close a coroutine that calls", e)
assert(session:spawn(function()
  local co = coroutine.create(function()
    pcall(function() coroutine.close() end)
    return "went on"
  end)
  return select("#", coroutine.resume(co))
end):await() == 1)
assert(session:close(20 * helper.slow))

-- The main program's coroutine.close is Lua's own.
package.preload.closing = function() coroutine.close() end
package.preload.plain = function() return "plain" end
assert(coroutine.resume(coroutine.create(function()
  casting.require "closing"
end)))
session = casting.session()
ok, e = session:spawn(function()
  package.preload.other = function() return "other" end
  return require "casting".require "other"
end):join(20 * helper.slow)
assert(ok and e == "other", "the turn was kept")
assert(casting.require "plain" == "plain")
