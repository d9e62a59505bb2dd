-- select_spec.lua - casting.select: forms, fairness, exactly one effect.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

-- A small generator of numbers, the same on every version.
local function generator(seed)
  return function(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
  end
end

describe("select", function()
  it("receives", function()
    local a, b = casting.channel(1), casting.channel(1)
    b:send("x", nil, "z")
    assert.same(pack(2, "x", nil, "z"), pack(casting.select{a, b}))
    a:send(false)
    assert.same(pack(1, false), pack(casting.select{a, b}))
  end)

  it("sends", function()
    local a, b = casting.channel(), casting.channel(1)
    assert.same(pack(2, true), pack(casting.select{a, {b, "x", nil, "z"}}))
    assert.same(pack("x", nil, "z"), pack(b:try_receive()))
    assert.same(pack(1, true), pack(casting.select{{b, 1}}))
    assert.equal(1, b:len())
  end)

  it("gives all values of a send case, nils at the end too", function()
    local ch = casting.channel(1)
    local case = {ch, "a", nil, "c"}
    casting.select{case}
    assert.same(pack("a", nil, "c"), pack(ch:receive()))
  end)

  it("does not wait with timeout 0", function()
    local a, b = casting.channel(), casting.channel(1)
    assert.same(pack(nil, "timeout"), pack(casting.select{a, timeout = 0}))
    b:send(1)
    assert.same(pack(nil, "timeout"),
      pack(casting.select{a, {a, 1}, {b, 2}, timeout = 0}))
    assert.equal(1, b:len())
    assert.same(pack(2, 1), pack(casting.select{a, b, timeout = 0}))
  end)

  it("ends at its timeout", function()
    for _, place in ipairs(helper.places) do
      local waited, a, b = place[2](function()
        local casting = require "casting"
        local x, y = casting.channel(), casting.channel()
        local began = casting.now()
        local a, b = casting.select{x, {y, 1}, timeout = 0.03}
        return casting.now() - began, a, b
      end)
      assert.is_true(waited >= 0.03)
      assert.same(pack(nil, "timeout"), pack(a, b))
    end
  end)

  it("without a case ends at its timeout", function()
    assert.same(pack(nil, "timeout"), pack(casting.select{timeout = 0}))
    assert.same(pack(nil, "timeout"), pack(casting.select{timeout = 0.01}))
    assert.same(pack(nil, "timeout"),
      pack(casting.select{false, false, timeout = 0.01}))
  end)

  it("without a case and a timeout waits for ever", function()
    local task = casting.spawn(function() return casting.select{} end)
    local other = casting.spawn(function() return casting.select{false} end)
    assert.same(pack(nil, "timeout"), pack(task:join(0.02)))
    assert.same(pack(nil, "timeout"), pack(other:join(0)))
    assert.equal("waiting", task:status())
    assert.equal("waiting", other:status())
  end)

  it("takes a timeout of math.huge", function()
    local ch = casting.channel()
    casting.spawn(function() ch:send(1) end)
    assert.same(pack(1, 1), pack(casting.select{ch, timeout = math.huge}))
  end)

  it("skips false, and counts it", function()
    local a = casting.channel(1)
    a:send "here"
    assert.same(pack(3, "here"), pack(casting.select{false, false, a}))
    a:send "again"
    assert.same(pack(2, "again"), pack(casting.select{false, a, false}))
  end)

  it("says that a channel is closed", function()
    local open, shut = casting.channel(), casting.channel(1)
    shut:send "last"
    shut:close()
    assert.same(pack(2, "last"), pack(casting.select{open, shut}))
    assert.same(pack(2, nil, "closed"), pack(casting.select{open, shut}))
    assert.same(pack(1, nil, "closed"), pack(casting.select{{shut, 1}, open}))
  end)

  it("wakes when a channel is closed", function()
    local a, b = casting.channel(), casting.channel()
    for _, case in ipairs {1, 2} do
      local task = casting.spawn(function()
        return casting.select{a, case == 1 and b or {b, "x"}}
      end)
      helper.until_waiting(task)
      if case == 2 then b:close() end
      if case == 1 then b:send "sent" end
      if case == 1 then
        assert.same(pack(true, 2, "sent"), pack(task:join(LONG)))
      else
        assert.same(pack(true, 2, nil, "closed"), pack(task:join(LONG)))
      end
    end
  end)

  it("waits and then receives", function()
    for _, place in ipairs(helper.places) do
      local results = place[2](function()
        local casting = require "casting"
        local a, b = casting.channel(), casting.channel()
        casting.spawn(function() b:send("late", 2) end)
        local results = {casting.select{a, b}}
        casting.spawn(function() a:send "later" end)
        results[4], results[5] = casting.select{a, b, timeout = 30}
        return results
      end)
      assert.same({2, "late", 2, 1, "later"}, results)
    end
  end)

  it("waits and then sends", function()
    for _, place in ipairs(helper.places) do
      local i, ok, value = place[2](function()
        local casting = require "casting"
        local a, b = casting.channel(), casting.channel()
        local task = casting.spawn(function() return b:receive() end)
        local i, ok = casting.select{a, {b, "value"}}
        return i, ok, task:await()
      end)
      assert.same(pack(2, true, "value"), pack(i, ok, value))
    end
  end)

  it("works across sessions", function()
    local request, reply = casting.channel(), casting.channel()
    local quit = casting.channel()
    local session = casting.session()
    local server = session:spawn(function(request, reply, quit)
      local casting = require "casting"
      local served = 0
      while true do
        local i, v = casting.select{quit, request}
        if i == 1 then return served end
        casting.select{{reply, v + 1}, quit}
        served = served + 1
      end
    end, request, reply, quit)
    for i = 1, 100 do
      assert.same(pack(2, true), pack(casting.select{reply, {request, i}}))
      assert.same(pack(1, i + 1), pack(casting.select{reply, quit}))
    end
    quit:close()
    assert.same(pack(true, 100), pack(server:join(LONG)))
    session:close()
  end)

  it("meets another select", function()
    local a, b = casting.channel(), casting.channel()
    for _, place in ipairs {"here", "elsewhere"} do
      local session = place == "elsewhere" and casting.session()
      local body = function(a, b)
        return require "casting".select{{a, "one"}, b}
      end
      local task
      if session then
        task = session:spawn(body, a, b)
      else
        task = casting.spawn(body, a, b)
      end
      local i, v = casting.select{a, {b, "two"}}
      local ok, j, w = task:join(LONG)
      assert.is_true(ok)
      assert.equal(i, j)
      if i == 1 then
        assert.same(pack("one", true), pack(v, w))
      else
        assert.same(pack(true, "two"), pack(v, w))
      end
      if session then session:close() end
    end
  end)

  it("never meets itself", function()
    local ch = casting.channel()
    for _ = 1, 100 do
      assert.same(pack(nil, "timeout"),
        pack(casting.select{ch, {ch, 1}, ch, {ch, 2}, timeout = 0}))
    end
    assert.same(pack(nil, "timeout"),
      pack(casting.select{ch, {ch, 1}, timeout = 0.02}))
    -- And still meets another one, in either role.
    local task = casting.spawn(function()
      return casting.select{ch, {ch, "mine"}}
    end)
    helper.until_waiting(task)
    local got = ch:receive(LONG)
    assert.equal("mine", got)
    assert.same(pack(true, 2, true), pack(task:join(LONG)))
    task = casting.spawn(function()
      return casting.select{ch, {ch, "mine"}}
    end)
    helper.until_waiting(task)
    assert.is_true(ch:send "yours")
    assert.same(pack(true, 1, "yours"), pack(task:join(LONG)))
    -- Two such selects meet each other.
    local function both(name)
      return function() return casting.select{ch, {ch, name}} end
    end
    local one, two = casting.spawn(both "one"), casting.spawn(both "two")
    local ok1, i1, v1 = one:join(LONG)
    local ok2, i2, v2 = two:join(LONG)
    assert.same(pack(true, true), pack(ok1, ok2))
    assert.equal(3, i1 + i2)
    if i1 == 1 then
      assert.same(pack("two", true), pack(v1, v2))
    else
      assert.same(pack(true, "one"), pack(v1, v2))
    end
  end)

  it("may name a channel more than once", function()
    local ch = casting.channel(1)
    ch:send "only one"
    local i, v = casting.select{ch, ch, ch}
    assert.is_true(i >= 1 and i <= 3)
    assert.equal("only one", v)
    assert.equal(0, ch:len())
    local task = casting.spawn(function()
      return select("#", casting.select{ch, ch, ch})
    end)
    helper.until_waiting(task)
    ch:send "once more"
    assert.same(pack(true, 2), pack(task:join(LONG)))
    assert.equal(0, ch:len())
    i = casting.select{{ch, 1}, {ch, 2}, {ch, 3}}
    assert.equal(1, ch:len())
    assert.equal(i, ch:receive())
  end)

  it("has exactly one effect", function()
    local channels, cases = {}, {}
    for i = 1, 8 do
      channels[i] = casting.channel(4)
      channels[i]:send(i)
      channels[i]:send(i)
      cases[i] = channels[i]
      cases[8 + i] = {channels[i], i}
    end
    local total = 16
    for _ = 1, 300 do
      local i = casting.select(cases)
      total = total + (i <= 8 and -1 or 1)
      local sum = 0
      for j = 1, 8 do sum = sum + channels[j]:len() end
      assert.equal(total, sum)
    end
  end)

  it("takes nothing when it times out", function()
    local a, b = casting.channel(), casting.channel()
    local task = casting.spawn(function()
      return casting.select{a, {b, "x"}, timeout = 0.01}
    end)
    assert.same(pack(true, nil, "timeout"), pack(task:join(LONG)))
    assert.same(pack(nil, "full"), pack(a:try_send(1)))
    assert.same(pack(nil, "empty"), pack(b:try_receive()))
  end)

  it("leaves the losers' queues", function()
    local a, b = casting.channel(), casting.channel()
    local task = casting.spawn(function()
      return casting.select{a, b, {b, "x"}}
    end)
    helper.until_waiting(task)
    a:send "won"
    assert.same(pack(true, 1, "won"), pack(task:join(LONG)))
    assert.same(pack(nil, "full"), pack(b:try_send(1)))
    assert.same(pack(nil, "empty"), pack(b:try_receive()))
  end)

  it("keeps its place in the queue", function()
    local a, b = casting.channel(), casting.channel()
    local first = casting.spawn(function() return casting.select{a, b} end)
    helper.until_waiting(first)
    local second = casting.spawn(function() return a:receive() end)
    helper.until_waiting(second)
    a:send "to the first"
    a:send "to the second"
    assert.same(pack(true, 1, "to the first"), pack(first:join(LONG)))
    assert.same(pack(true, "to the second"), pack(second:join(LONG)))
  end)

  it("takes many cases", function()
    local cases, n = {}, 500
    for i = 1, n do cases[i] = casting.channel(1) end
    local next_index = generator(1)
    for _ = 1, 20 do
      local i = next_index(n)
      cases[i]:send(i)
      assert.same(pack(i, i), pack(casting.select(cases)))
    end
    local session = casting.session()
    session:spawn(function(ch) ch:send "late" end, cases[n])
    assert.same(pack(n, "late"), pack(casting.select(cases)))
    session:close()
  end)

  it("does not change its table", function()
    local ch = casting.channel(1)
    local cases = {{ch, "v"}, false, ch, timeout = 1}
    local case = cases[1]
    casting.select(cases)
    assert.is_true(cases[1] == case)
    assert.is_true(cases[1][1] == ch)
    assert.equal("v", cases[1][2])
    assert.is_false(cases[2])
    assert.is_true(cases[3] == ch)
    assert.equal(1, cases.timeout)
  end)

  it("works with casting.after as a default", function()
    local ch = casting.channel()
    local i, at = casting.select{ch, casting.after(0.01)}
    assert.equal(2, i)
    assert.equal("number", type(at))
  end)
end)

describe("the choice among ready cases", function()
  -- Chi-square over n classes. The bound is passed once in about 10^7 runs.
  local function looks_uniform(counts, total)
    local n, x = #counts, 0
    for i = 1, n do
      local d = counts[i] - total / n
      x = x + d * d / (total / n)
    end
    local bound = n - 1 + 8 * math.sqrt(2 * (n - 1)) + 10
    return x < bound, x
  end

  for _, n in ipairs {2, 3, 8} do
    it("is uniform over " .. n .. " receives", function()
      local cases, counts, total = {}, {}, 6000
      for i = 1, n do
        cases[i], counts[i] = casting.channel(1), 0
        cases[i]:send(i)
      end
      for _ = 1, total do
        local i = casting.select(cases)
        counts[i] = counts[i] + 1
        cases[i]:send(i)
      end
      assert.is_true(looks_uniform(counts, total))
    end)
  end

  it("is uniform over sends and receives", function()
    local cases, counts, total = {}, {}, 6000
    for i = 1, 6 do
      local ch = casting.channel(2)
      ch:send(1)
      cases[i], counts[i] = i % 2 == 0 and ch or {ch, 1}, 0
    end
    for _ = 1, total do
      local i = casting.select(cases)
      counts[i] = counts[i] + 1
      if i % 2 == 0 then cases[i]:send(1) else cases[i][1]:receive() end
    end
    assert.is_true(looks_uniform(counts, total))
  end)

  it("is uniform over those that are ready", function()
    local cases, counts, total = {}, {}, 6000
    for i = 1, 8 do cases[i] = casting.channel(1) end
    local ready = {2, 3, 7}
    for k, i in ipairs(ready) do
      cases[i]:close()
      counts[k] = 0
    end
    for _ = 1, total do
      local i = casting.select(cases)
      for k = 1, 3 do
        if ready[k] == i then counts[k] = counts[k] + 1 end
      end
    end
    assert.equal(total, counts[1] + counts[2] + counts[3])
    assert.is_true(looks_uniform(counts, total))
  end)
end)

describe("select in many tasks", function()
  it("neither loses nor doubles a message", function()
    for _, sessions in ipairs {false, true} do
      local channels = {casting.channel(), casting.channel(1),
        casting.channel(5)}
      local done = casting.channel(math.huge)
      local function producer(id, channels, done)
        local casting = require "casting"
        local sent = 0
        for i = 1, 60 do
          local value = id * 1000 + i
          local _, ok = casting.select{{channels[1], value},
            {channels[2], value}, {channels[3], value}}
          if ok then sent = sent + 1 end
        end
        done:send(sent)
      end
      local function consumer(channels)
        local casting = require "casting"
        local seen, open = {}, {channels[1], channels[2], channels[3]}
        while open[1] or open[2] or open[3] do
          local i, v = casting.select(open)
          if v then seen[#seen + 1] = v else open[i] = false end
        end
        return seen
      end
      local made, consumers = {}, {}
      local function spawn(...)
        if not sessions then return casting.spawn(...) end
        local session = casting.session()
        made[#made + 1] = session
        return session:spawn(...)
      end
      for i = 1, 4 do consumers[i] = spawn(consumer, channels) end
      for i = 1, 4 do spawn(producer, i, channels, done) end
      local sent = 0
      for _ = 1, 4 do sent = sent + done:receive(LONG) end
      assert.equal(240, sent)
      for i = 1, 3 do channels[i]:close() end
      local seen, count = {}, 0
      for i = 1, 4 do
        local ok, list = consumers[i]:join(LONG)
        assert.is_true(ok)
        for _, v in ipairs(list) do
          assert.is_nil(seen[v])
          seen[v], count = true, count + 1
        end
      end
      assert.equal(240, count)
      for _, session in ipairs(made) do session:close() end
    end
  end)
end)
