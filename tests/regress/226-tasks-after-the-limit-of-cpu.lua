-- 226: Where the processor time of a session was used up already, the limit
-- held no more: its tasks had been told, and one that began later was not. So
-- a task that met the error of the limit, and spawned another, computed there
-- for ever.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
casting.on_error(casting.channel(math.huge)) -- they fail on purpose

local source = helper.loops [[
  local c = require "casting"
  local f = (loadstring or load) "while true do end"
  local first, e = pcall(f)
  return first, tostring(e), pcall(c.spawn, f)
]]

local function try(options)
  options.cpu = 0.05
  local session = casting.session(options)
  local task = session:spawn(source)
  local ok, first, e, spawned, why = task:join(20 * helper.slow)
  -- It has time for clean-up, and ends well, or meets the error once more.
  if ok then
    assert(first == false and e:find("has used up its 0.05", 1, true), e)
    assert(spawned == false, "a task was begun")
    assert(why:find("^spawn: session '.*' has used up its 0.05"), why)
  else
    assert(ok == false, "the task was not stopped")
  end
  assert(session:wait(20 * helper.slow), "a task goes on")
  local used = session:stats().cpu
  assert(used < 5 * helper.slow, "the tasks used " .. used .. " s")
  assert(session:close(20 * helper.slow))
end

try {sandbox = true}
try {jit = false}

-- What another session has asked for is in the inbox when the time is over.
local box = casting.session {sandbox = true, cpu = 0.05}
local go, compute = casting.channel(1), helper.compute
local tasks = {}
box:spawn([[
  local go, compute = ...
  go:send(true)
  compute()
]], go, compute)
assert(go:receive(20 * helper.slow))
for i = 1, 20 do
  local ok, task = pcall(box.spawn, box, compute)
  tasks[i] = ok and task or nil
end
for _, task in pairs(tasks) do
  local ok, e = task:join(20 * helper.slow)
  assert(ok == false and e:find("has used up its 0.05", 1, true), e)
end
assert(box:close(20 * helper.slow))
