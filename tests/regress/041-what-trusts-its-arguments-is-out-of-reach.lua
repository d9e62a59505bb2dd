-- `casting.internal` was a field of the module: internal.unpack(t, -3) returned
-- that number of results, and crashed the process.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local session = casting.session()
local scope
local failed, failure = pcall(casting.scope, function(s)
  scope = s
  error "to be raised"
end)
assert(not failed)
local supervisor = casting.supervisor {children = {}}

-- All that a program can get at, without the debug library.
local function walk(found, seen, v, path)
  if type(v) ~= "table" and type(v) ~= "userdata" or seen[v] then return end
  seen[v] = true
  walk(found, seen, getmetatable(v), path .. " metatable")
  if type(v) ~= "table" then return end
  for k, member in next, v do
    local name = path .. "." .. tostring(k)
    for _, word in ipairs {"unpack", "disown", "prolong", "follow", "cores",
      "run", "builtin"} do
      if k == word and name ~= "casting.run" then found[#found + 1] = name end
    end
    walk(found, seen, member, name)
  end
end

local function look()
  assert(casting.internal == nil)
  local found = {}
  local seen = {[_G] = true, [package.loaded] = true}
  walk(found, seen, casting, "casting")
  walk(found, seen, scope, "scope")
  walk(found, seen, failure, "failure")
  walk(found, seen, supervisor, "supervisor")
  walk(found, seen, casting.channel(), "channel")
  walk(found, seen, session, "session")
  assert(#found == 0, table.concat(found, ", "))
end
look()

-- Nor by a module of the program's that has the name of the thing.
package.loaded["casting.internal"] = {unpack = io.write, run = io.read}
package.preload["casting.internal"] = function()
  return package.loaded["casting.internal"]
end
for _, f in ipairs {"unpack", "run"} do
  local mine = package.loaded["casting.internal"][f]
  local got = session:spawn(function(g) return g == io.write or g == io.read
    end, mine):await(60)
  assert(got == true, f)
end
io.write, io.read = nil, nil -- luacheck: ignore
for _, f in ipairs {"unpack", "run"} do
  local mine = package.loaded["casting.internal"][f]
  local ok, e = pcall(session.spawn, session, type, mine)
  assert(not ok and e:find("cannot send a C function", 1, true), e)
end
look()

-- What crosses by such a name still does.
local ok, e = session:spawn(function()
  require("casting").scope(function() error({code = 7}, 0) end)
end):join(60)
assert(not ok and getmetatable(e) == getmetatable(failure))
assert(e.error.code == 7 and tostring(e):find "stack traceback")
assert(session:spawn(function(s) return s:count_children().specs end,
  supervisor):await(60) == 0)
assert(session:spawn(supervisor.stop, supervisor):await(60) == true)
