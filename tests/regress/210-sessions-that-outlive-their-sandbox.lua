-- 210: Sessions that a sandbox had made went on when it had closed, for good if
-- they had their own handles or computed: with them their memory, and a
-- processor.
-- still: a task goes on before the one that it has spawned.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

-- A chain of sessions: each has the handle of itself and sends it here, with
-- that of a task that never ends, and makes the next one.
local source = helper.loops [[
  local c = require "casting"
  local source, depth, out, ready = ...
  me = c.self():session()
  local task = c.spawn(function()
    ready:send(true)
    if depth == 1 then while true do end end
    c.sleep(1e6)
  end)
  out:send(me, task)
  if depth > 1 then
    c.session():spawn(source, source, depth - 1, out, ready)
  end
]]

-- Makes one of three sessions, and returns the sandbox, and what is below it:
-- their handles and tasks. All of these run by then.
local function chain()
  local out = casting.channel(math.huge)
  local ready = casting.channel(math.huge)
  local box = casting.session {sandbox = true, memory = 4e6}
  local below = {}
  box:spawn(function(source, out, ready)
    local c = require "casting"
    c.session():spawn(source, source, 3, out, ready)
  end, source, out, ready)
  for i = 1, 3 do
    below[i] = {out:receive()}
    ready:receive()
  end
  return box, below
end

local function are_closed(below)
  for i = 1, #below do
    local ok, problem = pcall(below[i][1].spawn, below[i][1], "return")
    assert(not ok and problem:find("is closed", 1, true), tostring(problem))
    assert(below[i][2]:status() == "cancelled")
    assert(below[i][1]:close(0))
  end
end

-- Closed: true means that all of them have closed.
local box, below = chain()
assert(box:close())
are_closed(below)

-- In the middle: those above go on.
box, below = chain()
assert(below[2][1]:close())
are_closed {below[2], below[3]}
assert(below[1][2]:status() ~= "cancelled")
assert(below[1][1]:spawn("return 1"):await() == 1)
assert(box:close())
are_closed(below)

-- The last handle goes, and no task is left.
box, below = chain()
box:wait()
box = nil -- luacheck: ignore
collectgarbage()
collectgarbage()
for i = 1, #below do
  assert(below[i][2]:join() == false)
  below[i][1]:close()
end
are_closed(below)

-- Without time it says that something goes on.
box = casting.session {sandbox = true, memory = 4e6}
local child, begun = casting.channel(1), casting.channel(1)
box:spawn(function(child, begun)
  local c = require "casting"
  local s = c.session()
  s:spawn(function(begun)
    local c = require "casting"
    c.shield(function(begun)
      begun:send(true)
      local go = c.channel(1)
      begun:send(go)
      go:receive()
    end, begun)
  end, begun)
  child:send(s)
end, child, begun)
begun:receive()
local go = begun:receive()
box:wait()
assert(select(2, box:close(0)) == "timeout")
go:send(true)
assert(box:close())
assert(child:receive():close(0))

-- One that is made in the meantime closes, too; nothing can be started in it.
local out = casting.channel(math.huge)
box = casting.session {sandbox = true, memory = 4e6}
box:spawn(function(out)
  local c = require "casting"
  pcall(function()
    out:send(true)
    c.sleep(1e6)
  end)
  c.shield(function()
    local s = c.session()
    out:send(s, pcall(s.spawn, s, "return"))
    out:send(pcall(c.session, {init = function() end}))
  end)
end, out)
out:receive()
assert(box:close())
local late, ok, problem = out:receive()
assert(not ok and problem:find("is closed", 1, true), tostring(problem))
assert(late:close(0))
ok, problem = out:receive()
assert(not ok and problem:find("the session closes", 1, true), problem)

-- What they have is there no more.
box = casting.session {sandbox = true, memory = 8e6}
local left = box:spawn(function()
  local c = require "casting"
  local function used()
    collectgarbage()
    collectgarbage()
    return c.self():session():stats().memory
  end
  local before = used()
  local inner = c.session()
  assert(inner:spawn(function()
    local c = require "casting"
    local s = c.session()
    assert(s:spawn(function(s)
      local t = {s}
      for i = 2, 21 do t[i] = ("x"):rep(1e5) .. i end
      _G.kept = t
    end, s):join())
  end):join())
  inner:close()
  return used() - before
end):await()
assert(left < 1e6, "left are " .. left .. " bytes")
assert(box:close())
