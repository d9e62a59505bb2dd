-- once_spec.lua - casting.once: what is done once in the whole process.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, misuse, LONG = helper.pack, helper.misuse, helper.LONG

-- A key for each test: results stay as long as the process runs.
local last = 0
local function new_key()
  last = last + 1
  return "once_spec " .. last
end

for _, place in ipairs(helper.places) do
  local title, run = place[1], place[2]

  describe("casting.once in " .. title, function()
    it("calls once, and returns the same again", function()
      assert.same(pack(1, "a", nil, "c", nil, "a", nil, "c", nil), pack(run(
        function(key)
          local casting, n = require "casting", 0
          local function f(...)
            n = n + 1
            casting.yield()
            return ...
          end
          local a, b, c, d = casting.once(key, f, "a", nil, "c", nil)
          return n, a, b, c, d, casting.once(key, f, "other")
        end, new_key())))
    end)
  end)
end

describe("casting.once", function()
  it("is called by one of many, in all sessions", function()
    local key, calls = new_key(), casting.channel(math.huge)
    local sessions, tasks = {}, {}
    for i = 1, 4 do
      sessions[i] = casting.session()
      for _ = 1, 10 do
        tasks[#tasks + 1] = sessions[i]:spawn(function()
          local casting = require "casting"
          return casting.once(key, function()
            calls:send(i)
            casting.sleep(0.005)
            return {by = i}, calls
          end)
        end)
      end
    end
    local by
    for _, task in ipairs(tasks) do
      local result, ch = task:await(LONG)
      by = by or result.by
      assert.equal(by, result.by)
      assert.equal(calls, ch)
    end
    assert.equal(1, #calls)
    assert.equal(by, calls:receive())
    for i = 1, 4 do sessions[i]:close(LONG) end
  end)

  it("keeps nothing of a call that fails", function()
    local key, n = new_key(), 0
    local function f()
      n = n + 1
      casting.yield()
      if n < 3 then error("no " .. n, 0) end
      return n
    end
    local tasks = {}
    for i = 1, 5 do tasks[i] = casting.spawn(casting.once, key, f) end
    assert.same(pack(false, "no 1"), pack(tasks[1]:join(LONG)))
    assert.same(pack(false, "no 2"), pack(tasks[2]:join(LONG)))
    for i = 3, 5 do assert.equal(3, tasks[i]:await(LONG)) end
  end)

  it("goes on when the one who calls is gone", function()
    for _, way in ipairs {"cancel", "close"} do
      local key, session = new_key(), casting.session()
      local begun = casting.channel(1)
      local task = session:spawn(function()
        local casting = require "casting"
        casting.once(key, function()
          begun:send(true)
          casting.sleep(100)
        end)
      end)
      assert.is_true(begun:receive(LONG))
      local other = casting.spawn(casting.once, key, function() return 7 end)
      casting.yield()
      if way == "cancel" then task:cancel() else session:close() end
      assert.equal(7, other:await(LONG))
      session:close(LONG)
    end
  end)

  it("keeps what can be sent only", function()
    local key = new_key()
    misuse(function()
      casting.once(key, function() return coroutine.create(function() end) end)
    end, "cannot send a")
    assert.equal(1, casting.once(key, function() return 1 end))
    assert.same(pack(), pack(casting.once(new_key(), function() end)))
    local empty = new_key()
    casting.once(empty, function() end)
    assert.same(pack(), pack(casting.once(empty, error)))
  end)

  it("tells who needs what it is doing", function()
    local key = new_key()
    local ok, e = pcall(casting.once, key, function()
      return casting.once(key, print)
    end)
    assert.is_false(ok)
    assert.matches("once: '" .. key .. "' needs itself", e)
    assert.equal(2, casting.once(key, function() return 2 end))
  end)

  it("is named by errors", function()
    misuse(function() casting.once() end, "#1 to 'once'",
      "a key must be a string, got nil")
    misuse(function() casting.once(5, print) end, "#1 to 'once'")
    misuse(function() casting.once "x" end, "#2 to 'once'",
      "function expected, got nil")
  end)

  it("is not for sandboxes", function()
    local session = casting.session {sandbox = true}
    local ok, e = session:spawn([[
      return require("casting").once("x", function() end)
    ]]):join(LONG)
    assert.is_false(ok)
    assert.matches("casting.once is not available in a sandbox", e)
    session:close(LONG)
  end)
end)
