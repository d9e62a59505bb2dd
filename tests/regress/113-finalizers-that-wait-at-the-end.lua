-- 113: lua_close runs finalizers of the program before the first of casting's.
-- One that waited, while a task of the main state computed, kept the process
-- for ever.
-- still: each finalizer has its second.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local helper = require "helper"
if not helper.has_children() then return end

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
local function wait() %s end
All = {}
for i = 1, %d do All[i] = finalizer(wait) end
for _ = 1, 2 do casting.spawn(function() %s end) end
collectgarbage()
collectgarbage() -- the handles have gone
%s
]]

local waits = {
  "pcall(casting.sleep, 0.01)",
  "return casting.sleep(0.01)",
  "casting.sleep(1000)",
  "casting.channel():receive()",
  "for _ = 1, 3 do casting.yield() end",
  "casting.poll(0.01) casting.poll(1000)",
  "coroutine.wrap(function() pcall(casting.sleep, 0.01) end)()",
}
local tasks = {
  "while true do end",
  "while true do pcall(function() while true do end end) end",
  "while true do local t = {} t[1] = t end",
  "while true do collectgarbage() end",
  "casting.channel():receive()",
}
local function try(wait, n, task, last)
  local result = helper.run(program:format(wait, n, task, last))
  assert(result.status == 0 and result.err == "",
    wait .. " | " .. task .. ": " .. tostring(result.err))
end
for i, wait in ipairs(waits) do
  try(wait, 1, tasks[i % #tasks + 1], "")
  if _VERSION ~= "Lua 5.1" or jit then
    try(wait, 1, tasks[1], "os.exit(0, true)")
  end
end
for _, task in ipairs(tasks) do try(waits[1], 20, task, "") end
