-- On 5.5 a session received large strings as external ones, which the collector
-- does not count: 4000 of 1 MiB grew to 800 MB of garbage.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

-- The most memory that the process has had, in MiB; nil where nobody tells.
local function most()
  local file = io.open "/proc/self/status"
  local text = file and file:read "*a" or ""
  if file then file:close() end
  local kib = text:match "VmHWM:%s*(%d+)"
  return kib and tonumber(kib) / 1024
end

local ch = casting.channel(2)
local session = casting.session()
local task = session:spawn(function(ch)
  local bytes = 0
  for s in ch do bytes = bytes + #s end
  return bytes
end, ch)

local before, bytes, line = most(), 0, ("x"):rep(1024)
for i = 1, 500 do
  local s = line:rep(1024) .. i
  bytes = bytes + #s
  ch:send(s)
end
ch:close()
assert(task:await(60) == bytes)
if before then
  local grown = most() - before
  assert(grown < 200, "grown by " .. grown .. " MiB")
end

-- Nor did a limit hold.
local limited = casting.session {memory = 2000000}
ch = casting.channel(20)
for i = 1, 20 do ch:send(line:rep(500) .. i) end
ch:close()
local ok, e = limited:spawn(function(ch)
  local list = {}
  for s in ch do list[#list + 1] = s end
  return #list
end, ch):join(60)
local unlimited = jit and ok -- without GC64 a LuaJIT state cannot be limited
assert(unlimited or not ok and tostring(e):find "memory", tostring(e))
session:close()
