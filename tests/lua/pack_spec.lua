-- pack_spec.lua - packed messages, and the question whether a value can cross.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

local session
before_each(function() session = casting.session() end)
after_each(function() session:close() end)

describe("casting.pack", function()
  it("makes a message that any send takes for its values", function()
    local m = casting.pack("a", nil, {x = {1, 2}})
    local ch = casting.channel(3)
    assert.is_true(ch:send(m))
    assert.is_true(ch:try_send(m))
    assert.same(pack(1, true), pack(casting.select {{ch, m}}))
    for _ = 1, 3 do
      assert.same(pack("a", nil, {x = {1, 2}}), pack(ch:receive()))
    end
  end)

  it("reaches receivers that wait, in other sessions too", function()
    local out = casting.channel(10)
    local m = casting.pack("news", {n = 7})
    local inputs, tasks = {}, {}
    for i = 1, 10 do
      inputs[i] = casting.channel()
      tasks[i] = session:spawn(function(input, output)
        local word, t = input:receive()
        output:send(word .. t.n)
      end, inputs[i], out)
    end
    for i = 1, 10 do inputs[i]:send(m) end
    for i = 1, 10 do
      tasks[i]:await(LONG)
      assert.equal("news7", out:receive())
    end
  end)

  it("copies when it packs", function()
    local t = {1}
    local m = casting.pack(t)
    t[1] = 2
    local a, b = m:unpack(), m:unpack()
    assert.same({1}, a)
    assert.same({1}, b)
    assert.is_false(a == b)
  end)

  it("has the count of its values", function()
    assert.equal(1, #casting.pack "x")
    assert.equal(4, #casting.pack(1, nil, nil, nil))
    assert.same(pack(1, nil, nil), pack(casting.pack(1, nil, nil):unpack()))
    assert.matches("^message: ", tostring(casting.pack(1)))
  end)

  it("of one message is that message", function()
    local m = casting.pack(1)
    assert.is_true(casting.pack(m) == m)
  end)

  it("crosses as itself among other values", function()
    local m = casting.pack("inside", {5})
    local same, word, five = session:spawn(function(t)
      local casting = require "casting" -- luacheck: ignore
      local ch = casting.channel(1)
      ch:send(t.m)
      local word, list = ch:receive() -- luacheck: ignore
      return t.m, word, list[1]
    end, {m = m}):await(LONG)
    assert.is_true(same == m)
    assert.same({"inside", 5}, {word, five})
    assert.same(pack("inside", {5}), pack(same:unpack()))
    -- As an argument of spawn, too.
    assert.equal("inside", (session:spawn(function(p)
      return (p:unpack())
    end, m):await(LONG)))
  end)

  it("with a function can be spawned, again and again", function()
    local n = 40
    local m = casting.pack(function(x) n = n + x return n end, 2)
    for _ = 1, 5 do assert.equal(42, session:spawn(m):await(LONG)) end
    helper.misuse(function() session:spawn(casting.pack(1)) end,
      "function or source text expected")
    helper.misuse(function() session:spawn(m, 1) end,
      "function or source text expected")
  end)

  it("refuses what cannot be sent", function()
    helper.misuse(function() casting.pack() end, "at least one value")
    helper.misuse(function() casting.pack(nil, 1) end, "cannot be nil")
    helper.misuse(function() casting.pack(1, {co = io.stdout}) end,
      "cannot send a userdata", "argument 2: .co")
    helper.misuse(function() casting.pack(1).unpack(5) end,
      "message expected, got number")
  end)

  it("outlives what packed it", function()
    local m = session:spawn(function()
      return require "casting".pack(("x"):rep(10000), {1, 2, 3})
    end):await(LONG)
    session:close()
    local s, t = m:unpack()
    assert.equal(10000, #s)
    assert.same({1, 2, 3}, t)
  end)
end)

describe("casting.transferable", function()
  it("tells what could be sent", function()
    local up = {1}
    for _, v in ipairs {1, "s", true, {1, {2}}, print, function() return up end,
      string, casting.channel(), session, casting.pack(1),
      setmetatable({}, {__save = function() return print end})} do
      assert.same(pack(true), pack(casting.transferable(v)))
    end
    assert.same(pack(true), pack(casting.transferable(nil)))
  end)

  it("says why not, and where", function()
    local co = coroutine.create(function() end)
    assert.same(pack(nil, "cannot send a coroutine (value)"),
      pack(casting.transferable(co)))
    assert.same(pack(nil, "cannot send a coroutine (value: .a[2])"),
      pack(casting.transferable {a = {1, co}}))
    local ok, why = casting.transferable(function() return co end)
    assert.is_nil(ok)
    assert.matches("value: upvalue 'co'", why)
    ok, why = casting.transferable(setmetatable({}, {__save = function()
      error {} -- luacheck: ignore
    end}))
    assert.is_nil(ok)
    assert.matches("table", why)
  end)

  it("needs a value", function()
    helper.misuse(function() casting.transferable() end, "value expected")
  end)
end)
