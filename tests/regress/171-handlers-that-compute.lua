-- 171: Lua calls no hooks between the error of a hook and the protected call
-- that catches it. So the handler of an xpcall, and a __close handler of the
-- coroutine that the error ended, could compute for ever, past every limit.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

if jit then return end -- nothing that computes is interrupted there

local LONG = 60
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
