-- 137: An error that a hook raised in what of the library is written in Lua (as
-- lua.c's does on Ctrl-C) could leave a group that waited for ever for a member
-- it was not told of. In 5.1 it was lost where a wait began, and a hook that
-- was set just before a wait, in C, was called only when that was over.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local processes = require "processes"

local calls = {
  scope = function() casting.scope(function() return 1 end) end,
  tasks = function()
    casting.scope(function(s)
      s:spawn(function() end)
      s:spawn(casting.sleep, 0)
    end)
  end,
  all = function() casting.all {function() end, function() end} end,
  race = function() casting.race {function() end, function() end} end,
  map = function() casting.map({1, 2}, function(x) return x end) end,
  guards = function()
    casting.with_timeout(60, casting.shield, casting.sleep, 0)
  end,
  session = function()
    local session = casting.session {init = function() end}
    session:spawn(function() end):join()
    session:close()
  end,
  channel = function()
    local channel = casting.channel(1)
    channel:send {{}}
    channel:receive()
    channel:send(1)
    casting.select {channel}
  end,
}

-- Calls f, interrupted at the n-th event there. Returns false if there are
-- less; what pcall returns.
local function interrupted(f, n)
  local events, active, fired = 0, false, false
  local function hook()
    events = events + (active and 1 or 0)
    if fired or not active or events < n then return end
    fired = true
    error("interrupted!", 2)
  end
  debug.sethook(hook, "cr", 1)
  local ok, e = pcall(function()
    active = true
    local ok, e = pcall(f)
    active = false
    if not ok then error(e, 0) end
  end)
  active = false
  debug.sethook()
  return fired, ok, e
end

-- LuaJIT's hooks are called in all coroutines, and the library's own, too: an
-- error there that is not Ctrl-C's is a failure there.
for name, f in pairs(rawget(_G, "jit") and {} or calls) do
  pcall(f) -- loads what it needs
  local n = 0
  local fired, ok, e
  repeat
    n = n + 1
    fired, ok, e = interrupted(f, n)
    -- map ends its sessions where nothing may interrupt it.
    assert(not fired or not ok or name == "map", name .. " " .. n)
    assert(ok or tostring(e):find("interrupted!", 1, true), tostring(e))
  until not fired
end

local ok, e = pcall(processes.interrupted, casting.sleep, 4 * helper.LONG)
assert(not ok and e:find("interrupted!", 1, true), e)
