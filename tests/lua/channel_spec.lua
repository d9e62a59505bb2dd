-- channel_spec.lua - channels: capacity, order, close, iteration, timers.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

-- Sends each value that it is given, then closes.
local function feed(ch, ...)
  for i = 1, select("#", ...) do
    ch:send((select(i, ...)))
  end
  ch:close()
end

describe("a channel's capacity", function()
  it("is 0 unless given", function()
    local ch = casting.channel()
    assert.equal(0, ch:capacity())
    assert.equal(0, ch:len())
    assert.equal(0, #ch)
    assert.is_false(ch:closed())
    assert.equal(0, casting.channel(0):capacity())
  end)

  it("n holds n messages", function()
    local ch = casting.channel(3)
    assert.equal(3, ch:capacity())
    for i = 1, 3 do
      assert.is_true(ch:send(i))
      assert.equal(i, ch:len())
      assert.equal(i, #ch)
    end
    assert.same(pack(nil, "full"), pack(ch:try_send(4)))
    assert.equal(3, ch:len())
    assert.equal(1, ch:receive())
    assert.is_true(ch:try_send(4))
    for i = 2, 4 do assert.equal(i, ch:receive()) end
    assert.equal(0, #ch)
  end)

  it("math.huge never is full", function()
    local ch = casting.channel(math.huge)
    assert.equal(math.huge, ch:capacity())
    for i = 1, 10000 do assert.is_true(ch:try_send(i)) end
    assert.equal(10000, ch:len())
    for i = 1, 10000 do
      if ch:receive() ~= i then error("out of order at " .. i) end
    end
    assert.equal(0, ch:len())
  end)

  it("costs no memory before it is used", function()
    local list = {}
    for i = 1, 100 do
      list[i] = casting.channel(10000000)
      assert.equal(10000000, list[i]:capacity())
    end
    assert.is_true(list[100]:send(1))
    assert.equal(1, list[100]:receive())
  end)

  it("may be a float without a fraction", function()
    local ch = casting.channel(2.0)
    assert.is_true(ch:try_send(1))
    assert.is_true(ch:try_send(2))
    assert.is_nil((ch:try_send(3)))
    assert.equal(2, ch:capacity())
  end)

  it("1 goes round many times", function()
    local ch = casting.channel(1)
    for i = 1, 1000 do
      ch:send(i)
      assert.equal(i, ch:receive())
    end
  end)
end)

describe("a message", function()
  it("is one or more values", function()
    local ch = casting.channel(8)
    ch:send(1)
    ch:send(1, nil, 3)
    ch:send("a", nil)
    ch:send("a", nil, nil, nil)
    ch:send(false)
    assert.same(pack(1), pack(ch:receive()))
    assert.same(pack(1, nil, 3), pack(ch:receive()))
    assert.same(pack("a", nil), pack(ch:receive()))
    assert.same(pack("a", nil, nil, nil), pack(ch:try_receive()))
    assert.same(pack(false), pack(ch:receive()))
  end)

  it("may have a hundred values", function()
    local list = {}
    for i = 1, 100 do list[i] = i % 3 == 0 and "s" .. i or i end
    for _, capacity in ipairs {0, 4} do
      local ch = casting.channel(capacity)
      local task = casting.spawn(function()
        return ch:send(helper.unpack(list))
      end)
      assert.same(list, {ch:receive(LONG)})
      assert.same(pack(true, true), pack(task:join(LONG)))
    end
  end)

  it("has a first value that is not nil", function()
    local ch = casting.channel(4)
    helper.misuse(function() ch:send(nil) end, "send", "nil")
    helper.misuse(function() ch:send(nil, 1) end, "send", "nil")
    helper.misuse(function() ch:send() end, "send")
    helper.misuse(function() ch:try_send(nil) end, "try_send", "nil")
    helper.misuse(function() ch:try_send() end, "try_send")
    assert.equal(0, ch:len())
  end)

  it("is a copy, in the same session too", function()
    local ch = casting.channel(1)
    local t = {1, 2, {3}}
    ch:send(t)
    t[1] = "changed"
    local got = ch:receive()
    assert.same({1, 2, {3}}, got)
    assert.is_false(got == t)
    local task = casting.spawn(function()
      local v = ch:receive()
      v[1] = "mine"
      return v
    end)
    local u = {1}
    ch:send(u)
    assert.same(pack(true, {"mine"}), pack(task:join(LONG)))
    assert.same({1}, u)
  end)

  it("is packed before the sender waits", function()
    local ch = casting.channel()
    local t = {"first"}
    local task = casting.spawn(function() return ch:send(t) end)
    helper.until_waiting(task)
    t[1] = "second"
    assert.same({"first"}, ch:receive(LONG))
  end)
end)

for _, place in ipairs(helper.places) do
  describe("channels in " .. place[1], function()
    local run = place[2]

    it("hand over to tasks of the same session", function()
      local sum, count = run(function()
        local casting = require "casting"
        local ch, sum, count = casting.channel(), 0, 0
        for i = 1, 10 do
          casting.spawn(function() ch:send(i) end)
        end
        for _ = 1, 10 do
          sum, count = sum + ch:receive(), count + 1
        end
        return sum, count
      end)
      assert.equal(55, sum)
      assert.equal(10, count)
    end)

    it("hand over to a session", function()
      local list = run(function()
        local casting = require "casting"
        local there, back = casting.channel(), casting.channel()
        local session = casting.session()
        session:spawn(function(there, back)
          for v in there do back:send(v * 2, "twice") end
          back:close()
        end, there, back)
        local list = {}
        for i = 1, 50 do
          there:send(i)
          local v, word = back:receive()
          list[i] = word == "twice" and v
        end
        there:close()
        list[#list + 1] = select(2, back:receive())
        session:close()
        return list
      end)
      for i = 1, 50 do assert.equal(2 * i, list[i]) end
      assert.equal("closed", list[51])
    end)

    it("keep their order", function()
      for _, size in ipairs {0, 1, 7, math.huge} do
        local bad = run(function(capacity)
          local casting = require "casting"
          local ch = casting.channel(capacity)
          casting.spawn(function()
            for i = 1, 300 do ch:send(i) end
            ch:close()
          end)
          local expected = 1
          for v in ch do
            if v ~= expected then return v end
            expected = expected + 1
          end
          return expected == 301 and "all" or expected
        end, size)
        assert.equal("all", bad)
      end
    end)

    it("tell that they are closed", function()
      local result = run(function()
        local casting = require "casting"
        local ch = casting.channel(2)
        local r = {}
        local function note(...)
          r[#r + 1] = table.concat({tostring((...)),
            tostring((select(2, ...)))}, " ")
        end
        ch:send(1)
        ch:send(2)
        note(ch:close())
        note(ch:close())
        note(ch:closed())
        note(ch:send(3))
        note(ch:try_send(3))
        note(ch:receive())
        note(ch:try_receive())
        note(ch:receive())
        note(ch:receive(1))
        note(ch:try_receive())
        return r
      end)
      assert.same({"true nil", "false nil", "true nil", "nil closed",
        "nil closed", "1 nil", "2 nil", "nil closed", "nil closed",
        "nil closed"}, result)
    end)
  end)
end

describe("direct hand-over", function()
  it("serves receivers in the order in which they came", function()
    for _, capacity in ipairs {0, 3, math.huge} do
      local ch, log, tasks = casting.channel(capacity), {}, {}
      for i = 1, 6 do
        tasks[i] = casting.spawn(function()
          log[i] = ch:receive()
        end)
        helper.until_waiting(tasks[i])
      end
      for i = 1, 6 do ch:send("m" .. i) end
      for i = 1, 6 do tasks[i]:join(LONG) end
      assert.same({"m1", "m2", "m3", "m4", "m5", "m6"}, log)
      assert.equal(0, ch:len())
    end
  end)

  it("serves senders in the order in which they came", function()
    for _, capacity in ipairs {0, 1, 3} do
      local ch, tasks = casting.channel(capacity), {}
      for i = 1, capacity do ch:send(i) end
      for i = 1, 6 do
        tasks[i] = casting.spawn(function() return ch:send(capacity + i) end)
        helper.until_waiting(tasks[i])
      end
      assert.equal(capacity, ch:len())
      for i = 1, capacity + 6 do assert.equal(i, ch:receive(LONG)) end
      for i = 1, 6 do
        assert.same(pack(true, true), pack(tasks[i]:join(LONG)))
      end
    end
  end)

  it("lets nobody barge in", function()
    -- The full buffer's room goes to the waiting sender, at once.
    local ch = casting.channel(1)
    ch:send "first"
    local sender = casting.spawn(function() return ch:send "second" end)
    helper.until_waiting(sender)
    assert.equal("first", ch:receive())
    assert.equal(1, ch:len())
    assert.same(pack(nil, "full"), pack(ch:try_send "barging"))
    assert.equal("second", ch:receive())
    assert.same(pack(true, true), pack(sender:join(LONG)))
    -- A message given to a waiting receiver can be taken by nobody else.
    local receiver = casting.spawn(function() return ch:receive() end)
    helper.until_waiting(receiver)
    assert.is_true(ch:try_send "for the one who waits")
    assert.same(pack(nil, "empty"), pack(ch:try_receive()))
    assert.same(pack(true, "for the one who waits"),
      pack(receiver:join(LONG)))
  end)
end)

describe("close", function()
  it("lets receivers that wait go", function()
    for _, capacity in ipairs {0, 2, math.huge} do
      local ch, tasks = casting.channel(capacity), {}
      for i = 1, 5 do
        tasks[i] = casting.spawn(function() return ch:receive() end)
        helper.until_waiting(tasks[i])
      end
      assert.is_true(ch:close())
      for i = 1, 5 do
        assert.same(pack(true, nil, "closed"), pack(tasks[i]:join(LONG)))
      end
    end
  end)

  it("lets senders that wait go, and drops their messages", function()
    for _, capacity in ipairs {0, 2} do
      local ch, tasks = casting.channel(capacity), {}
      for i = 1, capacity do ch:send(i) end
      for i = 1, 5 do
        tasks[i] = casting.spawn(function() return ch:send "dropped" end)
        helper.until_waiting(tasks[i])
      end
      assert.is_true(ch:close())
      for i = 1, 5 do
        assert.same(pack(true, nil, "closed"), pack(tasks[i]:join(LONG)))
      end
      for i = 1, capacity do assert.equal(i, ch:receive()) end
      assert.same(pack(nil, "closed"), pack(ch:receive()))
    end
  end)

  it("says true to one of many that close", function()
    local ch, gate = casting.channel(), casting.channel()
    local sessions, tasks = {casting.session(), casting.session()}, {}
    for i = 1, 10 do
      tasks[i] = sessions[i % 2 + 1]:spawn(function(ch, gate)
        gate:receive()
        return ch:close()
      end, ch, gate)
    end
    gate:close()
    local first = 0
    for i = 1, 10 do
      local ok, won = tasks[i]:join(LONG)
      assert.is_true(ok)
      if won then first = first + 1 end
    end
    assert.equal(1, first)
    for i = 1, 2 do sessions[i]:close() end
  end)

  it("lets the main program of another session go", function()
    local ch = casting.channel()
    local session = casting.session()
    session:spawn(function(ch) ch:close() end, ch)
    assert.same(pack(nil, "closed"), pack(ch:receive(LONG)))
    session:close()
  end)
end)

describe("receive with a timeout", function()
  it("says so when the time has passed", function()
    local ch = casting.channel()
    local began = casting.now()
    assert.same(pack(nil, "timeout"), pack(ch:receive(0.05)))
    assert.is_true(casting.now() - began >= 0.05)
  end)

  it("does not wait with 0", function()
    local ch = casting.channel(1)
    assert.same(pack(nil, "timeout"), pack(ch:receive(0)))
    ch:send "here"
    assert.equal("here", ch:receive(0))
  end)

  it("waits in tasks and in sessions too", function()
    for _, place in ipairs(helper.places) do
      local waited, a, b = place[2](function()
        local casting = require "casting"
        local began = casting.now()
        local a, b = casting.channel():receive(0.03)
        return casting.now() - began, a, b
      end)
      assert.is_true(waited >= 0.03)
      assert.same(pack(nil, "timeout"), pack(a, b))
    end
  end)

  it("takes a message that comes in time", function()
    local ch = casting.channel()
    casting.spawn(function()
      casting.sleep(0.01)
      ch:send "in time"
    end)
    assert.equal("in time", ch:receive(LONG))
  end)

  it("may be math.huge", function()
    local ch = casting.channel()
    casting.spawn(function() ch:send(1) end)
    assert.equal(1, ch:receive(math.huge))
  end)

  it("leaves nothing in the queue", function()
    -- A receiver that timed out must not swallow the next message.
    local ch = casting.channel()
    assert.same(pack(nil, "timeout"), pack(ch:receive(0.01)))
    assert.same(pack(nil, "full"), pack(ch:try_send(1)))
    local task = casting.spawn(function() return ch:receive(0.01) end)
    assert.same(pack(true, nil, "timeout"), pack(task:join(LONG)))
    assert.same(pack(nil, "full"), pack(ch:try_send(1)))
  end)
end)

describe("try_send and try_receive", function()
  it("meet a task that waits", function()
    local ch = casting.channel()
    assert.same(pack(nil, "full"), pack(ch:try_send(1)))
    assert.same(pack(nil, "empty"), pack(ch:try_receive()))
    local sender = casting.spawn(function() return ch:send("a", "b") end)
    helper.until_waiting(sender)
    assert.same(pack("a", "b"), pack(ch:try_receive()))
    assert.same(pack(true, true), pack(sender:join(LONG)))
    local receiver = casting.spawn(function() return ch:receive() end)
    helper.until_waiting(receiver)
    assert.same(pack(true), pack(ch:try_send("c", "d")))
    assert.same(pack(true, "c", "d"), pack(receiver:join(LONG)))
  end)

  it("never meet each other", function()
    local ch = casting.channel()
    assert.same(pack(nil, "full"), pack(ch:try_send(1)))
    assert.same(pack(nil, "empty"), pack(ch:try_receive()))
  end)
end)

describe("for ... in ch", function()
  it("ends when the channel is closed and drained", function()
    local ch, list = casting.channel(5), {}
    for i = 1, 5 do ch:send(i, i * i) end
    ch:close()
    for v, square in ch do list[v] = square end
    assert.same({1, 4, 9, 16, 25}, list)
    for _ in ch do error "it is drained" end
  end)

  it("is fed by a task", function()
    local ch, list = casting.channel(), {}
    casting.spawn(feed, ch, "a", false, "c")
    for v in ch do list[#list + 1] = v end
    assert.same({"a", false, "c"}, list)
  end)

  it("is fed by a session", function()
    local ch, list = casting.channel(), {}
    local session = casting.session()
    session:spawn(feed, ch, "a", {1}, "c")
    for v in ch do list[#list + 1] = v end
    assert.same({"a", {1}, "c"}, list)
    session:close()
  end)

  it("can be left by break", function()
    local ch = casting.channel(math.huge)
    for i = 1, 10 do ch:send(i) end
    for v in ch do
      if v == 4 then break end
    end
    assert.equal(6, ch:len())
    assert.equal(5, ch:receive())
  end)

  it("shares a channel among loops", function()
    local ch, seen, tasks = casting.channel(), {}, {}
    for i = 1, 5 do
      tasks[i] = casting.spawn(function()
        for v in ch do seen[v] = (seen[v] or 0) + 1 end
      end)
    end
    for i = 1, 100 do ch:send(i) end
    ch:close()
    for i = 1, 5 do assert.is_true((tasks[i]:join(LONG))) end
    for i = 1, 100 do assert.equal(1, seen[i]) end
  end)
end)

describe("casting.named", function()
  local count = 0
  local function fresh()
    count = count + 1
    return ("channel_spec %d %s"):format(count, tostring({}))
  end

  it("gives the same channel for the same name", function()
    local name = fresh()
    local a, b = casting.named(name, 3), casting.named(name)
    assert.is_true(a == b)
    assert.equal(3, b:capacity())
    assert.is_true(a == casting.named(name, 3))
    assert.is_false(a == casting.named(fresh()))
  end)

  it("is found by other sessions", function()
    local name = fresh()
    local ch = casting.named(name, 1)
    local session = casting.session()
    local task = session:spawn(function(name)
      return require "casting".named(name):send "hello"
    end, name)
    assert.equal("hello", ch:receive(LONG))
    assert.same(pack(true, true), pack(task:join(LONG)))
    session:close()
  end)

  it("does not change its capacity", function()
    local name = fresh()
    local ch = casting.named(name, 3)
    helper.misuse(function() casting.named(name, 4) end, "named", "capacity")
    assert.equal(3, ch:capacity())
  end)

  it("is a new channel after close", function()
    local name = fresh()
    local old = casting.named(name, 1)
    old:close()
    local new = casting.named(name, 2)
    assert.is_false(old == new)
    assert.is_false(new:closed())
    assert.equal(2, new:capacity())
  end)

  it("takes any string for a name", function()
    local odd = fresh() .. "\0\255\n"
    local ch = casting.named(odd)
    assert.is_true(ch == casting.named(odd))
    assert.is_false(ch == casting.named((odd:gsub("%z.*", ""))))
  end)

  it("is not closed by the collector while it is in use", function()
    local name = fresh()
    casting.named(name, 1):send "kept"
    local ch = casting.named(name)
    collectgarbage()
    collectgarbage()
    assert.is_true(ch == casting.named(name))
  end)
end)

describe("casting.after", function()
  it("delivers the time once and closes", function()
    local began = casting.now()
    local ch = casting.after(0.02)
    local at = ch:receive(LONG)
    assert.equal("number", type(at))
    assert.is_true(at - began >= 0.02)
    assert.is_true(casting.now() >= at)
    assert.same(pack(nil, "closed"), pack(ch:receive(LONG)))
  end)

  it("with 0 delivers soon", function()
    assert.equal("number", type(casting.after(0):receive(LONG)))
  end)

  it("keeps the order of the deadlines", function()
    local out = casting.channel(math.huge)
    local times = {0.06, 0.02, 0.04, 0.00, 0.08}
    for _, seconds in ipairs(times) do
      casting.spawn(function()
        casting.after(seconds):receive()
        out:send(seconds)
      end)
    end
    table.sort(times)
    for _, seconds in ipairs(times) do
      assert.equal(seconds, out:receive(LONG))
    end
  end)

  it("can be received in another session", function()
    local ch = casting.after(0.02)
    local session = casting.session()
    local task = session:spawn(function(ch)
      local kind = type(ch:receive())
      return kind, select(2, ch:receive())
    end, ch)
    assert.same(pack(true, "number", "closed"), pack(task:join(LONG)))
    session:close()
  end)

  it("wakes all who wait, one with the time, others by the close", function()
    local ch, ended = casting.after(0.05), casting.channel(math.huge)
    local session, n = casting.session(), 1000
    for i = 1, n do
      local function wait(ch, ended) ended:send((ch:receive() or "closed")) end
      if i % 2 == 0 then casting.spawn(wait, ch, ended)
      else session:spawn(wait, ch, ended) end
    end
    local times = 0
    for _ = 1, n do
      if ended:receive(LONG) ~= "closed" then times = times + 1 end
    end
    assert.equal(1, times)
    assert.is_true(ch:closed())
    session:close()
  end)

  it("may be dropped before its time", function()
    for _ = 1, 1000 do casting.after(1000) end
    collectgarbage()
    assert.equal("number", type(casting.after(0.001):receive(LONG)))
  end)
end)

describe("casting.every", function()
  it("delivers again and again", function()
    local began = casting.now()
    local ch = casting.every(0.01)
    local last = began
    for _ = 1, 5 do
      local at = ch:receive(LONG)
      assert.equal("number", type(at))
      assert.is_true(at > last)
      last = at
    end
    assert.is_true(last - began >= 0.05)
    assert.is_true(ch:close())
    helper.until_true(function()
      local _, word = ch:try_receive()
      return word == "closed"
    end)
  end)

  it("drops ticks that nobody took", function()
    local ch = casting.every(0.005)
    casting.sleep(0.1)
    assert.is_true(ch:len() <= 1)
    local at = ch:receive(LONG)
    assert.equal("number", type(at))
    assert.is_true(ch:len() <= 1)
    ch:close()
  end)

  it("goes on from the tick that was taken, on its grid", function()
    local takes = {
      function(ch) return ch:receive(LONG) end,
      function(ch) return ch:try_receive() end,
      function(ch) return select(2, casting.select {ch}) end,
      function(ch) return ch() end,
    }
    local began = casting.now()
    local ch, period = casting.every(0.002), 0.002
    local last = began
    for i = 1, 12 do
      helper.until_true(function() return ch:len() == 1 end)
      local at = takes[i % #takes + 1](ch)
      assert.is_true(at > last)
      -- That of the first one's time and so many periods, or later.
      assert.is_true(at - began >= period * i - 1e-6)
      last = at
    end
    -- A message of somebody else's in its place holds it up, no longer.
    assert.is_true(ch:receive(LONG) > last)
    ch:try_send("mine")
    helper.until_true(function() return ch:len() == 1 end)
    ch:receive()
    assert.equal("number", type(ch:receive(LONG)))
    ch:close()
  end)

  it("has no period below 0.1 ms", function()
    local ch = casting.every(1e-9)
    local began = ch:receive(LONG)
    for _ = 1, 50 do ch:receive(LONG) end
    assert.is_true(casting.now() - began >= 49 * 0.0001)
    ch:close()
  end)
end)

describe("a channel as a value", function()
  it("is equal to itself only", function()
    local a, b = casting.channel(), casting.channel()
    assert.is_true(a == a)
    assert.is_false(a == b)
    assert.is_false(a == 1)
  end)

  it("goes through a channel and comes back as itself", function()
    local a, carrier = casting.channel(), casting.channel(1)
    carrier:send(a)
    local got = carrier:receive()
    assert.is_true(got == a)
    local key = {[a] = "found"}
    assert.equal("found", key[got])
  end)

  it("comes back from another session as itself", function()
    local a, there, back = casting.channel(1), casting.channel(),
      casting.channel()
    local session = casting.session()
    local task = session:spawn(function(there, back)
      local ch = there:receive()
      ch:send "through it"
      back:send({ch, ch, by = {[ch] = true}})
      return ch
    end, there, back)
    there:send(a)
    assert.equal("through it", a:receive(LONG))
    local got = back:receive(LONG)
    assert.is_true(got[1] == a)
    assert.is_true(got[2] == a)
    assert.is_true(got.by[a])
    local ok, result = task:join(LONG)
    assert.is_true(ok)
    assert.is_true(result == a)
    session:close()
  end)

  it("can be sent through itself", function()
    local ch = casting.channel(1)
    ch:send(ch, "self")
    local got, word = ch:receive()
    assert.is_true(got == ch)
    assert.equal("self", word)
  end)

  it("can be captured as an upvalue", function()
    local ch = casting.channel()
    local session = casting.session()
    session:spawn(function() ch:send "from an upvalue" end)
    assert.equal("from an upvalue", ch:receive(LONG))
    session:close()
  end)

  it("has a name when printed", function()
    local a, b = casting.channel(), casting.channel()
    assert.matches("channel", tostring(a))
    assert.equal(tostring(a), tostring(a))
    assert.is_false(tostring(a) == tostring(b))
  end)

  it("does not let its metatable be changed", function()
    local ch = casting.channel()
    assert.has_error(function() setmetatable(ch, {}) end)
    assert.has_error(function() ch.field = 1 end)
    assert.equal("userdata", type(ch))
  end)

  it("lives in messages that nobody has taken yet", function()
    local outer = casting.channel(1)
    do
      local inner = casting.channel(1)
      inner:send "still here"
      outer:send(inner)
    end
    collectgarbage()
    collectgarbage()
    assert.equal("still here", outer:receive():receive(0))
  end)
end)

describe("local ch <close>", function()
  it("closes at the end of the block", function()
    if helper.version < "5.4" then
      pending "<close> needs Lua 5.4"
      return
    end
    local ch = assert(load [[
      local ch <close> = require "casting".channel(1)
      return ch
    ]])()
    assert.is_true(ch:closed())
    local failed = casting.channel()
    local ok = pcall(assert(load [[
      local ch <close> = ...
      error "leaving"
    ]]), failed)
    assert.is_false(ok)
    assert.is_true(failed:closed())
  end)
end)

describe("casting.now", function()
  it("never goes back", function()
    local last = casting.now()
    for _ = 1, 1000 do
      local now = casting.now()
      assert.is_true(now >= last)
      last = now
    end
    casting.sleep(0.02)
    assert.is_true(casting.now() - last >= 0.02)
  end)
end)
