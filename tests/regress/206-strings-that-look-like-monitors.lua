-- 206: A string of one character that a sandbox had packed and sent was taken
-- for a monitor's message, and its receiver crashed: such a message was known
-- by its shape alone. Now its header says what it is, and no value has that.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local LONG = helper.LONG

local box = casting.session {sandbox = true, memory = 8e6}
local ch = casting.channel(math.huge)

-- All strings of one character, and what else may end with that byte.
local function send(ch) -- luacheck: ignore
  local c = require "casting"
  for i = 0, 255 do
    local s = string.char(i)
    ch:send(c.pack(s))
    ch:send(c.pack(s, s))
    ch:send(c.pack(s, ch))
    ch:send(c.pack(ch, s))
    ch:send(c.pack(i))
    ch:send(c.pack(c.pack(s)))
    ch:send(s)
    ch:send(ch, s)
  end
end

local function check(receive)
  assert(box:spawn(send, ch):join(LONG))
  for i = 0, 255 do
    local s = string.char(i)
    local a, b, m
    assert(receive() == s)
    a, b = receive()
    assert(a == s and b == s)
    a, b = receive()
    assert(a == s and b == ch)
    a, b = receive()
    assert(a == ch and b == s)
    assert(receive() == i)
    m = receive()
    assert(m == s or m:unpack() == s)
    assert(receive() == s)
    a, b = receive()
    assert(a == ch and b == s)
  end
  assert(#ch == 0)
end

check(function() return ch:receive(LONG) end)
check(function() return ch:try_receive() end)
check(function() return select(2, casting.select {ch, timeout = LONG}) end)

-- In another sandbox, and in the same one.
local function receive(ch) -- luacheck: ignore
  local n = 0
  for i = 0, 255 do
    for k = 1, 8 do
      local v = ch:receive()
      if k == 1 and v == string.char(i) then n = n + 1 end
    end
  end
  return n
end
for _, home in ipairs {box, casting.session {sandbox = true}} do
  assert(box:spawn(send, ch):join(LONG))
  local _, n = assert(home:spawn(receive, ch):join(LONG))
  assert(n == 256)
end

-- Monitors say what they did, in a sandbox, too.
local function watch()
  local c = require "casting"
  local ends, got = c.channel(math.huge), {}
  local well = c.spawn(function() return 18, "\18" end)
  local ill = c.spawn(function() error("\19", 0) end)
  local alone = c.spawn(function() return "\18" end):monitor()
  well:monitor(ends)
  ill:monitor(ends)
  for _ = 1, 2 do
    local task, ok, v, w = ends:receive()
    got[task == well and 1 or 2] = {task, ok, v, w}
  end
  assert(got[1][1] == well and got[1][2] == true)
  assert(got[1][3] == 18 and got[1][4] == "\18")
  assert(got[2][1] == ill and got[2][2] == false and got[2][3] == "\19")
  local ok, v = alone:receive()
  assert(ok == true and v == "\18")
end
assert(box:spawn(watch):join(LONG))
watch()
assert(box:close(LONG))
