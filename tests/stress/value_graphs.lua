-- value_graphs.lua - random graphs of values, through channels and sessions:
-- what arrives has the same shape, sharing and cycles as what was sent.
-- SPDX-License-Identifier: MIT
--
-- See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed = kit.arguments()
local random = kit.generator(seed)

local handles = {casting.channel(), casting.channel(3), casting.session()}
local library = {print, string.format, table, math.max, casting,
  casting.channel, coroutine.wrap, io, string}
-- Upvalues that two functions share stay shared, but not in 5.1.
local sharing = debug.upvalueid ~= nil

local function scalar()
  local kind = random(12)
  if kind == 1 then return random(2) == 1 end
  if kind == 2 then return random(300) - 150 end
  if kind == 3 then return (random() - 0.5) * 2 ^ random(200) end
  if kind == 4 then return random(2147483646) * 4096 end
  if kind == 5 then return 1 / 0 end
  if kind == 6 then return -(2 ^ (random(60) + 3)) end
  if kind == 7 then return handles[random(#handles)] end
  if kind == 8 then return library[random(#library)] end
  if kind == 9 then return ("long "):rep(random(2000)) end
  local bytes = {}
  for i = 1, random(kind == 10 and 4 or 50) - 1 do
    bytes[i] = string.char(random(256) - 1)
  end
  return table.concat(bytes)
end

-- A function with two upvalues; the first argument sets them.
local function closure()
  local a, b
  local function get(set, x, y)
    if set then a, b = x, y end
    return a, b
  end
  local function other() return b, a end
  return get, other
end

-- n tables and functions, wired at random; returns the list of them.
local function graph(n)
  local nodes, setters = {}, {}
  for i = 1, n do
    if random(4) == 1 then
      local get, other = closure()
      nodes[#nodes + 1] = get
      setters[get] = true
      if random(2) == 1 then nodes[#nodes + 1] = other end
    else
      nodes[#nodes + 1] = {}
    end
    if i > 1 and random(6) == 1 and type(nodes[#nodes]) == "table" and
      type(nodes[#nodes - 1]) == "table" then
      setmetatable(nodes[#nodes], nodes[#nodes - 1])
    end
  end
  local function any()
    if random(2) == 1 then return nodes[random(#nodes)] end
    return scalar()
  end
  for i = 1, #nodes do
    local node = nodes[i]
    if type(node) == "table" then
      for k = 1, random(6) - 1 do rawset(node, k, any()) end
      for _ = 1, random(5) - 1 do rawset(node, any(), any()) end
    elseif setters[node] then
      node(true, any(), any())
    end
  end
  return nodes
end

-- Compares by walking both at the same time; `map` leads from the one's
-- tables and functions to the other's. An entry whose key is such an object
-- waits until the key has been met elsewhere (the root lists them all).
-- Returns how many values there were.
local function same(a, b)
  local map, back, work, late = {}, {}, {{a, b, "root"}}, {}
  local compared = 0
  local function check(ok, path, why)
    kit.check(ok, "%s: %s", path, why)
  end
  local function push(x, y, path) work[#work + 1] = {x, y, path} end

  local function walk_function(x, y, path)
    for i = 1, 10 do
      local name, v = debug.getupvalue(x, i)
      local other, w = debug.getupvalue(y, i)
      check(name == other, path, "another upvalue")
      if not name then break end
      if name ~= "_ENV" then push(v, w, path .. " ^" .. name) end
    end
  end

  local function walk_table(x, y, path)
    push(debug.getmetatable(x), debug.getmetatable(y), path .. " meta")
    local count = 0
    for k, v in next, x do
      count = count + 1
      if type(k) == "table" or type(k) == "function" then
        late[#late + 1] = {y, k, v, path}
      else
        push(v, rawget(y, k), path .. "[" .. tostring(k):sub(1, 20) .. "]")
      end
    end
    for _ in next, y do count = count - 1 end
    check(count == 0, path, "entries came or went")
  end

  while #work > 0 or #late > 0 do
    if #work == 0 then
      local y, k, v, path = (table.unpack or unpack)(table.remove(late))
      push(v, rawget(y, map[k] or k), path .. "[an object]")
    end
    local x, y, path = (table.unpack or unpack)(table.remove(work), 1, 3)
    compared = compared + 1
    check(type(x) == type(y), path, type(x) .. " became " .. type(y))
    if math.type then
      check(math.type(x) == math.type(y), path, "another kind of number")
    end
    if type(x) ~= "table" and type(x) ~= "function" then
      check(rawequal(x, y), path, "another " .. type(x))
    elseif map[x] then
      check(rawequal(map[x], y), path, "sharing is lost")
    elseif not rawequal(x, y) then
      check(not back[y], path, "two became one")
      map[x], back[y] = y, x
      if type(x) == "function" then
        walk_function(x, y, path)
      else
        walk_table(x, y, path)
      end
    end
  end
  return compared
end

-- Sharing of upvalues: setting one through the one function shows in both.
local function check_sharing()
  if not sharing then return end
  local get, other = closure()
  get(true, 1, 2)
  local ch = casting.channel(1)
  ch:send({get, other})
  local copy = ch:receive()
  copy[1](true, 3, 4)
  local b, a = copy[2]()
  kit.check(a == 3 and b == 4, "upvalues are not shared any more")
  a, b = get()
  kit.check(a == 1 and b == 2, "an upvalue is shared with the sender")
end

local echo = casting.session()
local there, back = casting.channel(), casting.channel(4)
local server = echo:spawn(function(there, back)
  for v in there do back:send(v) end
  back:close()
end, there, back)

-- A million values a run, each through a channel and through a session.
local wanted = kit.scaled(1000000, 1000)
local values, round = 0, 0
while values < wanted do
  round = round + 1
  local nodes = graph(random(round % 10 == 0 and 400 or 30))
  -- The list holds every node, so that all of them are reached by numbers.
  local ch = casting.channel(1)
  ch:send(nodes)
  values = values + same(nodes, (ch:receive()))
  there:send(nodes)
  same(nodes, (back:receive()))
  if round % 100 == 0 then check_sharing() end
end
there:close()
kit.join(server, "the echo")
echo:close()
print(("value_graphs: %d values came as they went"):format(values))
