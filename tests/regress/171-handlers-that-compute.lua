-- 171: Lua calls no hooks between the error of a hook and the protected call
-- that catches it. So the handler of an xpcall, and a __close handler of the
-- coroutine that the error ended, could compute for ever, past every limit.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

if jit then return end -- nothing that computes is interrupted there

local LONG = 60 * helper.slow
local ways = {
  handler = [[
    local function f() while true do end end
    xpcall(f, f)]],
  nested = [[
    local function f() while true do end end
    xpcall(function() xpcall(f, f) end, f)]],
  wrapped = [[
    coroutine.wrap(function()
      local function f() while true do end end
      xpcall(f, f)
    end)()]],
}
if _VERSION >= "Lua 5.4" then
  ways.close = [[
    local x <close> = setmetatable({}, {__close = function()
      while true do end
    end})
    while true do end]]
  ways.failed = [[
    local x <close> = setmetatable({}, {__close = function()
      while true do end
    end})
    error "failed"]]
  ways.coroutine = [[
    local co = coroutine.create(function()
      local x <close> = setmetatable({}, {__close = function()
        while true do end
      end})
      while true do end
    end)
    coroutine.resume(co)
    coroutine.close(co)]]
end

for name, text in pairs(ways) do
  text = helper.loops(text)
  -- By the limit of the processor time.
  local session = casting.session {cpu = 0.05}
  assert(session:spawn(text):join(LONG) ~= nil, name .. ": it goes on")
  assert(session:close(LONG), name)
  -- By a cancellation.
  session = casting.session()
  local task = session:spawn(text)
  task:cancel "enough"
  assert(task:join(LONG) ~= nil, name .. ": it goes on, cancelled")
  assert(session:close(LONG), name)
end

-- Where no task has its turn: code that a sandbox has put into the metatable of
-- strings, of package.loaded, and in the place of require. The last is called
-- for a module in what is sent to it.
package.loaded.forged_171 = {f = function() end, g = print}
local compute = helper.compute
local metas = {
  string = function()
    getmetatable("").__tostring = function() compute() end
    error "a text"
  end,
  loaded = function()
    setmetatable(package.loaded, {__newindex = function()
      compute()
    end, __index = function() compute() end})
    compute()
  end,
}
for name, f in pairs(metas) do
  for _, cpu in ipairs {0.05, math.huge} do
    local session = casting.session {sandbox = true, cpu = cpu}
    local task = session:spawn(f)
    if cpu == math.huge then task:cancel "enough" end
    assert(task:join(LONG) ~= nil, name .. ": it goes on")
    assert(session:close(LONG), name)
  end
end
local session = casting.session {sandbox = true, cpu = 0.05}
session:spawn(function()
  _G.require = function() compute() end
end):join(LONG)
assert(session:spawn(function(...) return ... end, package.loaded.forged_171)
  :join(LONG) == false)
assert(session:close(LONG))
session = casting.session {sandbox = true, cpu = 0.05}
local ch = casting.channel()
local task = session:spawn(function()
  _G.require = function() compute() end
  return ch:receive()
end)
ch:send(package.loaded.forged_171)
assert(task:join(LONG) == false)
assert(session:close(LONG))
