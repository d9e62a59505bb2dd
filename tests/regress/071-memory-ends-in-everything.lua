-- LuaJIT crashed when the memory of a session ended in compiled code (up to
-- 2023), or in one of its functions in assembler that make strings (up to now,
-- compiled or not): it wrote the error's text over frames that lived.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"
local helper = require "helper"

-- Each is called until there is no memory.
local function work()
  local unpack = table.unpack or unpack
  local keep

  local function deep(n)
    if n == 0 then return {} end
    return {deep(n - 1), n}
  end
  local function count(n) return n == 0 and 0 or 1 + count(n - 1) end
  -- A metamethod leaves the top of the stack far from where it is needed next.
  local concatenates = {__concat = function() return "c" .. tostring(#keep) end}
  local indexes = {__index = function(_, k) return {tostring(k):upper()} end}
  local many = {}
  for i = 1, 1000 do many[i] = i end

  local steps = {
    function(i) return {i} end,
    function(i) return {x = i, y = i} end,
    function(i) return "s" .. i end,
    function(i) return tostring(i) .. "k" .. tostring(i + 0.5) end,
    function(i) return function() return i end end,
    function(i) return ("x"):rep(i % 500) .. i end,
    function(i) return ("%d %s"):format(i, "abc") end,
    function(i) return table.concat({i, "a", i}, ",") end,
    function(i) return ("abc"):gsub(".", function(c) return c .. i end) end,
    function(i) return ("ABC" .. i):lower() end,
    function(i) return ("abc" .. i):upper():reverse() end,
    function(i) return ("abc" .. i):sub(2, 3) .. string.char(i % 256, 65) end,
    function() return setmetatable({}, concatenates) .. "x" end,
    function(i) return setmetatable({}, indexes)[i] end,
    function(i) return {pcall(function() return {i} end)} end,
    function(i) return {select(i % 9 + 1, unpack({i, i, i}))} end,
    function() return deep(30) end,
    function() return count(1000) .. "" end,
    function(i)
      return assert((loadstring or load)("return {" .. i .. "}"))()
    end,
    function(i) for k, v in pairs {a = {}, b = {i}} do keep[k .. i] = v end end,
    function() return coroutine.create(function() end) end,
    function(i)
      return coroutine.wrap(function() coroutine.yield({i}) end)()
    end,
    function()
      local co = coroutine.create(function(...) return {...} end)
      return select(2, coroutine.resume(co, unpack(many)))
    end,
    function(i)
      local channel = require "casting".channel(1)
      channel:try_send({i, "s" .. i})
      return {channel:try_receive(), channel}
    end,
    function(i)
      require "casting".yield()
      return {i}
    end,
  }
  if rawget(_G, "jit") then
    local ffi = require "ffi"
    steps[#steps + 1] = function() return ffi.new "double[3]" end
    steps[#steps + 1] = function(i)
      return ffi.string(ffi.new("char[8]", "abc"), 3) .. i
    end
    steps[#steps + 1] = function()
      return ffi.gc(ffi.new "int[2]", function() end)
    end
  end

  local function loop(step, n)
    for i = 1, n do keep[#keep + 1] = step(i) end
  end
  local ended = 0
  for k, step in ipairs(steps) do
    keep = {}
    local ok, why = pcall(loop, step, 20000)
    keep = nil
    for _ = 1, 10 do pcall(collectgarbage) end -- the first may have no memory
    if not ok then
      ended = ended + 1
      -- (LuaJIT up to 2023 gives the last argument instead of the error, when
      -- the stack of the coroutine that is to be resumed cannot grow.)
      assert(tostring(why):match "not enough memory" or why == 1000, why)
    end
    keep = {k}
  end
  return ended, #steps
end

for i = 1, 3 do
  local session = casting.session{memory = 250000 + i * 37777}
  local ok, ended, all = session:spawn(work):join(20 * helper.LONG)
  assert(ok, ended)
  assert(ended > all / 2, ended .. " of " .. all)
  assert(session:close(helper.LONG))
end

-- The two at once, with the stacks as they must be for a crash. No collection
-- comes between, which would set the top.
local function exactly(which)
  local clock, tostring, pcall = os.clock, tostring, pcall
  local text = ("0123456789abcdeF"):rep(20)
  local values, hog = {}, {}
  for i = 1, 200 do values[i] = false end
  for i = 1, 8000 do hog[i] = false end
  local function fill(n)
    for i = 1, n do hog[i] = {} end
  end
  local functions = {
    tostring = function()
      for i = 1, 100 do values[i] = tostring(i + 1e6) end
    end,
    char = function()
      for i = 1, 100 do values[i] = string.char(i, i + 1, i + 2) end
    end,
    sub = function()
      for i = 1, 100 do values[i] = text:sub(i, i + 5 + i) end
    end,
    lower = function()
      for i = 1, 100 do values[i] = text:lower() end
    end,
    upper = function()
      for i = 1, 100 do values[i] = text:upper() end
    end,
    reverse = function()
      for i = 1, 100 do values[i] = text:reverse() end
    end,
  }
  local function deep(n)
    if n == 0 then return clock() * 0 end
    return deep(n - 1) + 1
  end
  local function numbers(n)
    local a, b, c, d, e, f, g, h = n, n, n, n, n, n, n, n
    if n > 0 then return a + numbers(n - 1) end
    fill(8000)
    return a + b + c + d + e + f + g + h
  end
  functions.compiled = function() end
  local f = functions[which]
  collectgarbage()
  collectgarbage "stop"
  fill(200) -- compiles it
  deep(20)
  local ok = pcall(numbers, 5)
  clock()
  local still = pcall(f)
  hog, values = #hog, #values
  collectgarbage "restart"
  for _ = 1, 10 do pcall(collectgarbage) end
  return ok, still, hog + values
end

for _, which in ipairs {"compiled", "tostring", "char", "sub", "lower", "upper",
    "reverse"} do
  local session = casting.session{memory = 500000}
  local ok, there = session:spawn(exactly, which):join(helper.LONG)
  assert(ok, there)
  assert(session:close(helper.LONG))
end

-- What is C there is the same as in LuaJIT.
local function results()
  local out = {}
  local function try(f, ...)
    local got = {pcall(f, ...)}
    -- 5.2 calls it _G.tostring or tostring, as the order of package.loaded has
    -- it, which differs from state to state.
    for i = 1, select("#", ...) + 2 do
      out[#out + 1] = (tostring(got[i]):gsub("'_G%.", "'"))
    end
  end
  for _, v in ipairs {1, -1, 0.1, 1e300, 2 ^ 53, "s", true} do
    try(tostring, v)
  end
  try(tostring)
  try(tostring, nil)
  try(tostring, setmetatable({}, {__tostring = function() return "mine" end}))
  local positions = {-10, -6, -5, -4, -1, 0, 1, 2, 5, 6, 10}
  for _, from in ipairs(positions) do
    try(string.sub, "hello", from)
    for _, to in ipairs(positions) do try(string.sub, "hello", from, to) end
  end
  try(string.sub)
  try(string.sub, "", 1)
  try(string.sub, 12345, "2", 3)
  try(string.sub, "x", {})
  for _, f in ipairs {"lower", "reverse", "upper"} do
    try(string[f])
    try(string[f], {})
    try(string[f], "")
    try(string[f], "aZ09[`{@\200\0x")
    try(string[f], 1e3)
    try(string[f], ("long"):rep(5000))
  end
  try(string.char)
  try(string.char, 0, 65, 255)
  try(string.char, 65, 256)
  try(string.char, -1)
  try(string.char, "66")
  try(string.char, "x")
  try(function() return ("x"):sub({}) end)
  try(function() return tostring() end)
  return table.concat(out, "\n")
end

local session = casting.session{memory = 1e6}
local ok, there = session:spawn(results):join(helper.LONG)
assert(ok, there)
assert(there == results())

if helper.jit then
  local on, still = select(2, session:spawn(function()
    local before = jit.status()
    jit.on()
    local function marked() end
    jit.off(marked) -- has nothing to do with the engine
    jit.on(marked)
    return before, (jit.status())
  end):join(helper.LONG))
  assert(on == false and still == false)
  local open = casting.session()
  on = select(2, open:spawn(function() return (jit.status()) end):join())
  assert(on == true)
  assert(open:close(helper.LONG))
  local bare = casting.session{memory = 1e6, libs = {}}
  assert(bare:spawn(function() return tostring(1) end):join(helper.LONG))
  assert(bare:close(helper.LONG))
end
assert(session:close(helper.LONG))
