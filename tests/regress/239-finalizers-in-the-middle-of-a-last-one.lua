-- 239: on 5.1 and LuaJIT the collector calls finalizers in the middle of one
-- that lua_close has called. The first of casting's ended the main state then,
-- and the function of casting's in which that finalizer was went on with it,
-- or with a channel that had been given up: the process could crash.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local helper = require "helper"
if not helper.has_children() then return end
-- Lua 5.3 itself may collect for ever while its state closes.
if helper.version == "5.3" then return end

local program = [[
local casting = require "casting"
local function finalizer(f)
  if newproxy then
    local p = newproxy(true)
    getmetatable(p).__gc = f
    return p
  end
  return setmetatable({}, {__gc = f})
end
local function all()
  collectgarbage()
  if _VERSION ~= "Lua 5.1" then return end
  for _ = 1, 50 do collectgarbage("step", 1000) end
end
local ch = casting.channel(10)
local saved = setmetatable({},
  {__save = function() all() return string.rep, "x", 3 end})
local function last() %s end
Kept = {finalizer(function() end), casting.session(),
  casting.spawn(function() casting.channel():receive() end)}
casting.yield()
Kept[4] = finalizer(function()
  local ok, e = pcall(last)
  io.stdout:write(tostring(ok or e), "\n")
end)
]]
local calls = {
  "casting.scope(function(s) all() s:spawn(function() end) end)",
  "casting.with_timeout(1, all)",
  "casting.shield(all)",
  "ch:send(saved) assert(ch:receive() == 'xxx')",
  "assert(casting.select {{ch, saved}} == 1)",
  "casting.spawn(function(x) return x end, saved)",
  "casting.map({1, 2, 3}, function(x) all() return x end)",
  "casting.scope(function(s) s:spawn(all) all() s:spawn(all) end)",
  "casting.spawn(function() all() return 1 end):join()",
  "casting.spawn(function() error(saved) end):join()",
  "local s = casting.session() all() s:spawn('return 1'):join()",
  "casting.spawn(function() ch:send(1) end) " ..
    "assert(casting.select {ch, timeout = 1}) all() ch:receive()",
  "pcall(function() all() casting.yield() all() error 'x' end)",
  "coroutine.wrap(function() casting.yield() all() casting.yield() end)()",
  "all() casting.report()",
}
for _, call in ipairs(calls) do
  local result = helper.run(program:format(call))
  assert(result.status == 0 and result.out ~= "",
    ("%s\n%s%s"):format(call, result.out, result.err))
end
