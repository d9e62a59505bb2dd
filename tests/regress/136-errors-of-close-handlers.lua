-- 136: An error that a __close handler raised as a task ended by an error or a
-- cancellation was lost; pcall and coroutine.wrap raise it.
-- SPDX-License-Identifier: MIT
if _VERSION < "Lua 5.4" then return end

local casting = require "casting"
local source = [[
  local casting, how, what = require "casting", ...
  local function raising(f) return setmetatable({}, {__close = f}) end
  local saw
  local last <close> = raising(function(_, e)
    saw = e
    if how == "waits" then casting.sleep(0.001) end
    if what ~= nil then error(what, 0) end
  end)
  if how == "sleeps" then casting.sleep(1000) end
  local first <close> = raising(function()
    if how == "two" then error("the first", 0) end
  end)
  error("the body", 0)
]]
local session = casting.session()

for _, spawn in ipairs {
  function(...) return casting.spawn(load(source), ...) end,
  function(...) return session:spawn(source, ...) end,
} do
  for _, how in ipairs {"plain", "waits", "two"} do
    local task = spawn(how, "the handler")
    local ok, e = task:join(60)
    assert(ok == false and e == "the handler", tostring(e))
    local text = task:traceback()
    assert(text:find("^the handler\nraised by a __close handler, after:\n"))
    assert(text:find("\nthe body\nstack traceback:", 1, true), text)
  end
  local ok, e = spawn("two"):join(60)
  assert(ok == false and e == "the first", tostring(e))
  ok, e = spawn("plain"):join(60)
  assert(ok == false and e == "the body", tostring(e))
  ok, e = spawn("plain", {7}):join(60)
  assert(ok == false and e[1] == 7)

  local task = spawn("sleeps", "the handler")
  while task:status() ~= "waiting" do casting.sleep(0.001) end
  task:cancel "enough"
  ok, e = task:join(60)
  assert(ok == false and e == "the handler", tostring(e))
  assert(task:status() == "failed")
  assert(task:traceback():find("after:\ncancelled", 1, true))
  task = spawn "sleeps"
  while task:status() ~= "waiting" do casting.sleep(0.001) end
  task:cancel "enough"
  ok, e = task:join(60)
  assert(ok == false and e.reason == "enough")
  assert(task:status() == "cancelled")
end

-- A scope tells of it: others lists what fails in the clean-up.
local ok, e = pcall(casting.scope, function(scope)
  scope:spawn(load(source), "sleeps", "the handler")
  casting.yield()
  error("the scope's", 0)
end)
assert(not ok)
assert(tostring(e):find "the handler" or e == "the scope's", tostring(e))
session:close()
