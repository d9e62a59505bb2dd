-- 242: On 5.1 and LuaJIT the option `libs` of a session knew no library
-- "coroutine", which comes with the basic functions there. So a list that has
-- it, as the manual names it for all versions, worked from 5.2 on only.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

for _, sandbox in ipairs {false, true} do
  local session = casting.session {
    libs = {"coroutine", "string"}, sandbox = sandbox}
  local task = session:spawn(function()
    return coroutine.wrap(function() return type(string) end)()
  end)
  assert(task:await() == "table")
  session:close()
end

local ok, e = pcall(casting.session, {libs = {"coroutines"}})
assert(not ok and e:find("unknown library 'coroutines'", 1, true), e)
