-- gc_spec.lua - handles are collected, what they held is freed.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

-- Slower interpreters and builds do less of the same.
local scale = 1 / helper.slow

-- Resident memory in MiB, or nil where there is no /proc.
local function resident()
  local file = io.open "/proc/self/statm"
  if not file then return nil end
  local pages = select(3, file:read "*a":find "^%d+ (%d+)")
  file:close()
  return tonumber(pages) * 4096 / 2^20
end

local function collect()
  for _ = 1, 4 do collectgarbage() end
end

-- make() gives a value that nothing else must hold.
local function is_collected(make)
  local weak = setmetatable({}, {__mode = "v"})
  for i = 1, 10 do weak[i] = make() end
  -- The stack may still hold the last one.
  make()
  collect()
  local left = 0
  for _ in pairs(weak) do left = left + 1 end
  return left <= 1
end

-- make() over and over needs no more than a bounded amount of memory.
local function is_bounded(n, make)
  n = math.ceil(n * scale)
  for _ = 1, n do make() end
  collect()
  -- Sanitizers keep memory of their own, and look for leaks themselves.
  if helper.slow > 1 then return true end
  local before = resident()
  for _ = 1, 4 do
    for _ = 1, n do make() end
    collect()
  end
  local after = resident()
  return not before or after - before < 16
end

describe("handles that nobody holds", function()
  it("of channels are collected", function()
    assert.is_true(is_collected(function() return casting.channel() end))
    assert.is_true(is_collected(function() return casting.channel(8) end))
    assert.is_true(is_collected(function() return casting.after(1000) end))
    assert.is_true(is_collected(function() return casting.every(1000) end))
    assert.is_true(is_collected(function()
      local ch = casting.channel(1)
      ch:send "message"
      return ch
    end))
  end)

  it("of sessions and tasks are collected", function()
    assert.is_true(is_collected(function() return casting.session() end))
    assert.is_true(is_collected(function()
      local task = casting.spawn(function() end)
      task:join(LONG)
      return task
    end))
    assert.is_true(is_collected(function()
      local s = casting.session()
      local task = s:spawn("return 1")
      task:join(LONG)
      return task
    end))
  end)

  it("that came in messages are collected", function()
    local carrier = casting.channel(1)
    assert.is_true(is_collected(function()
      carrier:send(casting.channel())
      return (carrier:receive())
    end))
  end)
end)

describe("a finished task", function()
  it("lets its function, results and locals go", function()
    local weak = setmetatable({}, {__mode = "k"})
    local task
    do
      local value = {}
      weak[value] = true
      task = casting.spawn(function(v)
        local mine = {}
        weak[mine] = true
        casting.yield()
        return v == value and mine ~= v
      end, value)
    end
    assert.same(pack(true, true), pack(task:join(LONG)))
    for _ = 1, 3 do casting.spawn(function() end):join(LONG) end
    collect()
    local left = 0
    for _ in pairs(weak) do left = left + 1 end
    assert.equal(0, left)
  end)

  it("that runs is not collected, though nobody holds its handle", function()
    local ch = casting.channel()
    for _ = 1, 10 do
      casting.spawn(function()
        for i = 1, 3 do
          casting.yield()
          collectgarbage "step"
          ch:send(i)
        end
      end)
    end
    collect()
    local sum = 0
    for _ = 1, 30 do
      sum = sum + ch:receive(LONG)
      collectgarbage "step"
    end
    assert.equal(60, sum)
  end)
end)

-- Sets one of the collector's parameters; returns what it was.
local function tune(name, value)
  if helper.version > "5.4" then return collectgarbage("param", name, value) end
  return collectgarbage("set" .. name, value)
end

describe("a collector that runs all the time", function()
  it("disturbs nothing", function()
    local pause, mul = tune("pause", 0), tune("stepmul", 1000)
    local out = casting.channel()
    local s = casting.session()
    for i = 1, 5 do
      s:spawn(function(out, n)
        tune("pause", 0)
        for k = 1, 100 do
          out:send({n, {k}}, ("x"):rep(k), function() return n + k end)
        end
      end, out, i)
    end
    local last, bad = {0, 0, 0, 0, 0}, 0
    for _ = 1, 500 do
      local t, text, f = out:receive(LONG)
      local n, k = t[1], t[2][1]
      if last[n] ~= k - 1 or #text ~= k or f() ~= n + k then bad = bad + 1 end
      last[n] = k
    end
    tune("pause", pause > 0 and pause or 200)
    tune("stepmul", mul > 0 and mul or 200)
    assert.equal(0, bad)
    s:close()
  end)
end)

describe("memory stays bounded for", function()
  it("channels", function()
    assert.is_true(is_bounded(50000, function()
      casting.channel()
    end))
    assert.is_true(is_bounded(20000, function()
      local ch = casting.channel(4)
      ch:send "a message"
      ch:send({1, 2, 3})
    end))
  end)

  it("messages", function()
    local ch = casting.channel(math.huge)
    local text = ("x"):rep(1000)
    assert.is_true(is_bounded(500, function()
      for i = 1, 20 do ch:send(text, {i}) end
      for _ = 1, 20 do ch:receive() end
    end))
  end)

  it("messages that were dropped", function()
    assert.is_true(is_bounded(500, function()
      local ch = casting.channel(math.huge)
      for i = 1, 20 do ch:send(("y"):rep(1000), {i}, ch and casting.now) end
      if math.random(2) == 1 then ch:close() end
    end))
  end)

  it("sends that failed", function()
    local ch = casting.channel(1)
    local co = coroutine.create(function() end)
    local text = ("z"):rep(1000)
    assert.is_true(is_bounded(5000, function()
      pcall(ch.send, ch, text, {text, {co}})
    end))
  end)

  it("tasks", function()
    assert.is_true(is_bounded(10000, function()
      casting.spawn(function() return {} end):join()
    end))
    assert.is_true(is_bounded(2000, function()
      casting.spawn(function() error({}) end):join()
    end))
  end)

  it("timeouts and timers", function()
    local ch = casting.channel()
    assert.is_true(is_bounded(5000, function()
      casting.select{ch, {ch, 1}, timeout = 0}
      ch:receive(0)
      casting.after(1000)
    end))
    local busy = casting.channel(1)
    assert.is_true(is_bounded(5000, function()
      busy:send(1)
      busy:receive(1000)
    end))
  end)

  it("sessions that are closed", function()
    assert.is_true(is_bounded(60, function()
      local s = casting.session()
      s:spawn("return ('x'):rep(1000)"):join()
      s:close()
    end))
  end)

  it("sessions that are dropped", function()
    assert.is_true(is_bounded(60, function()
      casting.session():spawn("return 1"):join()
      collectgarbage()
    end))
  end)

  it("tasks that wait in coroutines and in callbacks", function()
    assert.is_true(is_bounded(200, function()
      local ch = casting.channel()
      local task = casting.spawn(function()
        table.sort({2, 1}, function() ch:receive() end)
        coroutine.wrap(function() ch:receive() end)()
      end)
      casting.yield()
      ch:close()
      task:join()
    end))
  end)

  it("values that many sessions hand on", function()
    local ring, sessions = {}, {}
    for i = 1, 4 do ring[i] = casting.channel() end
    for i = 1, 3 do
      sessions[i] = casting.session()
      sessions[i]:spawn(function(from, to)
        for v in from do to:send(v) end
        to:close()
      end, ring[i], ring[i + 1])
    end
    local value = {("long "):rep(100), {1, 2, 3}, ring[2]}
    assert.is_true(is_bounded(300, function()
      ring[1]:send(value)
      ring[4]:receive()
    end))
    ring[1]:close()
    for i = 1, 3 do sessions[i]:close() end
  end)
end)

describe("a million channels", function()
  it("live at once", function()
    local n = os.getenv "CASTING_TEST_BIG" and 1000000 or 200000
    n = math.ceil(n * scale)
    local list = {}
    for i = 1, n do list[i] = casting.channel(i % 2) end
    list[2 * math.floor(n / 2) - 1]:send "odd ones hold a message"
    assert.equal(1, list[2 * math.floor(n / 2) - 1]:len())
    assert.is_nil((list[2]:try_send(1)))
    list = nil
    collect()
    assert.is_nil(list)
  end)
end)

describe("big strings", function()
  it("cross", function()
    local size = 2^20
    if os.getenv "CASTING_TEST_BIG" then size = 2^28 end
    local text = ("0123456789abcdef"):rep(size / 16)
    local s = casting.session()
    local ch = casting.channel(1)
    local task = s:spawn(function(ch)
      local got = ch:receive()
      return #got, got:sub(-3), got
    end, ch)
    ch:send(text)
    local ok, length, tail, back = task:join(LONG * 6)
    assert.is_true(ok)
    assert.equal(size, length)
    assert.equal("def", tail)
    assert.is_true(back == text)
    s:close()
  end)

  it("of a gigabyte cross or give one clear error", function()
    if not os.getenv "CASTING_TEST_BIG" then
      pending "set CASTING_TEST_BIG to run it"
      return
    end
    local ok, text = pcall(string.rep, "x", 2^30)
    if not ok then return end
    local ch = casting.channel(1)
    local sent, message = pcall(ch.send, ch, text)
    text = sent and #text
    collect()
    if sent then
      local received, got = pcall(ch.receive, ch)
      assert.is_true(received and #got == text or type(got) == "string")
    else
      assert.equal("string", type(message))
    end
  end)
end)
