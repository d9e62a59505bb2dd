-- names.lua - a machine that loads and changes modules, for the fuzzer names.c.
-- SPDX-License-Identifier: MIT
--
-- A program is a string of instructions: a byte, which is an index into
-- `instructions`, and its operands. The list `nodes` holds tables and functions
-- that the program makes, puts into modules and takes out of them. The same
-- program runs in several states; only in one of them does `send` do anything.
local M = {}

-- The program may put anything in place of these.
local loadstring = loadstring or load
local byte_of, rep, gmatch = string.byte, string.rep, string.gmatch
local concat, setmeta = table.concat, debug.setmetatable

local data, at, nodes, fuzz, sends

local function byte()
  at = at + 1
  return byte_of(data, at) or 0
end
local LONG = 70000 -- bytes of a name that is too long
local function choose(list)
  local v = list[byte() % #list + 1]
  return v == "long" and rep(v, LONG / 4) or v
end
local function node() return nodes[byte() % #nodes + 1] end
local function table_node()
  local v = node()
  if type(v) == "table" then return v end
end
local function add(v)
  if #nodes < 100 then nodes[#nodes + 1] = v end
end

local modules = {"alpha", "beta", "alpha.inner", "string", "casting", "_G",
  "casting.internal", "", "zero\0byte", "long", 5, "table"}
local keys = {"a", "b", "Point", "__index", "__gc", "__name", "__", "format",
  "byte", "insert", "zero\0byte", "", "long", 1, true,
  "casting.internal", "deep"}
M.modules, M.keys = modules, keys

local loaded, preload = package.loaded, package.preload
package.path, package.cpath = "", ""

-- -- instructions -------------------------------------------------------------

local instructions = {}
local index_of = {}
local function define(name, f)
  instructions[#instructions + 1] = f
  index_of[name] = #instructions - 1
end

define("table", function() add {} end)
define("lua_function", function() add(loadstring "return 1") end)
define("c_function", function() add(fuzz.c_function(byte() % 6)) end)
define("c_closure", function() add(fuzz.c_closure(byte() % 6)) end)
define("set", function()
  local t, k, v = table_node(), choose(keys), node()
  if t and t ~= _G and t ~= loaded then rawset(t, k, v) end
end)
define("clear", function()
  local t, k = table_node(), choose(keys)
  if t and t ~= _G and t ~= loaded then rawset(t, k, nil) end
end)
define("set_global", function()
  local k, v = choose(keys), node()
  _G[k] = v
end)
define("module", function() loaded[choose(modules)] = node() end)
define("unload", function() loaded[choose(modules)] = nil end)
define("preload", function()
  local name, v = choose(modules), node()
  preload[name] = function() return v end
end)
define("require", function() pcall(require, choose(modules)) end)
define("metatable", function()
  local t, mt = table_node(), table_node()
  if t and mt and t ~= _G and t ~= loaded then setmeta(t, mt) end
end)
define("library", function()
  add(choose {string, string.format, table, table.insert, _G, print, loaded,
    math, math.floor, debug, coroutine, coroutine.wrap})
end)
define("collect", function() collectgarbage() end)
define("module_at_fields", function() -- v is found at three places
  local v = node()
  local t = {a = v, deep = {Point = v}}
  loaded[choose(modules)] = t
  add(t)
end)
define("send", function()
  local v, w = node(), node()
  if sends then fuzz.send(v, w) end
end)
M.index_of = index_of

-- -- running ------------------------------------------------------------------

-- What has that name here.
local function look(name)
  local here, first = nil, true
  for key in gmatch(name .. "\0", "(%Z*)%z") do
    if first then
      here = key == "_G" and _G or loaded[key]
      first = false
    elseif type(here) == "table" and rawget(here, key) ~= nil then
      here = rawget(here, key)
    else
      here = select(2, pcall(function() return here[key] end))
    end
  end
  return here
end

-- What came to B under that name is what has it there.
function M.check(name, v, kind)
  assert(type(v) == kind, "another type")
  assert(rawequal(look(name), v), "another object")
end

-- Runs the program; returns how each of the nodes crosses, in one string. With
-- `backwards` they are asked in another order, which must not matter. Of
-- several names one that was noted may be another than would be found now.
function M.run(functions, program, does_send, backwards)
  fuzz, data, at, sends = functions, program, 0, does_send
  nodes = {{}}
  while at < #data do instructions[byte() % #instructions + 1]() end
  local ways, first, last, step = {}, 1, #nodes, 1
  if backwards then first, last, step = last, first, -1 end
  for i = first, last, step do
    local way, name = fuzz.name_of(nodes[i])
    if name then assert(rawequal(look(name), nodes[i]), "a wrong name") end
    ways[i] = i .. " " .. type(nodes[i]) .. ": " .. way
  end
  return concat(ways, "\n")
end

return M
