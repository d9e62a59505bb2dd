-- batch_spec.lua - many messages at a time: send_all, receive_many, batches.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

-- f raises an error in which `pattern` is found.
local function raises(f, pattern)
  local ok, why = pcall(f)
  assert.is_false(ok)
  assert.is_truthy(tostring(why):find(pattern),
    ("%q is not in %q"):format(pattern, tostring(why)))
end

local function numbers(from, to)
  local list = {}
  for i = from, to do list[#list + 1] = i end
  return list
end

-- All that is in the channel, one by one.
local function drain(ch)
  local list = {}
  while true do
    local v = ch:try_receive()
    if v == nil then return list end
    list[#list + 1] = v
  end
end

describe("channel:send_all", function()
  it("sends each item as a message, in order", function()
    local ch = casting.channel(100)
    assert.same(pack(true), pack(ch:send_all(numbers(1, 70))))
    assert.equal(70, #ch)
    assert.same(numbers(1, 70), drain(ch))
    assert.is_true(ch:send_all({}))
    assert.equal(0, #ch)
  end)

  it("sends whatever can cross, copied at once", function()
    local ch = casting.channel(math.huge)
    local list = { 1, "two", 3.5, true, false, { 4, five = { 5 } },
      ("long "):rep(2000), casting.channel(1), string.format,
      function() return "called" end }
    assert.is_true(ch:send_all(list))
    list[6][1] = "changed later"
    assert.equal(1, ch:receive())
    assert.equal("two", ch:receive())
    assert.equal(3.5, ch:receive())
    assert.is_true(ch:receive())
    assert.is_false(ch:receive())
    assert.same({ 4, five = { 5 } }, ch:receive())
    assert.equal(list[7], ch:receive())
    assert.equal(list[8], ch:receive())
    assert.equal(string.format, ch:receive())
    assert.equal("called", ch:receive()())
  end)

  it("sends what casting.pack has packed as its values", function()
    local ch = casting.channel(3)
    assert.is_true(ch:send_all { casting.pack(1, nil, "x"), 2 })
    assert.same(pack(1, nil, "x"), pack(ch:receive()))
    assert.equal(2, ch:receive())
  end)

  it("waits until all have gone", function()
    for _, capacity in ipairs { 0, 1, 7, 64 } do
      local ch = casting.channel(capacity)
      local task = casting.spawn(function()
        return ch:send_all(numbers(1, 65))
      end)
      for i = 1, 65 do
        assert.equal(i, ch:receive(LONG))
        if i < 65 - capacity then
          casting.yield()
          assert.equal("waiting", task:status())
        end
      end
      assert.same(pack(true, true), pack(task:join(LONG)))
    end
  end)

  it("lets nothing come in between", function()
    local ch = casting.channel()
    local first = casting.spawn(function() ch:send_all(numbers(1, 5)) end)
    casting.yield()
    local second = casting.spawn(function() ch:send(6) end)
    casting.yield()
    local third = casting.spawn(function() ch:send_all(numbers(7, 9)) end)
    casting.yield()
    local list = {}
    for i = 1, 9 do list[i] = ch:receive(LONG) end
    assert.same(numbers(1, 9), list)
    first:await()
    second:await()
    third:await()
  end)

  it("tells how many have gone when the time is up", function()
    local ch = casting.channel(3)
    assert.same(pack(nil, "timeout", 3), pack(ch:send_all(numbers(1, 5), 0)))
    assert.same(pack(nil, "timeout", 0), pack(ch:send_all(numbers(1, 5), 0)))
    assert.same(numbers(1, 3), drain(ch))
    assert.same(pack(nil, "timeout", 3),
      pack(ch:send_all(numbers(1, 5), 0.01)))
    assert.equal(1, ch:receive())
    assert.same(numbers(2, 3), drain(ch))
    local out = casting.channel()
    assert.same(pack(nil, "timeout", 0), pack(out:send_all({ 1 }, 0.001)))
    assert.same(pack(nil, "empty"), pack(out:try_receive()))
  end)

  it("tells how many have gone when the channel is closed", function()
    local ch = casting.channel(2)
    local task = casting.spawn(function()
      return ch:send_all(numbers(1, 9))
    end)
    casting.yield()
    assert.equal(1, ch:receive())
    assert.is_true(ch:close())
    assert.same(pack(true, nil, "closed", 3), pack(task:join(LONG)))
    assert.same({ 2, 3 }, drain(ch))
    assert.same(pack(nil, "closed", 0), pack(ch:send_all { 1 }))
    assert.same(pack(nil, "closed", 0), pack(ch:send_all {}))
  end)

  it("is cancelled, with what has gone", function()
    local ch = casting.channel(2)
    local task = casting.spawn(function() ch:send_all(numbers(1, 9)) end)
    casting.yield()
    assert.equal(1, ch:receive())
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.equal("cancelled", task:status())
    assert.same({ 2, 3 }, drain(ch))
    assert.is_true(ch:send_all { 4, 5 })
    assert.same({ 4, 5 }, drain(ch))
  end)

  it("ends with a scope's time, and tells that", function()
    local ch = casting.channel(1)
    assert.same(pack(nil, "timeout"), pack(casting.with_timeout(0.01,
      function() ch:send_all(numbers(1, 4)) end)))
    assert.same({ 1 }, drain(ch))
    assert.same(pack(nil, "timeout", 1), pack(casting.shield(function()
      return ch:send_all(numbers(1, 4), 0.01)
    end)))
  end)

  it("sends nothing if an item cannot cross", function()
    local ch = casting.channel(9)
    local co = coroutine.create(function() end)
    raises(function() ch:send_all { 1, 2, co } end,
      "cannot send a coroutine %(item 3%)")
    raises(function() ch:send_all { 1, { at = { co } } } end,
      "cannot send a coroutine %(item 2: %.at%[1%]%)")
    assert.equal(0, #ch)
    local task = casting.spawn(function() return ch:receive(0.01) end)
    casting.yield()
    raises(function() ch:send_all { { 1 }, co } end, "item 2")
    assert.same(pack(true, nil, "timeout"), pack(task:join(LONG)))
  end)

  it("goes through a list that a __save changes", function()
    local ch = casting.channel(9)
    local list = {}
    local saved = setmetatable({}, { __save = function()
      list[3] = nil
      return tostring, 1
    end })
    list[1], list[2], list[3] = 1, saved, 3
    raises(function() ch:send_all(list) end,
      "bad argument #1 to 'send_all' %(item 3 is nil%)")
    assert.equal(0, #ch)
    list[3] = 3
    local raised = setmetatable({}, { __save = function() error "no" end })
    list[2] = raised
    raises(function() ch:send_all(list) end, "no")
    assert.equal(0, #ch)
    list[2] = setmetatable({}, { __save = function()
      casting.sleep(0)
      casting.yield()
      return tostring, 2
    end })
    assert.is_true(ch:send_all(list))
    assert.same({ 1, "2", 3 }, drain(ch))
  end)

  it("takes back what moves and was not sent", function()
    local net = require "casting.net"
    local a, b = net.pair()
    local ch = casting.channel(1)
    assert.same(pack(nil, "timeout", 1), pack(ch:send_all({ 1, a }, 0)))
    assert.is_true(a:write "x")
    raises(function()
      ch:send_all { a, coroutine.create(function() end) }
    end, "item 2")
    assert.is_true(a:write "y")
    assert.equal("xy", b:read(2))
    local task = casting.spawn(function() ch:send_all { a, 2 } end)
    casting.yield()
    task:cancel()
    task:join(LONG)
    assert.is_true(a:write "z")
    assert.equal("z", b:read(1))
    a:close()
    b:close()
  end)

  it("refuses what is no list", function()
    local ch = casting.channel(1)
    raises(function() ch:send_all() end,
      "bad argument #1 to 'send_all' %(table expected, got no value%)")
    raises(function() ch:send_all(1) end,
      "bad argument #1 to 'send_all' %(table expected")
    for _, bad in ipairs { -1, 0 / 0, {} } do
      raises(function() ch:send_all({}, bad) end,
        "bad argument #2 to 'send_all'")
    end
    raises(function() ch.send_all({}, {}) end, "channel expected")
  end)
end)

describe("channel:receive_many", function()
  it("takes what is there, up to so many", function()
    local ch = casting.channel(10)
    ch:send_all(numbers(1, 10))
    assert.same({ 1, 2, 3 }, ch:receive_many(3))
    assert.same({ 4 }, ch:receive_many(1))
    assert.same(numbers(5, 10), ch:receive_many(math.huge))
    assert.same(pack(nil, "timeout"), pack(ch:receive_many(3, 0)))
    assert.same(pack(nil, "timeout"), pack(ch:receive_many(3, 0.001)))
  end)

  it("waits for the first message alone", function()
    local ch = casting.channel()
    local task = casting.spawn(function() return ch:receive_many(8) end)
    casting.yield()
    ch:send(1)
    assert.same(pack(true, { 1 }), pack(task:join(LONG)))
    task = casting.spawn(function() return ch:receive_many(3, LONG) end)
    casting.yield()
    assert.is_true(ch:send_all { "a", "b", "c" })
    assert.same(pack(true, { "a", "b", "c" }), pack(task:join(LONG)))
  end)

  it("takes the messages of senders that wait", function()
    local ch = casting.channel()
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = casting.spawn(function() return ch:send(i) end)
      casting.yield()
    end
    assert.same({ 1, 2, 3 }, ch:receive_many(3))
    assert.same({ 4, 5 }, ch:receive_many(3))
    for i = 1, 5 do assert.is_true(tasks[i]:await(LONG)) end
  end)

  it("returns what is left of a closed channel, then nil", function()
    local ch = casting.channel(4)
    ch:send_all(numbers(1, 3))
    ch:close()
    assert.same({ 1, 2 }, ch:receive_many(2))
    assert.same({ 3 }, ch:receive_many(2))
    assert.same(pack(nil, "closed"), pack(ch:receive_many(2)))
    assert.same(pack(nil, "closed"), pack(ch:receive_many(2, 0)))
    local out = casting.channel()
    local task = casting.spawn(function() return out:receive_many(2) end)
    casting.yield()
    out:close()
    assert.same(pack(true, nil, "closed"), pack(task:join(LONG)))
  end)

  it("loses nothing when it is cancelled", function()
    local ch = casting.channel()
    local task = casting.spawn(function() return ch:receive_many(2) end)
    casting.yield()
    task:cancel()
    task:join(LONG)
    assert.same(pack(nil, "timeout", 0), pack(ch:send_all({ 1 }, 0)))
    assert.same(pack(nil, "full"), pack(ch:try_send(1)))
  end)

  it("makes a table of a message of several values", function()
    local ch = casting.channel(9)
    ch:send(1, nil, 3)
    ch:send("a", "b")
    ch:send(4)
    local all = {}
    while #all < 3 do
      for _, v in ipairs(ch:receive_many(9)) do all[#all + 1] = v end
    end
    assert.same({ n = 3, 1, nil, 3 }, all[1])
    assert.same({ n = 2, "a", "b" }, all[2])
    assert.equal(4, all[3])
  end)

  it("takes what may fail alone", function()
    local ch = casting.channel(99)
    local bad = setmetatable({}, { __save = function()
      return function() error "cannot be made" end
    end })
    ch:send_all { 1, { 2 }, bad, "three", bad, 4 }
    assert.same({ 1, { 2 } }, ch:receive_many(9))
    raises(function() ch:receive_many(9) end, "cannot be made")
    assert.same({ "three" }, ch:receive_many(9))
    raises(function() ch:receive_many(9) end, "cannot be made")
    assert.same({ 4 }, ch:receive_many(9))
    local other = casting.channel()
    ch:send_all { 1, other, 2, string.format, ("x"):rep(5000), 3, { 4 } }
    local got = {}
    while #got < 7 do
      for _, v in ipairs(ch:receive_many(9)) do got[#got + 1] = v end
    end
    assert.equal(other, got[2])
    assert.equal(string.format, got[4])
    assert.equal(5000, #got[5])
    assert.same({ 4 }, got[7])
  end)

  it("takes the outcome of a task", function()
    local task = casting.spawn(function() return 1, 2 end)
    local ch = task:monitor()
    local list = ch:receive_many(4, LONG)
    assert.equal(1, #list)
    assert.is_table(list[1])
  end)

  it("takes a ticker's tick", function()
    local ticks = casting.every(0.001)
    for _ = 1, 3 do
      local list = ticks:receive_many(5, LONG)
      assert.is_true(#list >= 1)
      assert.is_number(list[1])
    end
    ticks:close()
  end)

  it("refuses what is no number of messages", function()
    local ch = casting.channel(1)
    for _, bad in ipairs { 0, -1, 1.5, 0 / 0, -math.huge } do
      raises(function() ch:receive_many(bad) end,
        "bad argument #1 to 'receive_many' %(a positive integer or math.huge")
      raises(function() ch:batches(bad) end,
        "bad argument #1 to 'batches' %(a positive integer or math.huge")
    end
    raises(function() ch:receive_many() end,
      "bad argument #1 to 'receive_many' %(number expected")
    raises(function() ch:receive_many({}) end, "number expected")
    raises(function() ch:receive_many(1, -1) end,
      "bad argument #2 to 'receive_many'")
  end)

  it("works in finalizers, without waiting", function()
    local ch = casting.channel(4)
    ch:send_all { 1, 2 }
    local seen
    local function finalize()
      seen = ch:receive_many(5, 0)
      ch:send_all({ 3, 4, 5, 6, 7 }, 0)
    end
    local newproxy = rawget(_G, "newproxy")
    if newproxy then
      getmetatable(newproxy(true)).__gc = finalize
    else
      setmetatable({}, { __gc = finalize })
    end
    collectgarbage()
    collectgarbage()
    assert.same({ 1, 2 }, seen)
    assert.same({ 3, 4, 5, 6 }, drain(ch))
  end)
end)

describe("channel:batches", function()
  it("goes on until the channel is closed and empty", function()
    local ch = casting.channel(5)
    local producer = casting.spawn(function()
      for i = 1, 100, 10 do ch:send_all(numbers(i, i + 9)) end
      ch:close()
    end)
    local all = {}
    for batch in ch:batches(4) do
      assert.is_true(#batch >= 1 and #batch <= 4)
      for _, v in ipairs(batch) do all[#all + 1] = v end
    end
    assert.same(numbers(1, 100), all)
    producer:await()
  end)

  it("crosses sessions both ways", function()
    local session = casting.session()
    local into, out = casting.channel(), casting.channel(3)
    local task = session:spawn(function(into, out)
      for batch in into:batches(16) do
        local squares = {}
        for i, v in ipairs(batch) do squares[i] = v * v end
        assert(out:send_all(squares))
      end
      out:close()
    end, into, out)
    local producer = casting.spawn(function()
      for i = 1, 1000, 50 do assert(into:send_all(numbers(i, i + 49))) end
      into:close()
    end)
    local n = 0
    for batch in out:batches(10) do
      for _, v in ipairs(batch) do
        n = n + 1
        assert.equal(n * n, v)
      end
    end
    assert.equal(1000, n)
    producer:await(LONG)
    task:await(LONG)
    session:close()
  end)

  it("is cut when its session closes, and leaves the rest", function()
    local session = casting.session()
    local ch = casting.channel(2)
    local task = session:spawn(function(ch)
      local list = {}
      for i = 1, 9 do list[i] = i end
      ch:send_all(list)
    end, ch)
    assert.equal(1, ch:receive(LONG))
    session:close()
    assert.equal("cancelled", task:status())
    assert.same({ 2, 3 }, drain(ch))
    assert.is_true(ch:send_all { 4, 5 })
    assert.same({ 4, 5 }, ch:receive_many(9))
  end)
end)

describe("a sandbox", function()
  it("sends and receives many", function()
    local box = casting.session { sandbox = true, memory = 16 * 1024 * 1024 }
    local into, out = casting.channel(4), casting.channel(4)
    local task = box:spawn([[
      local into, out = ...
      local sum = 0
      for batch in into:batches(8) do
        for i = 1, #batch do sum = sum + batch[i] end
        out:send_all(batch)
      end
      return sum
    ]], into, out)
    casting.spawn(function()
      task:join(LONG)
      out:close()
    end)
    local producer = casting.spawn(function()
      for i = 1, 100, 20 do into:send_all(numbers(i, i + 19)) end
      into:close()
    end)
    local all = {}
    for batch in out:batches(6) do
      for _, v in ipairs(batch) do all[#all + 1] = v end
    end
    assert.same(numbers(1, 100), all)
    assert.equal(5050, task:await(LONG))
    producer:await(LONG)
    box:close()
  end)

  it("has the messages that wait charged to it", function()
    local box = casting.session { sandbox = true, memory = 4 * 1024 * 1024 }
    local ch = casting.channel()
    local ok, why = box:spawn([[
      local ch = ...
      local casting = require "casting"
      local list = {}
      for i = 1, 1000 do list[i] = i end
      local tasks = {}
      for i = 1, 500 do
        tasks[i] = casting.spawn(function() return ch:send_all(list) end)
        casting.yield()
        if tasks[i]:status() == "failed" then tasks[i]:await() end
      end
    ]], ch):join(LONG)
    assert.is_false(ok)
    raises(function() error(why, 0) end, "memory")
    box:close()
  end)
end)
