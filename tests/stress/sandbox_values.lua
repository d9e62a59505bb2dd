-- sandbox_values.lua - random values that leave a sandbox arrive as data.
-- SPDX-License-Identifier: MIT
--
-- In a sandbox values of all kinds are made at random, and tried to be sent in
-- all ways. Those that may leave arrive, as tables without metatables and
-- handles; those with anything else in them are refused, wherever it is.
-- See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed = kit.arguments()
local random = kit.generator(seed)

-- Runs in the sandbox: makes n values from a stream of random numbers, and
-- sends each of them into `out`, with whether it should have been possible.
local function make(out, code, seeds)
  local c = require "casting"
  local state = seeds
  local function rnd(n)
    state = (state * 16807) % 2147483647
    return state % n + 1
  end
  local bad = {print, function() end, coroutine.create(function() end), _G,
    string, c, setmetatable({}, {}), setmetatable({}, {__index = {}}), code,
    setmetatable({1}, {__save = function() return print end}), c.channel,
    c.cancelled, package.loaded}
  local handles = {c.channel(1), c.self(), c.self():session(), c.pack({1})}
  local seen, clean
  local function value(depth)
    local kind = rnd(depth > 40 and 8 or 12)
    if kind == 1 then return rnd(2) == 1 end
    if kind == 2 then return rnd(1000) / 7 end
    if kind == 3 then return ("s"):rep(rnd(80)) end
    if kind == 4 then return ("long"):rep(rnd(4000)) end
    if kind == 5 then return handles[rnd(#handles)] end
    if kind == 6 and #seen > 0 then return seen[rnd(#seen)] end
    if kind == 7 then
      return setmetatable({reason = rnd(2) == 1 and "why" or {print}},
        c.cancelled)
    end
    if kind == 8 and rnd(60) == 1 then
      clean = false
      return bad[rnd(#bad)]
    end
    if kind <= 8 then return rnd(100000) end
    local t = {}
    seen[#seen + 1] = t
    for i = 1, rnd(4) - 1 do t[i] = value(depth + 1) end
    for _ = 1, rnd(4) - 1 do
      local k = rnd(6) == 1 and value(depth + 1) or "k" .. rnd(20)
      if k == k then t[k] = value(depth + 1) end
    end
    if rnd(10) == 1 then
      local at = t
      for _ = 1, 100 do
        at.deep = {}
        at = at.deep
      end
      at.deep = value(depth + 30)
    end
    if rnd(12) == 1 then t.__index = value(depth + 1) end
    return t
  end
  local sent, refused = 0, 0
  for i = 1, 300 do
    seen, clean = {}, true
    local v = value(1)
    local how = i % 3
    local ok, e
    if how == 0 then
      ok, e = pcall(out.send, out, i, v)
    elseif how == 1 then
      ok, e = pcall(c.select, {{out, i, v}})
    else
      local packed
      ok, packed = pcall(c.pack, i, v)
      e = packed
      if ok then out:send(packed) end
    end
    -- What is bad may have been put into a place that was overwritten.
    if ok and not clean then clean = nil end
    if not ok and (clean or not e:find("cannot send", 1, true)) then
      error("refused: " .. tostring(e))
    end
    if ok then sent = sent + 1 else refused = refused + 1 end
  end
  out:send "end" -- a sandbox does not close what it was given
  return sent, refused
end

-- Is there nothing but data in v?
local function check(v, seen)
  local kind = type(v)
  assert(kind ~= "function" and kind ~= "thread", kind)
  if kind == "userdata" then
    local title = getmetatable(v)
    assert(title == "casting.channel" or title == "casting.task" or
      title == "casting.session" or title == "casting.message", title)
    if title == "casting.message" then check({v:unpack()}, seen) end
  end
  if kind ~= "table" or seen[v] then return end
  seen[v] = true
  if casting.is_cancelled(v) then
    assert(v.reason == nil or v.reason == "why")
    assert(next(v) == nil or next(v) == "reason" and next(v, "reason") == nil)
    return
  end
  assert(getmetatable(v) == nil)
  for k, x in next, v do
    check(k, seen)
    check(x, seen)
  end
end

local total, refusals = 0, 0
for _ = 1, 6 do
  local session = casting.session {sandbox = true}
  local out = casting.channel(10)
  local task = session:spawn(make, out, casting.pack(function() end),
    random(2147483646))
  for i, v in out do
    if i == "end" then break end
    check(v, {})
    total = total + 1
  end
  local sent, refused = task:await(60)
  refusals = refusals + refused
  assert(sent + refused == 300)
  session:close()
end
assert(total > 200 and refusals > 20, total .. " " .. refusals)
print(("%d values, %d refusals"):format(total, refusals))
