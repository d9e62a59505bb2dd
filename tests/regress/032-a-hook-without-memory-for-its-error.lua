-- The hook that stops a task had no memory for the error. So it raised another
-- one, and the task's coroutine, in which Lua allows no hooks after that, was
-- used again: what computed in it then was never stopped, nor its session.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"
local helper = require "helper"
-- 5.1 and LuaJIT, whose sends take memory, never used a coroutine again after
-- an error.
if _VERSION == "Lua 5.1" then return end
casting.on_error(casting.channel(math.huge)) -- they fail on purpose

for _ = 1, 10 do
  local session, ready = casting.session{memory = 1e6}, casting.channel(1)
  local full = session:spawn(helper.loops [[
    local ready, list, chain = ..., {}, nil
    local function fill() while true do list[#list + 1] = {} end end
    local function link() while true do chain = {chain} end end
    pcall(fill) pcall(link) pcall(link)
    ready:send(true)
    while true do end
  ]], ready)
  assert(ready:receive(60))
  full:cancel()
  assert(full:join(60) == false)
  local task = session:spawn(helper.loops "(...):send(true) while true do end",
    ready)
  assert(ready:receive(60))
  task:cancel()
  local ok, e = task:join(60)
  assert(ok == false and casting.is_cancelled(e), tostring(e))
  assert(session:close(60))
end
