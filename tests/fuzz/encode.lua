-- encode.lua - a machine that builds graphs of values, for the fuzzer encode.c.
-- SPDX-License-Identifier: MIT
--
-- A program is a string. Its first two bytes say whether an allocation fails;
-- then come instructions: a byte, which is an index into `instructions`, and
-- its operands, bytes too. What has been made lies in the list `nodes`; an
-- operand `any` is a node or a scalar. Missing bytes are zero, so every string
-- is a program. seeds.lua writes such programs with the instructions' names.
local M = {}

local unpack = table.unpack or unpack
local loadstring = loadstring or load
local has_sharing = debug.upvalueid ~= nil

-- -- reading the program ------------------------------------------------------

local data, at, fuel, fuzz

local function byte()
  at = at + 1
  return data:byte(at) or 0
end
local function bytes(n)
  local s = data:sub(at + 1, at + n)
  at = at + #s
  return s
end
-- What an input makes in all is limited, not what one instruction makes.
local function spend(n)
  n = math.min(n, fuel)
  fuel = fuel - n
  return n
end

-- -- nodes --------------------------------------------------------------------

local nodes
local fixed -- what no instruction may change: modules and their parts
local is_wild -- something may refuse to cross, or change while it does

-- On 5.2 and 5.3 the error of a finalizer is raised in whatever runs then, and
-- most functions here are none that could be one.
local gc = (_VERSION == "Lua 5.2" or _VERSION == "Lua 5.3") and "gc" or "__gc"
local scalars = {false, true, 0, 1, -1, -2, 126, 127, 128, -32768, 32768,
  2 ^ 31 - 1, 2 ^ 31, -2 ^ 31, -2 ^ 31 - 1, 2 ^ 53, 2 ^ 63, -2 ^ 63, 0.5, -0.0,
  1 / 0, -1 / 0, 0 / 0, 5e-324, 1e308, math.maxinteger or 1e15,
  math.mininteger or -1e15, 3, 4, 5, "", "a", "__index", gc, "__mode",
  "key", "\0", ("x"):rep(31), ("y"):rep(32), ("z"):rep(255), ("w"):rep(256),
  ("v"):rep(4096)}

local function add(v)
  if v ~= nil and #nodes < 250 then nodes[#nodes + 1] = v end
  return v
end
local function node()
  return nodes[byte() % math.max(#nodes, 1) + 1]
end
local function any()
  local b = byte()
  if b < 96 then return nodes[b % math.max(#nodes, 1) + 1] end
  return scalars[b % (#scalars + 1) + 1]
end
-- A node that may be changed, of that type; or nil.
local function changeable(kind)
  local v = node()
  if type(v) == kind and not fixed[v] then return v end
end
-- Can it be a key?
local function is_key(k) return k ~= nil and k == k end

-- -- functions ----------------------------------------------------------------

-- Makers of functions, each with upvalues of its own.
local function two_that_share(a, b)
  return function(set, x, y)
    if set then a, b = x, y end
    return a, b
  end, function() return b, a end
end
local function counter(n)
  return function(more)
    n = n + more
    return n
  end
end
local function many_upvalues(v)
  local a, b, c, d, e, f, g, h, i = v, 1, "two", 3.5, false, {}, v, nil, v
  return function() return a, b, c, d, e, f, g, h, i end
end
local function recursive(v)
  local function f(n) return n == 0 and v or f(n - 1) end
  return f
end
local function nested(v)
  return function(w)
    return function() return v, w end
  end
end
local chunks = {"return 1", "local a = ... return a, {1, 2, 'x'}",
  "local t = {} for i = 1, 9 do t[i] = function() return i, t end end return t",
  "x = (x or 0) + 1 return x", "return ...",
  "local s = 'a long constant of more than forty bytes, as there are some' " ..
    "return s .. s, 1e300, -7, 2^53"}

local function with_environment(chunk, env)
  if setfenv then return setfenv(loadstring(chunk), env) end
  return load(chunk, "=env", "t", env)
end

local function library()
  local geometry = require "fuzz.geometry"
  return {type, string.format, string, table, math, _G, geometry,
    geometry.Point, geometry.data, geometry.deep, geometry.deep.Inner,
    geometry.deep.byte, geometry.Point.new, coroutine.wrap, pcall,
    geometry.keep}
end

-- -- instructions -------------------------------------------------------------

local instructions = {}
local index_of = {}
local function define(name, f)
  instructions[#instructions + 1] = f
  index_of[name] = #instructions - 1
end

define("scalar", function() add(scalars[byte() % #scalars + 1]) end)
define("integer", function()
  local v = byte()
  for _ = 1, 3 do v = v * 256 + byte() end
  add(v - 2 ^ 31)
end)
define("string", function() add(bytes(byte() % 64)) end)
define("long_string", function()
  local b, n = byte(), byte()
  add(string.char(b):rep(spend(2 ^ (n % 17) + b % 3)))
end)
define("table", function() add {} end)
define("set", function()
  local t, k, v = changeable "table", any(), any()
  if t and is_key(k) then rawset(t, k, v) end
end)
define("append", function()
  local t = changeable "table"
  for _ = 1, byte() % 8 do
    local v = any()
    if t then rawset(t, #t + 1, v) end
  end
end)
define("fill", function() -- an array of integers
  local t, n = changeable "table", byte()
  if t then
    for i = 1, spend(n) do rawset(t, i, i * n) end
  end
end)
define("records", function()
  local list, n = {}, byte()
  for i = 1, spend(n) do list[i] = {id = i, name = "n" .. i % 7, v = i / 2} end
  add(list)
end)
define("metatable", function()
  local t, mt = changeable "table", node()
  if t and type(mt) == "table" then debug.setmetatable(t, mt) end
end)
define("chain", function() -- deep, by way of tables or of functions
  local v, n, kind = any(), byte(), byte() % 4
  for _ = 1, spend(n * 4) do
    local inner = v
    if kind == 0 then
      v = {inner}
    elseif kind == 1 then
      v = {next = inner, inner}
    elseif kind == 2 then
      v = function() return inner end
    else
      v = inner ~= nil and inner == inner and {[inner] = 1} or {}
    end
  end
  add(v)
end)
define("sharing", function()
  local f, g = two_that_share(any(), any())
  add(f)
  add(g)
end)
define("closure", function()
  local makers = {counter, many_upvalues, recursive, nested}
  add(makers[byte() % 4 + 1](any()))
end)
define("chunk", function()
  add(loadstring(chunks[byte() % #chunks + 1], "=chunk"))
end)
define("environment", function()
  local env = changeable "table"
  if env then add(with_environment(chunks[byte() % #chunks + 1], env)) end
end)
define("stripped", function()
  local f = changeable "function"
  if f and debug.getinfo(f, "S").what == "Lua" then
    add(loadstring(string.dump(f, true)))
  end
end)
define("set_upvalue", function()
  local f, i, v = changeable "function", byte() % 10 + 1, any()
  if f and debug.getinfo(f, "S").what ~= "C" then debug.setupvalue(f, i, v) end
end)
define("join_upvalues", function()
  local f, i = changeable "function", byte() % 10 + 1
  local g, k = changeable "function", byte() % 10 + 1
  if f and g and has_sharing and debug.getinfo(f, "S").what ~= "C" and
    debug.getinfo(g, "S").what ~= "C" and debug.getupvalue(f, i) and
    debug.getupvalue(g, k) then
    debug.upvaluejoin(f, i, g, k)
  end
end)
define("library", function()
  local list = library()
  local v = list[byte() % #list + 1]
  fixed[v] = true
  add(v)
end)
define("handle", function() add(fuzz.new_handle()) end)
define("light", function() add(fuzz.new_light(byte())) end)
define("box", function()
  is_wild = true
  add(fuzz.new_box())
end)
define("save", function() -- what __save returns: a constructor, and any
  is_wild = true
  local list, t, mutate = {}, changeable "table", byte() % 4
  for i = 1, byte() % 4 + 1 do list[i] = any() end
  local mt = {__save = function(self)
    if mutate == 1 and t then rawset(t, 1, self) end
    if mutate == 2 and t then for k in next, t do t[k] = nil end end
    if mutate == 3 then error(list[1]) end
    return unpack(list, 1, #list)
  end}
  add(setmetatable({}, mt))
  add(mt)
end)
define("stranger", function() -- what cannot cross
  is_wild = true
  local kind = byte() % 4
  if kind == 0 then add(coroutine.create(function() end)) end
  if kind == 1 then add(io.stdout) end
  if kind == 2 then add(fuzz.cross) end
  if kind == 3 then add(string.gmatch("", "")) end
end)
define("finalizer", function() -- garbage whose finalizer changes a table
  local t, mt = changeable "table", {}
  is_wild = true
  mt.__gc = function()
    if not t then return end
    for k in next, t do t[k] = nil end
    rawset(t, "new", {})
  end
  if newproxy then
    local p = newproxy(true)
    debug.getmetatable(p).__gc = mt.__gc
  else
    setmetatable({}, mt)
  end
end)
define("collect", function()
  if byte() % 2 == 0 then
    collectgarbage()
  else
    collectgarbage("step", 1)
  end
end)
define("send", function() M.send(byte() % 4 + 1, byte()) end)
M.index_of, M.scalars = index_of, scalars

-- -- comparing ----------------------------------------------------------------

-- Walks both at the same time; `map` leads from the one's objects to the
-- other's, `back` the other way. Entries whose keys are objects wait until the
-- key has been met, or is the only such key that has not.
local function compare(first, second)
  local map, back, work, late, variables = {}, {}, {}, {}, {}
  local function push(a, b, path) work[#work + 1] = {a, b, path} end
  local function check(ok, path, why)
    if not ok then error(path .. ": " .. why, 0) end
  end

  local function walk_function(a, b, path)
    local x, y = debug.getinfo(a, "Su"), debug.getinfo(b, "Su")
    check(x.what == y.what and x.what ~= "C", path, "another kind of function")
    check(x.source == y.source and x.linedefined == y.linedefined, path,
      x.source .. ":" .. x.linedefined .. " became " .. y.source .. ":" ..
      y.linedefined)
    for i = 1, x.nups do
      local name, v = debug.getupvalue(a, i)
      local other, w = debug.getupvalue(b, i)
      check(name == other, path, "another upvalue")
      push(v, w, path .. " ^" .. i)
      -- Which functions share that of the globals does not matter.
      if has_sharing and v ~= _G then
        local p, q = debug.upvalueid(a, i), debug.upvalueid(b, i)
        check((variables[p] or q) == q and (variables[q] or p) == p, path,
          "upvalues are shared in another way")
        variables[p], variables[q] = q, p
      end
    end
    if getfenv then push(getfenv(a), getfenv(b), path .. " env") end
    -- Where its upvalues come from may differ in it (factory.c).
    if not jit and x.source ~= "=?" then
      check(#string.dump(a, true) == #string.dump(b, true), path,
        "another bytecode")
    end
  end

  local function is_object(v)
    return type(v) == "table" or type(v) == "function" or
      type(v) == "userdata" and fuzz.box_full(v) == nil
  end
  local function walk_table(a, b, path)
    push(debug.getmetatable(a), debug.getmetatable(b), path .. " metatable")
    local count = 0
    for k, v in next, a do
      count = count + 1
      if is_object(k) then
        late[#late + 1] = {a, b, k, v, path}
      else
        push(v, rawget(b, k), path .. "[" .. tostring(k):sub(1, 20) .. "]")
      end
    end
    for _ in next, b do count = count - 1 end
    check(count == 0, path, "entries came or went")
  end

  -- The partner of a key that has not been met: there may be only one.
  local function partner(a, b, k)
    local found, n = nil, 0
    for other in next, a do
      if is_object(other) and not map[other] and other ~= k then return end
    end
    for other in next, b do
      if is_object(other) and not back[other] then found, n = other, n + 1 end
    end
    if n == 1 then return found end
  end
  local function walk_late()
    local rest, done = {}, false
    for i = 1, #late do
      local a, b, k, v, path = unpack(late[i], 1, 5)
      local other = map[k] or rawget(b, k) ~= nil and k or partner(a, b, k)
      if other then
        done = true
        push(k, other, path .. " key")
        push(v, rawget(b, other), path .. "[an object]")
      else
        rest[#rest + 1] = late[i]
      end
    end
    late = rest
    return done
  end

  for i = 1, #first do push(first[i], second[i], "value " .. i) end
  while #work > 0 or #late > 0 and walk_late() do
    if #work > 0 then
      local a, b, path = unpack(table.remove(work), 1, 3)
      check(type(a) == type(b), path, type(a) .. " became " .. type(b))
      local id = type(a) == "userdata" and fuzz.identity(a)
      if id then
        check(id == fuzz.identity(b), path, "another handle")
        map[a], back[b] = b, a
      elseif math.type and math.type(a) ~= math.type(b) then
        error(path .. ": another kind of number", 0)
      elseif type(a) ~= "table" and type(a) ~= "function" then
        check(rawequal(a, b) or a ~= a and b ~= b, path, "another " .. type(a))
        check(a ~= 0 or 1 / a == 1 / b, path, "another zero")
      elseif map[a] or back[b] then
        check(rawequal(map[a], b) and rawequal(back[b], a), path,
          "sharing is lost")
      else
        map[a], back[b] = b, a
        -- What goes by name comes back as the same.
        if not rawequal(a, b) then
          local walk = type(a) == "table" and walk_table or walk_function
          walk(a, b, path)
        end
      end
    end
  end
end

-- -- running ------------------------------------------------------------------

local fail, many

-- The last n nodes cross; `how` is a byte: mostly a plain send.
function M.send(n, how)
  how = how < 200 and 0 or how < 230 and 1 or 2
  local list = {}
  for i = math.max(1, #nodes - n + 1), #nodes do list[#list + 1] = nodes[i] end
  local back = {fuzz.cross(fail, many, how, unpack(list))}
  if fail == 0 and not is_wild then
    if not back[1] then error(back[2], 0) end
    table.remove(back, 1)
    if how ~= 2 then compare(list, back) end
  end
end

function M.run(functions, program)
  fuzz, data, at, fuel = functions, program, 0, 4000
  nodes, fixed, is_wild = {}, {}, false
  local f, m = byte(), byte()
  fail, many = f < 128 and 0 or (f - 128) * (m % 4 == 0 and 1 or 8), m % 8 + 1
  while at < #data do instructions[byte() % #instructions + 1]() end
  M.send(4, 0)
  -- Later messages find what the first ones have left behind.
  M.send(250, 0)
  M.send(2, 0)
end

return M
