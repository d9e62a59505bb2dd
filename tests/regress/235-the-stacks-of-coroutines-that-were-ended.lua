-- 235: On 5.2 and 5.3 whoever looked at the stack of a coroutine in which a
-- task was ended crashed: a hook had suspended it, and Lua took a value for the
-- function that was called there.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
casting.on_error(casting.channel(math.huge)) -- they are cancelled on purpose

local session = casting.session {jit = false}
local function try(source)
  local begun = casting.channel(1)
  local task = session:spawn(helper.loops(source), begun)
  assert(begun:receive(20 * helper.slow))
  task:cancel()
  assert(task:join(20 * helper.slow) == false)
  return session:spawn([[
    local info = debug.getinfo(kept, 0, "nSlf")
    local seen
    if info then
      seen = {info.short_src, info.currentline, type(info.func),
        info.func == inner}
    end
    pcall(debug.getlocal, kept, 0, 1)
    return debug.traceback(kept), seen
  ]]):await()
end

local loop = [[
  local begun = ...
  function inner()
    local x, y, z = 5, {}, print
    while true do end
  end
  local function body()
    begun:send(true)
    while true do pcall(inner) end
  end
]]
local text, seen = try(loop .. [[
  kept = coroutine.create(body)
  coroutine.resume(kept)
]])
assert(text:find "^stack traceback:", text)
if seen and seen[4] then assert(seen[2] and seen[3] == "function") end
text = try(loop .. [[
  kept = coroutine.create(function() body() end)
  coroutine.wrap(function() coroutine.resume(kept) end)()
]])
assert(text:find "^stack traceback:", text)
text = try(loop .. [[
  kept = coroutine.running()
  body()
]])
assert(text:find "^stack traceback:", text)
assert(session:close(20 * helper.slow))
