-- broadcast_spec.lua - broadcasts: one message for all who have subscribed.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, misuse, LONG = helper.pack, helper.misuse, helper.LONG

local function drain(ch)
  local list = {}
  for v in function() return ch:try_receive() end do list[#list + 1] = v end
  return list
end

for _, place in ipairs(helper.places) do
  local title, run = place[1], place[2]

  describe("a broadcast in " .. title, function()
    it("sends to all", function()
      assert.same(pack(0, 0, 2, 2, 0, "x", nil, 3, "x", nil, 3), pack(run(
        function()
          local casting = require "casting"
          local b = casting.broadcast()
          local none, missed = b:publish("nobody")
          local one, two = b:subscribe(), b:subscribe {capacity = 1}
          local count = b:count()
          local got, late = b:publish("x", nil, 3)
          local x, y, z = one:receive()
          return none, missed, count, got, late, x, y, z, two:receive()
        end)))
    end)
  end)
end

describe("a subscriber", function()
  it("that is slow misses what it was told to", function()
    local b = casting.broadcast()
    local oldest = b:subscribe {capacity = 2, slow = "oldest"}
    local newest = b:subscribe {capacity = 2, slow = "newest"}
    local closes = b:subscribe {capacity = 2, slow = "close"}
    local all = b:subscribe {capacity = math.huge}
    for i = 1, 2 do assert.same(pack(4, 0), pack(b:publish(i))) end
    assert.same(pack(2, 2), pack(b:publish(3)))
    assert.equal(3, b:count())
    assert.same(pack(2, 1), pack(b:publish(4)))
    assert.same({3, 4}, drain(oldest))
    assert.same({1, 2}, drain(newest))
    assert.same({1, 2}, drain(closes))
    assert.is_true(closes:closed())
    assert.same({1, 2, 3, 4}, drain(all))
  end)

  it("leaves by closing its channel, or by forgetting it", function()
    local b = casting.broadcast()
    local one, two = b:subscribe(), b:subscribe()
    one:close()
    assert.equal(1, b:count())
    assert.equal(1, (b:publish "x"))
    assert.equal("x", two:receive())
    two = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(0, b:count())
    b = b:subscribe() -- the broadcast itself is kept by it
    collectgarbage()
    assert.equal("empty", select(2, b:try_receive()))
  end)

  it("leaves with its session", function()
    local b, session = casting.broadcast(), casting.session()
    session:spawn(function() kept = b:subscribe() end):await(LONG) -- luacheck: ignore
    assert.equal(1, b:count())
    session:close(LONG)
    helper.until_true(function() return b:count() == 0 end)
  end)

  it("hears what is published in other sessions, in order", function()
    local b, got = casting.broadcast(), casting.channel(math.huge)
    local sessions, subscribers = {}, {}
    local ready = casting.channel()
    for i = 1, 3 do
      sessions[i] = casting.session()
      subscribers[i] = sessions[i]:spawn(function()
        local ch = b:subscribe {capacity = math.huge}
        ready:send(true)
        local last, n = {0, 0}, 0
        for who, number in ch do
          assert(number == last[who] + 1)
          last[who], n = number, n + 1
        end
        got:send(n)
      end)
      ready:receive(LONG)
    end
    local publishers = {}
    for who = 1, 2 do
      publishers[who] = sessions[who]:spawn(function()
        for i = 1, 500 do
          if b:publish(who, i) ~= 3 then error "not all" end
        end
      end)
    end
    for who = 1, 2 do publishers[who]:await(LONG) end
    assert.is_true(b:close())
    for i = 1, 3 do
      assert.equal(1000, got:receive(LONG))
      subscribers[i]:await(LONG)
      sessions[i]:close(LONG)
    end
  end)

  it("can be waited for with others", function()
    local b = casting.broadcast()
    local one, two = b:subscribe(), casting.channel()
    local task = casting.spawn(casting.select, {two, one})
    casting.yield()
    b:publish(7)
    assert.same(pack(2, 7), pack(task:await(LONG)))
  end)
end)

describe("broadcasts", function()
  it("are closed", function()
    local b = casting.broadcast()
    local one, two = b:subscribe(), b:subscribe()
    b:publish(1)
    assert.is_true(b:close())
    assert.is_false(b:close())
    assert.same({1}, drain(one))
    assert.is_true(one:closed() and two:closed())
    assert.same(pack(nil, "closed"), pack(b:publish(1)))
    assert.same(pack(nil, "closed"), pack(b:subscribe()))
    assert.equal(0, b:count())
    if helper.version >= "5.4" then
      local c = casting.broadcast()
      local three = c:subscribe()
      load "local c <close> = ..." (c)
      assert.is_true(three:closed())
    end
  end)

  it("send packed messages as they are", function()
    local b = casting.broadcast()
    local ch = b:subscribe()
    assert.equal(1, (b:publish(casting.pack("a", {2}))))
    local a, t = ch:receive()
    assert.same({"a", {2}}, {a, t})
  end)

  it("are values", function()
    local b, session = casting.broadcast(), casting.session()
    local same, name = session:spawn(function()
      return b, tostring(b)
    end):await(LONG)
    assert.equal(b, same)
    assert.matches("^broadcast: ", name)
    assert.equal("casting.broadcast", getmetatable(b))
    session:close(LONG)
  end)

  it("are named by errors", function()
    local b = casting.broadcast()
    misuse(function() b:publish() end, "#1 to 'publish'", "at least one value")
    misuse(function() b:publish(nil, 1) end, "cannot be nil")
    misuse(function() b:publish(coroutine.create(function() end)) end,
      "cannot")
    misuse(function() b:subscribe(1) end, "#1 to 'subscribe'", "table")
    for _, n in ipairs {0, -1, 1.5, "3", 0 / 0, -math.huge} do
      misuse(function() b:subscribe {capacity = n} end, "#1 to 'subscribe'",
        "capacity must be an integer from 1 on or math.huge")
    end
    misuse(function() b:subscribe {slow = "wait"} end, "slow must be",
      "got 'wait'")
    misuse(function() b:subscribe {size = 1} end, "unknown option 'size'")
    misuse(function() b.publish(casting.channel(), 1) end, "broadcast expected")
    misuse(function() b.subscribe(1) end, "broadcast expected")
  end)

  it("are not for sandboxes", function()
    local session = casting.session {sandbox = true}
    local b = casting.broadcast()
    local ch = b:subscribe()
    for _, what in ipairs {"b:publish(1)", "b:subscribe()", "b:close()",
      "require('casting').broadcast()"} do
      local ok, e = session:spawn("local b = ... " .. what, b):join(LONG)
      assert.is_false(ok)
      assert.matches("not available in a sandbox", e)
    end
    assert.is_false(ch:closed())
    session:close(LONG)
  end)
end)
