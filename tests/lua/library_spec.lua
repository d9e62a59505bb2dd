-- library_spec.lua - what of the standard libraries is other in a session.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG, version, jit = helper.LONG, helper.version, helper.jit

-- What f returns in a session.
local function there(f, ...)
  local session = casting.session()
  local task = session:spawn(f, ...)
  local ok, result = task:join(LONG)
  session:close()
  return assert(ok, result) and result
end

-- f's result here and in a session, which are to be the same.
local function same(f)
  local here = f()
  assert.same(here, there(f))
  return here
end

describe("os.date in a session", function()
  it("gives what the main program's does", function()
    local list = same(function()
      local list = {}
      local function add(...)
        local ok, v = pcall(os.date, ...)
        list[#list + 1] = {ok, v}
      end
      for _, t in ipairs {0, 1, 951782400, 1e9, 17277661, -1, 4e9, 1.0} do
        for _, format in ipairs {"%c", "!%c", "!*t", "*t", "!%H:%M:%S %j %U%%",
          "%Y-%m-%d %Z", "", "!", "x%", "text", "%p %A %B", "!%d/%m/%y"} do
          add(format, t)
        end
      end
      return list
    end)
    assert.is_true(list[3][1])
    assert.equal(1970, list[3][2].year)
    assert.equal("table", type(list[4][2]))
  end)

  it("raises what the main program's does", function()
    same(function()
      local list = {}
      for i, arguments in ipairs {{{}}, {"%c", "x"}, {"*t", {}}, {true},
        {"%c", 1e300}, {"*t", -1e300}, {"%Y", 1e17}, {"!*t", 1e17}} do
        local ok, v = pcall(os.date, arguments[1], arguments[2])
        list[i] = {ok, v == nil and "nil" or v}
      end
      return list
    end)
  end)

  it("tells the time now", function()
    local before = os.time()
    local now = there(function() return os.time(os.date "*t") end)
    assert.is_true(now >= before and now <= os.time())
  end)
end)

describe("os.setlocale in a session", function()
  it("does what the main program's does", function()
    same(function()
      local list = {}
      os.setlocale "C" -- musl takes any name, so the first run changes it
      for _, arguments in ipairs {{}, {nil, "all"}, {nil, "numeric"}, {"C"},
        {"C", "time"}, {"no such locale"}, {{}}, {"C", "colour"}, {nil, {}},
        {"POSIX", "collate"}, {"C", "monetary"}, {"C", "ctype"}} do
        local ok, v = pcall(os.setlocale, arguments[1], arguments[2])
        list[#list + 1] = {ok, v == nil and "nil" or v}
      end
      return list
    end)
  end)

  it("is called by many at a time", function()
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = casting.session():spawn(function()
        for _ = 1, 2000 do
          assert(os.setlocale "C" == "C")
          assert(os.setlocale(nil, "numeric") == "C")
        end
        return true
      end)
    end
    for i = 1, 4 do assert.is_true(tasks[i]:await(LONG)) end
  end)
end)

describe("math.random in a session", function()
  it("has other numbers in each session", function()
    local seen = {}
    for _ = 1, 8 do
      local n = there(function() return math.random(1, 1e9) end)
      assert.is_nil(seen[n])
      seen[n] = true
    end
  end)

  it("has a sequence for each seed, whatever others draw", function()
    local function draw(seed, stop)
      math.randomseed(seed)
      local list = {}
      for i = 1, 2000 do list[i] = math.random(1000000) end
      if stop then stop:close() end
      return list
    end
    local alone = there(draw, 42)
    local others, stop = {}, casting.channel()
    for i = 1, 2 do
      others[i] = casting.session():spawn(function()
        local n = 0
        while not stop:closed() do
          for _ = 1, 1000 do n = n + math.random() end
          casting.yield()
        end
        return n
      end)
    end
    assert.same(alone, there(draw, 42, stop))
    for i = 1, 2 do assert.is_true(others[i]:await(LONG) >= 0) end
    assert.not_same(alone, there(draw, 43))
    assert.not_same(alone, there(draw, -42))
  end)

  it("keeps its sequence from task to task", function()
    local session = casting.session()
    local function draw() return math.random(1000000) end
    session:spawn(function() math.randomseed(7) end):await(LONG)
    local list = {}
    for i = 1, 5 do list[i] = session:spawn(draw):await(LONG) end
    assert.same(list, there(function()
      math.randomseed(7)
      local again = {}
      for i = 1, 5 do again[i] = math.random(1000000) end
      return again
    end))
    session:close()
  end)

  it("takes, and refuses, what the main program's does", function()
    same(function()
      local list = {}
      for _, a in ipairs {{0.5}, {"3"}, {"x"}, {{}}, {0}, {-1}, {1, 0},
        {1, "x"}, {3, 2}, {1, 2, 3}, {math.huge}, {-math.huge}, {1.5, 2.5},
        {math.huge, 1}, {2^53}, {-2^31, 2^31 - 1}, {}, {nil}} do
        local ok, v = pcall(math.random, helper.unpack(a))
        if ok then v = math.type and math.type(v) or type(v) end
        list[#list + 1] = {ok, v}
      end
      for _, seed in ipairs {1, "2", 1e9} do
        list[#list + 1] = (pcall(math.randomseed, seed))
      end
      list[#list + 1] = {pcall(math.randomseed, {})}
      list[#list + 1] = {pcall(math.randomseed, "x")}
      return list
    end)
  end)

  it("is spread evenly", function()
    assert.is_true(there(function()
      math.randomseed(1)
      local counts, low, high, sum = {0, 0, 0, 0, 0, 0}, 1, 0, 0
      for _ = 1, 60000 do
        local die, r = math.random(6), math.random()
        counts[die] = counts[die] + 1
        sum = sum + r
        if r < low then low = r end
        if r > high then high = r end
        local n = math.random(-3, 3)
        assert(n >= -3 and n <= 3 and n % 1 == 0)
      end
      assert(low >= 0 and low < 0.001 and high < 1 and high > 0.999)
      assert(sum > 29000 and sum < 31000, sum)
      for i = 1, 6 do assert(counts[i] > 9500 and counts[i] < 10500) end
      return true
    end))
  end)

  -- Programs that give a seed rely on what follows from it.
  local known = {
    ["5.1"] = {71876166, 708592740, 1483128881},
    ["5.2"] = {708592740, 1483128881, 907283241},
    ["5.3"] = {708592740, 1483128881, 907283241},
  }
  if known[version] and not jit then
    it("gives the numbers of the GNU C library", function()
      local max = version == "5.3" and 2147483648 or 2147483647
      local drawn = there(function(max)
        math.randomseed(42)
        local list = {}
        for i = 1, 3 do list[i] = math.floor(math.random() * max + 0.5) end
        return list
      end, max)
      assert.same(known[version], drawn)
    end)
  end
end)

describe("a replaced function", function()
  it("crosses by name", function()
    local ch = casting.channel(4)
    ch:send(os.date, os.setlocale, math.random, coroutine.resume)
    local session = casting.session()
    assert.is_true(session:spawn(function()
      local date, setlocale, random, resume = ch:receive()
      ch:send(os.date, os.setlocale, math.random, coroutine.resume)
      return date == os.date and setlocale == os.setlocale and
        random == math.random and resume == coroutine.resume
    end):await(LONG))
    local date, setlocale, random, resume = ch:receive()
    assert.is_true(date == os.date and setlocale == os.setlocale and
      random == math.random and resume == coroutine.resume)
    session:close()
  end)

  it("needs its library to be there", function()
    local session = casting.session {libs = {"string"}}
    assert.equal("nil nil", session:spawn(function()
      return tostring(rawget(_G, "os")) .. " " .. tostring(rawget(_G, "math"))
    end):await(LONG))
    session:close()
  end)
end)
