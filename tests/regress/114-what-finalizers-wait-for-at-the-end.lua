-- 114: finalizers of the program that wait as it ends: they get what they wait
-- for, if that takes less than a second, and other errors and the status of the
-- process stay what they are. Nor is any other finalizer taken for such a one.
-- uncollected: on 5.1 a finalizer's error would end those it is called in.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local helper = require "helper"
if not helper.has_children() then return end

local prelude = [[
casting = require "casting"
local kept = {}
function finalizer(f)
  if newproxy then
    local p = newproxy(true)
    getmetatable(p).__gc = f
    return p
  end
  return setmetatable({}, {__gc = f})
end
function last(f) kept[#kept + 1] = finalizer(f) end
function say(...)
  for i = 1, select("#", ...) do
    io.stdout:write(tostring((select(i, ...))), " ")
  end
  io.stdout:flush()
end
function forget() collectgarbage() collectgarbage() end
function compute() while true do end end
]]
local can_close = _VERSION ~= "Lua 5.1" or jit

local function check(source, expected, status)
  local result = helper.run(prelude .. source)
  local shown = result.out .. result.err
  assert(shown == expected and result.status == (status or 0),
    ("%s\n%s\n%s"):format(tostring(result.status), shown, source))
end

check([[
local ch, task = casting.channel()
task = casting.spawn(function() casting.sleep(0.01) return ch:receive() end)
last(function() say(task:join()) end)
last(function() say(ch:send "sent") end)
last(function() error "of a finalizer, which Lua drops" end)
last(function() say(casting.with_timeout(0.01, casting.sleep, 1000)) end)
last(function()
  local s = casting.session()
  say(s:spawn(function() return 7 end):join())
  say(s:close())
end)
last(function() coroutine.wrap(function() casting.yield() say "y" end)() end)
]], "y true 7 true nil timeout true true sent ")

-- All the time is used up.
check([[
casting.spawn(compute)
forget()
local function say_no()
  local ok, why = pcall(casting.sleep, 1000)
  say(ok, why:find "the program ends" ~= nil)
end
for _ = 1, 3 do last(say_no) end
]], "false true false true false true ")

-- A task that is cancelled meanwhile, and catches the error.
check([[
last(function()
  local task = casting.spawn(function() while true do pcall(compute) end end)
  casting.yield()
  task:cancel()
  say(task:join())
end)
forget()
]], "false cancelled ")

-- In the middle of the program they may take their time.
check([[
local passed
finalizer(function() casting.sleep(1.2) passed = true end)
forget()
while not passed do casting.sleep(0.01) end
say "passed"
]], "passed ")

-- Tasks that have the collector run: it calls finalizers of casting's, too.
local saves = [[
local ch = casting.channel(1000)
local meta = {__save = function() casting.yield() return string.rep, "x", 3 end}
for _ = 1, 2 do
  casting.spawn(function()
    while true do ch:send {1, setmetatable({}, meta), 2} ch:receive() end
  end)
end
casting.spawn(function() while true do collectgarbage() casting.yield() end end)
casting.yield()
forget()
last(function() pcall(casting.sleep, 0.05) say "slept" end)
last(function() pcall(casting.sleep, 0.05) say "slept" end)
]]
check(saves, "slept slept ")

if can_close then
  local wait = "last(function() pcall(casting.sleep, 0.01) say 'slept' end) "
  local exit = "os.exit(3, true)"
  check("casting.spawn(compute) forget() " .. wait .. exit, "slept ", 3)
  check(wait .. "casting.spawn(function() " .. exit .. " end) forget() " ..
    "casting.sleep(0.001) say 'not to be seen' compute()", "slept ", 3)
  check(saves .. exit, "slept slept ", 3)
end
check("last(function() casting.yield() say 'waited' end) os.exit(2)", "", 2)
