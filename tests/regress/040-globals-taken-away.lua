-- A program that takes globals away once it has loaded casting: what of the
-- library is written in Lua is loaded at its first use, and met no `error`, no
-- `getmetatable` any more.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local session = casting.session()

local function try(casting)
  local base = {assert = assert, pcall = pcall, print = print,
    select = select, tostring = tostring, type = type}
  local pcall = base.pcall
  local function fail() local _ = nil + 1 end
  local function check(name, ok, e)
    base.assert(not ok and base.tostring(e.error):find("arithmetic", 1, true),
      name)
  end
  local names = {}
  for name, v in pairs(_G) do
    if base.type(v) == "function" then names[#names + 1] = name end
  end
  for i = 1, #names do _G[names[i]] = nil end
  local calls = 0
  function error() calls = calls + 1 end -- luacheck: ignore

  base.assert(casting.scope(function(scope)
    return scope:spawn(function() return 7 end):await()
  end) == 7)
  check("scope", pcall(casting.scope, fail))
  local a, b = casting.all {function() return 1 end, function() return 2 end}
  base.assert(a == 1 and b == 2)
  check("all", pcall(casting.all, {fail}))
  base.assert(base.select("#", casting.race {function() return 1 end}) == 2)
  check("race", pcall(casting.race, {fail}))
  base.assert(casting.map({1, 2}, function(n) return n * n end)[2] == 4)
  check("map", pcall(casting.map, {1}, fail))
  local supervisor = casting.supervisor {
    children = {{id = "a", start = "require('casting').sleep(100)"}},
  }
  base.assert(supervisor:count_children().active == 1)
  base.assert(supervisor:stop() == true)
  local ok, e = pcall(casting.scope, "no function")
  base.assert(not ok and e:find("bad argument #1 to 'scope'", 1, true), e)
  base.assert(casting.with_timeout(10, function() return 1 end) == true)
  base.assert(calls == 0, "a function of the program's was called")
  return "done"
end

-- In a session the module itself is made when something asks for it; here that
-- is the second task.
session:spawn("wanted = getmetatable getmetatable, setmetatable, pairs = nil")
  :join()
local ok, why = session:spawn(function()
  local require, assert = require, assert
  error, ipairs, select, pcall = nil, nil, nil, nil -- luacheck: ignore
  assert(require("casting").all {function() return 1 end} == 1)
  return true
end):join(60)
assert(ok, why)
session:close()
local other = casting.session()
ok, why = other:spawn(try, casting):join(60)
assert(ok, why)
other:close()
local write, exit = io.stderr, os.exit
ok, why = pcall(try, casting)
if not ok then
  write:write(why, "\n")
  exit(1, false)
end
