-- 173: A select that sends a stream in one case, and something that cannot be
-- sent in a later one, raised for the later one, and the stream was destroyed.
-- It was the same where one stream was in two cases.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local net = require "casting.net"

local function fails(pattern, a, b, cases)
  local ok, why = pcall(casting.select, cases)
  assert(not ok and tostring(why):find(pattern), tostring(why))
  assert(a:write("still here\n"))
  assert(b:read("l") == "still here")
end

for n = 1, 12, 11 do -- few cases, and many
  local a, b = net.pair()
  local full = casting.channel()
  local cases = {{full, a}}
  for i = 2, n do cases[i] = {full, i} end
  cases[n + 1] = {full, coroutine.create(function() end)}
  fails("^cannot send a %a+ %(case " .. n + 1 .. ", value 1%)", a, b, cases)
  cases[n + 1] = {full, a}
  fails("^cannot send a .*stream.* %(case " .. n + 1 .. ", value 1%)", a, b,
    cases)
  cases[n + 1] = {full, a, 0 / 0, nil, coroutine.create(function() end)}
  cases[1] = {full, {a}}
  fails("^cannot send", a, b, cases)
  -- __save raises, or changes the cases.
  local odd = setmetatable({}, {__save = function() error("no", 0) end})
  cases[n + 1] = {full, odd}
  fails("no", a, b, cases)
  odd = setmetatable({}, {__save = function()
    cases[n + 1] = "neither"
    return tostring, 1
  end})
  cases[n] = {full, odd}
  cases[1] = n > 1 and cases[1] or cases[n]
  cases[n + 1] = full
  fails("bad argument #1 to 'select' %(case " .. n + 1, a, b, cases)
  a:close()
  b:close()
end

-- An error has the place of the call.
local a, b = net.pair()
local ok, why = pcall(function()
  casting.select {{casting.channel(), a},
    {casting.channel(), coroutine.create(function() end)}}
end)
assert(not ok)
assert(why:find("173%-.*:%d+: cannot send a"), why)
a:close()
b:close()
