-- A sandbox could send as many values as its stack has room for. Who received
-- them, and had a little on the stack, got an error: so the receiver failed,
-- and the message was lost.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local unpack = unpack or table.unpack -- luacheck: ignore

local box = casting.session {sandbox = true}
local ch = casting.channel(2)
local task = box:spawn(function(ch)
  local c = require "casting"
  local unpack = unpack or table.unpack -- luacheck: ignore
  local big, low, high = {}, 1, 1100000
  for i = 1, high do big[i] = true end
  local own, why = c.channel(1), nil
  local function try(n)
    local ok, e = pcall(function() own:send(unpack(big, 1, n)) end)
    if ok then
      own:receive()
    elseif e:find "cannot send" then
      why = e
    end
    return ok
  end
  while low < high do
    local middle = math.floor((low + high + 1) / 2)
    if try(middle) then low = middle else high = middle - 1 end
  end
  ch:send(low, why or "")
  ch:send(unpack(big, 1, low))
  ch:send(unpack(big, 1, low))
  return unpack(big, 1, low)
end, ch)

local most, why = ch:receive(60)
assert(most == 7000 or most == 200000, most)
-- Where a stack has room for more, the error tells.
assert(why:find("a message has at most " .. most, 1, true), why)

-- Also in a function with much on its stack.
local function deep(n, f)
  if n == 0 then return f() end
  local a, b, c, d, e = n, n, n, n, n
  local result = deep(n - 1, f)
  return result, a, b, c, d, e
end
local got = deep(100, function()
  return {select("#", ch:receive(60)),
    select("#", casting.select {ch, timeout = 60}),
    select("#", task:monitor():receive(60)), select("#", task:join(60)),
    select("#", task:await(60)), select("#", casting.race {task})}
end)
local expected = {most, most + 1, most + 1, most + 1, most, most + 1}
for i = 1, #expected do assert(got[i] == expected[i], i .. ": " .. got[i]) end

-- Results, arguments and packed messages likewise.
local big = {}
for i = 1, most + 1 do big[i] = i end
if pcall(unpack, big) then
  local function refused(ok, e)
    assert(not ok and tostring(e):find("cannot send %d+ values"), e)
  end
  refused(pcall(function() return ch:send(unpack(big)) end))
  refused(pcall(function() return ch:try_send(unpack(big)) end))
  refused(pcall(function() return casting.pack(unpack(big)) end))
  refused(pcall(function() return box:spawn("return 1", unpack(big)) end))
  refused(pcall(casting.select, {{ch, unpack(big)}}))
  local session = casting.session()
  refused(session:spawn(function()
    local unpack = unpack or table.unpack -- luacheck: ignore
    local big = {}
    for i = 1, 200001 do big[i] = i end
    return unpack(big, 1, _VERSION == "Lua 5.1" and 7001 or 200001)
  end):join(60))
  session:close(60)
end
box:close(60)
