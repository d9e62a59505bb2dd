-- limiter_spec.lua - limiters: so many tokens a second.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, misuse, LONG = helper.pack, helper.misuse, helper.LONG

for _, place in ipairs(helper.places) do
  local title, run = place[1], place[2]

  describe("a limiter in " .. title, function()
    it("gives a burst at once, and no more", function()
      assert.same(pack(3, true, true, 0, nil, "empty", nil, "timeout", nil,
        "timeout"), pack(run(function()
          local casting = require "casting"
          local l = casting.limiter {rate = 0.001, burst = 3}
          local before, a, b = l:available(), l:take(), l:try_take(2)
          local after, c, d = l:available(), l:try_take()
          local e, f = l:take(1, 0)
          return before, a, b, after, c, d, e, f, l:take(2, 0.01)
        end)))
    end)

    it("is as fast as its rate", function()
      local passed, full = run(function()
        local casting = require "casting"
        local l = casting.limiter {rate = 1000, burst = 2}
        local start = casting.now()
        for _ = 1, 12 do l:take() end
        l:take(2)
        local passed = casting.now() - start
        while l:available() < 2 do casting.sleep(0.001) end
        return passed, l:available()
      end)
      assert.is_true(passed >= 0.0119)
      assert.equal(2, full)
    end)
  end)
end

describe("the queue of a limiter", function()
  it("is served in order, in all sessions", function()
    local l = casting.limiter {rate = 500}
    local order, sessions = casting.channel(math.huge), {}
    l:take()
    for i = 1, 4 do sessions[i] = casting.session() end
    for i = 1, 12 do
      local task = sessions[(i - 1) % 4 + 1]:spawn(function()
        l:take()
        order:send(i)
      end)
      -- The earlier ones may be over by now.
      helper.until_true(function() return task:status() ~= "ready" and
        task:status() ~= "running" end)
    end
    -- Several may be served at once; then each session has its own turn.
    local last = {}
    for _ = 1, 12 do
      local i = order:receive(LONG)
      local home = (i - 1) % 4 + 1
      assert.equal((last[home] or home - 4) + 4, i)
      last[home] = i
    end
    for i = 1, 4 do sessions[i]:close(LONG) end
  end)

  it("goes on without those who give up", function()
    for _, way in ipairs {"cancel", "timeout", "deadline", "close"} do
      local l = casting.limiter {rate = 20, burst = 100}
      l:take(99)
      local session = casting.session()
      local large = session:spawn(function()
        local casting = require "casting"
        if way == "timeout" then return l:take(100, 0.01) end
        if way == "deadline" then
          return casting.with_timeout(0.01, l.take, l, 100)
        end
        return l:take(100)
      end)
      -- Its time may be over by now.
      helper.until_true(function()
        local status = large:status()
        return status ~= "ready" and status ~= "running"
      end)
      local start = casting.now()
      local small = casting.spawn(l.take, l)
      if way == "cancel" then large:cancel() end
      if way == "close" then session:close() end
      assert.is_true(small:await(LONG))
      -- Nothing was taken by the one that gave up: that would be 5 seconds.
      assert.is_true(casting.now() - start < 4 * helper.slow)
      session:close(LONG)
    end
  end)
end)

describe("limiters", function()
  it("are values", function()
    local l = casting.limiter {rate = 0.001, burst = 7}
    local session = casting.session()
    local same, name, left = session:spawn(function()
      l:take(3)
      return l, tostring(l), l:available()
    end):await(LONG)
    assert.equal(l, same)
    assert.matches("^limiter: ", name)
    assert.equal(4, left)
    assert.equal("casting.limiter", getmetatable(l))
    session:close(LONG)
  end)

  it("are named by errors", function()
    local function bad(options, word)
      misuse(function() casting.limiter(options) end, "#1 to 'limiter'", word)
    end
    bad(nil, "table expected, got nil")
    bad(10, "table expected")
    bad({}, "rate must be a number of tokens per second")
    for _, rate in ipairs {0, -1, 1e10, math.huge, 0 / 0, "5"} do
      bad({rate = rate}, "rate must be")
    end
    for _, burst in ipairs {0, -1, 1.5, math.huge, 0 / 0, "5", 1e10} do
      bad({rate = 5, burst = burst}, "burst must be an integer")
    end
    bad({rate = 1e-9, burst = 2}, "1e9 seconds")
    bad({rate = 1e-300}, "1e9 seconds")
    bad({rate = 1, size = 1}, "unknown option 'size'")
    local l = casting.limiter {rate = 5, burst = 3}
    for _, n in ipairs {0, 4, 0.5, math.huge, 0 / 0} do
      misuse(function() l:take(n) end, "#1 to 'take'",
        "a number of tokens must be an integer from 1 to 3")
      misuse(function() l:try_take(n) end, "#1 to 'try_take'")
    end
    misuse(function() l:take {} end, "#1 to 'take'", "number expected")
    misuse(function() l:take(1, -1) end, "#2 to 'take'", "timeout")
    misuse(function() l.take(casting.channel()) end, "limiter expected")
    misuse(function() l.available(1) end, "limiter expected")
  end)

  it("are in reports, and nobody's deadlock", function()
    local l = casting.limiter {rate = 10}
    l:take()
    local task = casting.spawn(l.take, l)
    casting.yield()
    assert.matches("waiting for limiter: ", casting.report())
    assert.is_true(task:await(LONG))
    local result = helper.run [[
      local casting = require "casting"
      local l = casting.limiter {rate = 50}
      for i = 1, 3 do l:take() end
      print "went on"
      casting.channel():receive()
    ]]
    assert.equal(1, result.status)
    assert.equal("went on\n", result.out)
    assert.matches("deadlock", result.err)
  end)

  it("work in a sandbox", function()
    local l = casting.limiter {rate = 0.001, burst = 5}
    local session = casting.session {sandbox = true, memory = 4 * 2 ^ 20}
    local a, own = session:spawn([[
      local l = ...
      local casting = require "casting"
      local own = casting.limiter {rate = 0.001, burst = 9}
      own:take(2)
      return l:take(4), own
    ]], l):await(LONG)
    assert.is_true(a)
    assert.equal(1, l:available())
    assert.equal(7, own:available())
    assert.is_false(session:spawn([[
      local list = {}
      for i = 1, 1e7 do
        list[i] = require("casting").limiter {rate = 1}
      end
    ]]):join(LONG))
    session:close(LONG)
  end)

  it("are left behind", function()
    assert.equal("done\n", helper.output [[
      local casting = require "casting"
      l = casting.limiter {rate = 0.001}
      l:take()
      for i = 1, 4 do
        casting.session():spawn(function() l:take() end)
        casting.spawn(l.take, l)
      end
      casting.yield()
      print "done"
    ]])
  end)
end)
