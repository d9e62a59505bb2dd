-- Loaders in package.preload were lost, or spoiled, on their way to a new
-- session: those with a module as an upvalue that has its loader there, too, if
-- that came later, or if it waited while it was loaded; and LuaJIT's own, which
-- put their functions among the globals (`require "table.new"`).
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local preload = package.preload

local function in_sessions(f, ...)
  assert(casting.session():spawn(f, ...):await() == true)
  -- And in one that was made there.
  assert(casting.session():spawn(function(f, ...)
    local casting = require "casting"
    return casting.session():spawn(f, ...):await()
  end, f, ...):await() == true)
end

-- Modules that take each other as upvalues; one waits.
for i = 1, 20 do
  preload["base" .. i] = function()
    require "casting".sleep(0.001)
    return {n = i}
  end
end
for i = 1, 20 do
  local base, other = require("base" .. i), require("base" .. i % 20 + 1)
  preload["top" .. i] = function() return {base.n, other.n} end
end
in_sessions(function()
  for i = 1, 20 do
    local top = require("top" .. i)
    if top[1] ~= i or top[2] ~= i % 20 + 1 then return i end
  end
  return true
end)

-- What is called twice keeps what it remembers.
local count = 0
preload.counted = function(name)
  count = count + 1
  return {count = count, name = name}
end
in_sessions(function()
  local first = require "counted"
  package.loaded.counted = nil
  local second = require "counted"
  return first.count == 1 and second.count == 2 and second.name == "counted"
end)
assert(count == 0)

-- One that cannot cross is left out, and nothing else.
local co = coroutine.create(function() end)
preload.stays = function() return co end
preload.comes = function() return "here" end
in_sessions(function()
  return not pcall(require, "stays") and require "comes" == "here"
end)

-- Loaders may change while they are packed.
local Wild = {}
function Wild.__save()
  for i = 1, 20 do preload["wild" .. i] = nil end
  for i = 1, 40 do preload["grown" .. i] = function() end end
  return function() return "wild" end
end
for i = 1, 20 do
  local wild = setmetatable({}, Wild)
  preload["wild" .. i] = function() return wild end
end
casting.session():close()
for i = 1, 20 do preload["wild" .. i] = nil end

-- Where require does not look, nothing is taken from.
if _VERSION ~= "Lua 5.1" then
  package.preload = {unseen = function() return true end}
  in_sessions(function()
    return not pcall(require, "unseen") and require "comes" == "here"
  end)
  package.preload = preload
end

-- A standard function is one without upvalues, too.
preload.sine = math.abs
in_sessions(function()
  package.loaded["-1"] = nil
  return pcall(package.preload.sine, -1) and package.preload.sine(-1) == 1
end)

-- LuaJIT's extensions.
if rawget(_G, "jit") then
  local names = {"table.new", "table.clear", "string.buffer", "ffi", "bit",
    "jit.util", "jit.profile", "jit.opt"}
  local found = {}
  for i, name in ipairs(names) do
    found[i] = type(select(2, pcall(require, name)))
  end
  in_sessions(function()
    local globals = {}
    for k in pairs(_G) do globals[k] = true end
    for i, name in ipairs(names) do
      if type(select(2, pcall(require, name))) ~= found[i] then return name end
    end
    for k in pairs(_G) do
      if not globals[k] then return k end
    end
    local new = require "table.new"
    return #new(4, 0) == 0 and rawget(table, "new") == new
  end)
  -- Without those libraries there are no extensions of them.
  local limited = casting.session {libs = {"string"}}
  for _, name in ipairs {"ffi", "table.new", "table.clear"} do
    local ok, e = limited:spawn(require, name):join()
    assert(not ok and e:find "not found", e)
  end
  assert(limited:spawn(require, "string.buffer"):join())
end
