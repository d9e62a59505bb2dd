-- LuaJIT does not count nested calls of C functions. load called in its own
-- reader, with functions in functions as its text, and many coroutines that
-- resume each other, overflowed the C stack: the process crashed.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path
local casting = require "casting"
-- AddressSanitizer makes the frames of C functions several times as large as
-- what is kept free for them.
if require("helper").asan() then return end

local function nest(name)
  local c = require "casting"
  local pcall, load = pcall, load
  local ways, most = {}, 0
  -- One after the other from the deepest coroutine: what needs much of the C
  -- stack where little is left.
  local function last()
    local text = "return " .. ("function() return "):rep(180)
    pcall(loadstring or load, text) -- luacheck: ignore
    pcall(string.gsub, "x", "x", function() return "y" end)
    pcall(table.sort, {3, 2, 1}, function(a, b) return a < b end)
    pcall(string.format, "%s", setmetatable({}, {__tostring = function()
      return "x"
    end}))
    local function sorted(n)
      table.sort({1, 2, 3}, function(a, b)
        if n > 0 then sorted(n - 1) end
        return a < b
      end)
    end
    pcall(sorted, 2000)
    pcall(c.session, setmetatable({}, {__index = function() return 1 end}))
  end
  function ways.load()
    local function f()
      local first = true
      return load(function()
        if first then
          first = false
          return ("return function() "):rep(90)
        end
        f()
        return nil
      end)
    end
    f()
  end
  function ways.coroutines()
    local function f(n)
      most = n
      local ok = pcall(function() coroutine.wrap(f)(n + 1) end)
      if not ok and most == n then last() end
    end
    f(1)
  end
  function ways.made_before()
    local list, n = {}, 0
    local function f(i)
      coroutine.yield()
      most = i
      if i < n then
        if not pcall(coroutine.resume, list[i + 1]) then last() end
      end
    end
    -- Until the memory is used up, or half a second is over.
    local start = os.clock()
    while n < 150000 and os.clock() - start < 0.5 do
      list[n + 1] = coroutine.create(f)
      coroutine.resume(list[n + 1], n + 1)
      n = n + 1
    end
    coroutine.resume(list[1])
  end
  function ways.sort()
    local function f(a, b)
      table.sort({1, 2, 3}, f)
      return a < b
    end
    f(1, 2)
  end
  function ways.gsub()
    local function f() return (("x"):gsub("x", f)) end
    f()
  end
  function ways.tostring()
    local mt = {}
    mt.__tostring = function()
      local text = tostring(setmetatable({}, mt)) -- no tail call
      return text
    end
    return tostring(setmetatable({}, mt))
  end
  function ways.format()
    local mt = {}
    mt.__tostring = function()
      return string.format("%s", setmetatable({}, mt))
    end
    return tostring(setmetatable({}, mt))
  end
  function ways.options()
    local mt = {}
    mt.__index = function() return c.session(setmetatable({}, mt)) end
    return c.session(setmetatable({}, mt))
  end
  local ok, e = pcall(ways[name])
  -- The session works on.
  local sum = 0
  for i in coroutine.wrap(function()
    for i = 1, 10 do coroutine.yield(i) end
  end) do
    sum = sum + i
  end
  assert(sum == 55)
  local failed, why = pcall(coroutine.wrap(function() error("why", 0) end))
  assert(not failed and tostring(why):find "why$", why)
  return ok or type(e)
end

local names = {"load", "coroutines", "sort", "gsub", "tostring", "format",
  "options"}
for _, options in ipairs {{}, {sandbox = true}} do
  -- Trusted programs resume coroutines by LuaJIT's own function, at half the
  -- cost, and overflow the C stack as in plain LuaJIT.
  if options.sandbox then names[#names + 1] = "made_before" end
  for _, name in ipairs(names) do
    local session = casting.session(options)
    local ended, ok, e = session:spawn(nest, name):join(60)
    assert(ended, name .. ": " .. tostring(ok) .. tostring(e))
    session:close(60)
  end
end
