-- 132: In a session with a limit of memory, on 5.1 and LuaJIT, all garbage was
-- collected before a task went on, whose message lay where a finalizer's
-- try_receive puts its own, and whose cases a finalizer's select took.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
if not newproxy then return end -- others look for garbage by themselves

-- Has the state of a session starve while another task of it waits, that gets
-- something as soon as it is starved. What that got; or "starved": there was no
-- memory at all for it to go on.
local function starve(memory, waits, sends, finalizer)
  local session = casting.session {memory = memory}
  local big, out = casting.channel(), casting.channel(10)
  local a, b, ready = casting.channel(), casting.channel(), casting.channel(2)
  session:spawn(function(finalizer)
    local proxies = {}
    for i = 1, 20 do
      proxies[i] = newproxy(true)
      getmetatable(proxies[i]).__gc = finalizer
    end
    -- No hook can tell the task that receives to collect.
    if jit then debug.sethook(function() end, "", 1e8) end
    ready:send(1)
    big:receive()
    proxies = nil -- luacheck: ignore
    require "casting".sleep(100)
  end, finalizer)
  local waiting = session:spawn(waits, a, b, ready, out)
  ready:receive()
  ready:receive()
  while waiting:status() ~= "waiting" do casting.sleep(0.001) end
  local t = {}
  for i = 1, 20000 do t[i] = {} end
  big:send(t)
  sends(a, b)
  local ok, e = waiting:join(20)
  local got = out:try_receive()
  if not ok and tostring(e):find "not enough memory" then got = "starved" end
  -- The case that was not chosen is nobody's any more.
  a:try_send "nobody"
  session:close()
  return got
end

local other = casting.channel(1)
local function tries() other:try_receive() end
local function selects()
  local casting = require "casting"
  local c = casting.channel(1)
  casting.select {{c, 1}, {c, 2}, timeout = 0}
end
local function receives(a, _, ready, out)
  ready:send(1)
  local v = a:receive()
  out:send(tostring(v))
end
local function waits_for_two(a, b, ready, out)
  local casting = require "casting"
  ready:send(1)
  local i, v = casting.select {a, b}
  out:send(i .. " " .. tostring(v))
end

-- What a session needs for itself differs with versions and paths.
local times = 0
for memory = 1.47e6, 1.51e6, 0.01e6 do
  local got = starve(memory, receives, function(a) a:send "precious" end, tries)
  assert(got == "precious" or got == "starved", tostring(got))
  if got == "precious" then times = times + 1 end
  got = starve(memory, waits_for_two, function(_, b) b:send "precious" end,
    selects)
  assert(got == "2 precious" or got == "starved", tostring(got))
  if got == "2 precious" then times = times + 1 end
end
assert(times > 0)
