-- 135: A supervisor copied lists up to their `n` before it looked at them, for
-- half a minute where that was 1e9.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local ok, e = pcall(casting.supervisor, {children = {
  {id = "a", start = print, args = {n = 1e15}}}})
assert(not ok and e:find("args: too many", 1, true), e)
ok, e = pcall(casting.supervisor, {children = {n = 1e15}})
assert(not ok and e:find("got nil", 1, true), e)
ok, e = pcall(casting.supervisor, {children = {n = 1e15,
  {id = "a", start = print}}})
assert(not ok and e:find("got nil", 1, true), e)

-- And spawn_in told of session:spawn.
casting.scope(function(scope)
  local session = casting.session()
  ok, e = pcall(scope.spawn_in, scope, session, 5)
  assert(not ok and e:find("bad argument #3 to 'spawn_in'", 1, true), e)
  ok, e = pcall(function() scope:spawn_in(session, "return return") end)
  assert(not ok and e:find("bad argument #2 to 'spawn_in' (source", 1, true), e)
  session:close()
end)
