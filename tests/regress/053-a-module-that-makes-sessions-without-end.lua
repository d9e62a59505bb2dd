-- A module that makes sessions while it is loaded, which require it, made
-- sessions without end: a program does that if its file has the name of a
-- module that its sessions require.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local made = casting.named("made", math.huge)
casting.on_error(casting.channel(math.huge)) -- they fail on purpose

-- Defines a module of that body, and calls it as a program. Its error, and how
-- many sessions it has made.
local function run(body)
  package.preload.again = body
  while made:try_receive() do end
  local ok, e = pcall(body, "again")
  local n = 0
  while made:try_receive() do n = n + 1 end
  return n, not ok and tostring(e) or nil
end

local function check(body, what)
  local n, e = run(body)
  assert(n > 1 and n < 1000, what .. ": " .. n .. " sessions")
  assert(e and e:find "session: module '%a+' makes sessions while it is loaded",
    what .. ": " .. tostring(e))
end

check(function()
  local casting = require "casting"
  casting.named("made", math.huge):send(1)
  casting.session():spawn(function() return (require "again") end):await()
end, "awaits")

check(function()
  local casting = require "casting"
  casting.named("made", math.huge):send(1)
  casting.session {init = function() require "again" end}
end, "in init")

check(function()
  local casting = require "casting"
  casting.named("made", math.huge):send(1)
  casting.map({1, 2}, function() return (require "again") end, {sessions = 2})
end, "maps")

check(function()
  local casting = require "casting"
  casting.named("made", math.huge):send(1)
  casting.supervisor {children = {{id = 1, start = function() end,
    session = {init = function() require "again" end}}}}
end, "supervises")

check(function() -- by a task that the module spawns
  local casting = require "casting"
  casting.named("made", math.huge):send(1)
  casting.run(function()
    casting.yield()
    casting.run(function()
      casting.session():spawn(function() return (require "again") end):await()
    end)
  end)
end, "spawns")

-- Two modules in turn.
package.preload.other = function()
  require "casting".session():spawn(function()
    return (require "again")
  end):await()
end
check(function()
  local casting = require "casting"
  casting.named("made", math.huge):send(1)
  casting.session():spawn(function() return (require "other") end):await()
end, "in turn")

-- Nobody waits, and each makes several. The sessions end by themselves.
local n = run(function()
  local casting = require "casting"
  for _ = 1, 3 do
    casting.named("made", math.huge):send(1)
    local s = casting.session()
    s:spawn(function() return (require "again") end)
    s:wait()
  end
end)
assert(n > 3 and n < 1000, n)

-- What has an end is not limited: sessions that are made one by the other, but
-- not while a module is loaded,
local function chain(n)
  local casting = require "casting"
  if n == 0 then return 0 end
  return 1 + casting.session():spawn(chain, n - 1):await()
end
assert(chain(60) == 60)
-- or by many modules,
for i = 1, 40 do
  package.preload["level" .. i] = function()
    local casting = require "casting"
    if i == 40 then return i end
    return casting.session():spawn(function()
      return (require("level" .. i + 1))
    end):await()
  end
end
assert(require "level1" == 40)
-- or by one that makes many, or that goes a few times round.
package.preload.wide = function()
  local casting = require "casting"
  local sum = 0
  for i = 1, 100 do
    local s = casting.session()
    sum = sum + s:spawn(function() return i end):await()
    s:close()
  end
  return sum
end
assert(require "wide" == 5050)
package.preload.few = function()
  local casting = require "casting"
  local rounds = casting.named("rounds", math.huge)
  rounds:send(1)
  if #rounds == 10 then return "done" end
  return casting.session():spawn(function() return (require "few") end):await()
end
assert(require "few" == "done")
