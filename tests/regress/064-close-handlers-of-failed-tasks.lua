-- 064: what a failed task was to tell who joins it lay where its operations
-- put their messages, and __close handlers that ran afterwards used the same
-- place: the joiner got "a damaged message", or another error.
-- SPDX-License-Identifier: MIT
if _VERSION < "Lua 5.4" then return end
local casting = require "casting"

local chunk = [[
  local casting = require "casting"
  local what, back = ...
  local ch = casting.channel(1)
  local _ <close> = setmetatable({}, {__close = function()
    casting.sleep(0.001)
    ch:send {1, 2, ("x"):rep(100)}
    back:send("closed", (ch:receive())[2], casting.self())
    casting.select {ch, timeout = 0.001}
  end})
  if what == "cancel" then casting.sleep(100) end
  error(what, 0)
]]
local body = assert(load(chunk))

local function check(spawn, what, cancel)
  local back = casting.channel(math.huge)
  local task = spawn(body, what, back)
  if cancel then
    while task:status() ~= "waiting" do casting.sleep(0.0001) end
    task:cancel "reason"
  end
  local ok, e = task:join(20)
  assert(ok == false)
  if cancel then
    assert(casting.is_cancelled(e) and e.reason == "reason")
  elseif type(what) == "table" then
    assert(e[1] == what[1] and e[2][1] == what[2][1])
  else
    assert(e == what, tostring(e))
  end
  -- Again, and by who gets its handle later.
  assert(task:join() == false)
  local closed, two, same = back:receive()
  assert(closed == "closed" and two == 2 and same == task)
end

local session = casting.session()
local function elsewhere(...) return session:spawn(...) end
for _ = 1, 3 do
  for _, spawn in ipairs {casting.spawn, elsewhere} do
    check(spawn, "boom")
    check(spawn, 17)
    check(spawn, {"boom", {"deep"}})
    check(spawn, "cancel", true)
  end
end

-- The handle crosses while the handlers run.
local out = casting.channel()
local task = session:spawn(function(out)
  local casting = require "casting"
  local inner = casting.spawn(load [[
    local casting, out = require "casting", ...
    local _ <close> = setmetatable({}, {__close = function()
      out:send(casting.self())
      casting.sleep(0.001)
    end})
    error {"of the inner one"}
  ]], out)
  return inner:join()
end, out)
local inner = out:receive()
local ok, e = task:await()
assert(ok == false and e[1] == "of the inner one")
ok, e = inner:join()
assert(ok == false and e[1] == "of the inner one")
