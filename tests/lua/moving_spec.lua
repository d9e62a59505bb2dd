-- moving_spec.lua - userdata of a C module that moves instead of being copied.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG
local buffer = require "buffer" -- examples/buffer.c

local function moved(b) return not pcall(b.get, b, 1) end

describe("userdata that moves", function()
  local session
  before_each(function() session = casting.session() end)
  after_each(function() session:close() end)

  it("arrives with its very bytes, and is gone here", function()
    local b = buffer.new(1000)
    b:set(1000, 77)
    local address = b:address()
    local task = session:spawn(function(b) -- luacheck: ignore
      local found = package.loaded.buffer ~= nil
      b:set(1, 5)
      return b:address(), #b, b:get(1000), found
    end, b)
    assert.same(pack(address, 1000, 77, true), pack(task:await(LONG)))
    assert.is_true(moved(b))
    helper.misuse(function() b:get(1) end, "moved away")
  end)

  it("goes through channels, in tables and twice in a message", function()
    local ch = casting.channel(2)
    local b, c = buffer.new(1), buffer.new(2)
    b:set(1, 11)
    c:set(1, 22)
    ch:send({b, {x = b}, c}, b)
    assert.is_true(moved(b) and moved(c))
    local t, again = ch:receive()
    assert.is_true(t[1] == t[2].x and t[1] == again)
    assert.same({11, 22}, {again:get(1), t[3]:get(1)})
  end)

  it("comes back as a result", function()
    local b = session:spawn(function()
      local b = require "buffer".new(3)
      b:set(3, 33)
      return b
    end):await(LONG)
    assert.equal(33, b:get(3))
  end)

  it("stays when the send fails", function()
    local b = buffer.new(1)
    local full, closed = casting.channel(1), casting.channel(1)
    full:send "full"
    closed:close()
    local function stays() assert.is_false(moved(b)) end
    assert.same(pack(nil, "full"), pack(full:try_send(b)))
    stays()
    assert.same(pack(nil, "closed"), pack(closed:send(b)))
    stays()
    assert.same(pack(nil, "closed"), pack(closed:try_send {b}))
    stays()
    assert.same(pack(nil, "timeout"),
      pack(casting.select {{full, b}, timeout = 0}))
    stays()
    assert.same(pack(nil, "timeout"),
      pack(casting.select {{full, b}, timeout = 0.001}))
    stays()
    assert.same(pack(2, "here"),
      pack(casting.select {{full, b}, (function()
        local ch = casting.channel(1)
        ch:send "here"
        return ch
      end)()}))
    stays()
    -- Something else in the message cannot cross.
    helper.misuse(function()
      casting.channel(1):send(b, coroutine.create(function() end))
    end, "coroutine", "argument 2")
    stays()
    assert.has_error(function() session:spawn(print, b, io.stdout) end)
    stays()
    local other = casting.session()
    other:close()
    assert.has_error(function() other:spawn(print, b) end)
    stays()
    assert.is_true(full:len() == 1)
  end)

  it("stays when the sender is cancelled or the channel closes", function()
    local ch = casting.channel()
    local b = buffer.new(1)
    local task = casting.spawn(function() return ch:send(b) end)
    helper.until_waiting(task)
    assert.is_true(moved(b))
    task:cancel()
    task:join(LONG)
    assert.is_false(moved(b))
    task = casting.spawn(function() return ch:send(b) end)
    helper.until_waiting(task)
    ch:close()
    assert.same(pack(true, nil, "closed"), pack(task:join(LONG)))
    assert.is_false(moved(b))
  end)

  it("tells when it is empty already", function()
    local b = buffer.new(1)
    local first = buffer.new(1)
    local ch = casting.channel(2)
    ch:send(b)
    helper.misuse(function() ch:send({first, {x = b}}) end,
      "cannot send a buffer", "argument 1: [2].x", "empty")
    assert.is_false(moved(first))
    assert.equal(1, ch:len())
  end)

  it("is not for packed messages", function()
    local b = buffer.new(1)
    helper.misuse(function() casting.pack("x", {b = b}) end,
      "cannot send a buffer", "argument 2: .b", "moves")
    assert.is_false(moved(b))
  end)

  it("is transferable, and stays", function()
    local b = buffer.new(1)
    assert.is_true(casting.transferable {b})
    assert.is_false(moved(b))
  end)

  it("goes to one of those who join", function()
    local task = session:spawn(function() return require "buffer".new(9) end)
    local b = task:await(LONG)
    assert.equal(9, #b)
    helper.misuse(function() task:await(LONG) end, "cannot receive a buffer",
      "another receiver")
  end)

  it("is dropped with its message", function()
    local ch = casting.channel(10)
    for _ = 1, 10 do ch:send(buffer.new(1000)) end
    ch = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end)

  it("says when the module is missing", function()
    local s = casting.session()
    s:spawn("package.cpath = ''"):await(LONG)
    local ok, why = s:spawn(function(b) return b end, buffer.new(1)):join(LONG)
    assert.is_false(ok)
    assert.matches("cannot receive a buffer", tostring(why))
    assert.matches("module 'buffer' not found", tostring(why))
    s:close()
  end)
end)
