-- 170: To receive a message ran code that its sender had chosen: __save names a
-- constructor, any Lua function, or a C function by a name that the sender has
-- forged in package.loaded. So a session that was limited (libs, memory, cpu,
-- tasks) ran code in whoever received from it. A sandbox cannot send such.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local LONG = 60
local session = casting.session {sandbox = true, libs = {}, memory = 2e6,
  cpu = 10, tasks = 3}
local ch = casting.channel(1)
_G.executed = nil

local function evil()
  return session:spawn(function()
    assert(os == nil and io == nil and string == nil)
    local f = function(what)
      _G.executed = what
      return {}
    end
    ch:send(setmetatable({}, {__save = function() return f, "pwned" end}))
  end)
end

local ok, e = evil():join(LONG)
assert(not ok)
assert(e:find("cannot send a table with a metatable (argument 1)", 1, true), e)
assert(ch:receive(0) == nil)

-- By name: a C function that has no other.
ok, e = session:spawn(function()
  local c = print
  package.loaded.os = {execute = c}
  _G.print = nil
  ch:send({x = setmetatable({}, {__save = function() return c, "echo" end})})
end):join(LONG)
assert(not ok)
assert(e:find("cannot send a table with a metatable (argument 1: .x)", 1, true),
  e)
assert(select(2, ch:receive(0)) == "timeout")
assert(_G.executed == nil)

-- A session that is trusted may do so still.
local trusted = casting.session()
local task = trusted:spawn(function()
  local f = function(what)
    _G.executed = what
    return {}
  end
  ch:send(setmetatable({}, {__save = function() return f, "as ever" end}))
end)
assert(type(ch:receive(LONG)) == "table")
task:await(LONG)
assert(_G.executed == "as ever")
trusted:close()
assert(session:close(LONG))
