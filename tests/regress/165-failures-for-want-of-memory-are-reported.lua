-- 165: A task that had used up its session's memory failed without a report and
-- without a traceback on 5.2 and later: its values were still there when the
-- failure was to be written down, which took some of the same memory.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local LONG = 60
local reports = casting.channel(100)
casting.on_error(reports)

-- Without GC64 a LuaJIT state cannot be limited.
local function is_limited()
  local session = casting.session {memory = 1e6}
  local ok = session:spawn("return ('x'):rep(4000000)"):join(LONG)
  session:close()
  return not ok
end
if not is_limited() then return end

local fills = {
  strings = function()
    local t = {}
    while true do t[#t + 1] = ("x"):rep(1000) .. #t end
  end,
  tables = function()
    local t = {}
    while true do t = {t} end
  end,
  small = function()
    local t = {} -- luacheck: ignore
    while true do t[#t + 1] = {#t .. ""} end
  end,
}

local sessions, limits, n = {}, {}, 0
for name, fill in pairs(fills) do
  for _, limit in ipairs {4e5, 6e5, 1e6 + 12345} do
    n = n + 1
    local session = casting.session {memory = limit, name = name .. n}
    local task = session:spawn(fill)
    sessions[n], limits[n] = {session = session, task = task}, limit
  end
end

-- Each once, with where it was.
local seen = {}
for _ = 1, n do
  local r = assert(reports:receive(LONG))
  assert(tostring(r.error):find("not enough memory", 1, true), r.error)
  assert(r.traceback:find("not enough memory", 1, true), r.traceback)
  assert(r.traceback:find("165-", 1, true), r.traceback)
  assert(not seen[r.session:name()])
  seen[r.session:name()] = r.traceback
end
assert(#reports == 0)

-- The sessions are as good as before, and within their limits.
for i = 1, n do
  local session, task = sessions[i].session, sessions[i].task
  assert(task:status() == "failed")
  assert(task:traceback() == seen[session:name()])
  local ok, e = task:join(LONG)
  assert(not ok and tostring(e):find("not enough memory", 1, true))
  assert(session:spawn("return 1"):await(LONG) == 1)
  assert(session:stats().memory <= limits[i])
  session:close()
end
