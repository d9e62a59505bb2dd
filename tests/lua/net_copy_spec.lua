-- net_copy_spec.lua - stream:copy where much comes, so that its reads grow.
-- SPDX-License-Identifier: MIT
--
-- No byte may be lost, doubled or changed, whatever ends a copy: what was read
-- and not written can be read from the stream.

local casting = require "casting"
local helper = require "helper"
local netkit = require "netkit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local net = require "casting.net"
local LONG = helper.LONG

-- n bytes that are the same again only after an odd number of them.
local list = {}
for i = 1, 9973 do list[i] = ("%06d,"):format(i) end
local period = table.concat(list)
local function numbers(n)
  return period:rep(math.ceil(n / #period)):sub(1, n)
end
local BIG = 2 ^ 21 + 12345
local big = numbers(BIG)

-- f(a, b, c, d): what is written to a can be read from b, and what is written
-- to c from d.
local function each_way(f)
  local kinds = {net.pair, netkit.tcp}
  for _, first in ipairs(kinds) do
    for _, second in ipairs(kinds) do
      local a, b = first()
      local c, d = second()
      f(a, b, c, d)
      for _, stream in ipairs {a, b, c, d} do stream:close() end
    end
  end
end

local function feed(stream, text)
  return casting.spawn(function()
    local ok, why, n = stream:write(text)
    stream:shutdown()
    return ok and #text or n, why
  end)
end

-- What comes, up to the end or a reset.
local function take_all(stream)
  return casting.spawn(function()
    local all, why, rest = stream:read("a", LONG)
    return all or rest or "", why
  end)
end

describe("a copy of much", function()
  it("brings all, between all kinds", function()
    each_way(function(a, b, c, d)
      local writer, reader = feed(a, big), take_all(d)
      assert.equal(BIG, b:copy(c))
      c:shutdown()
      assert.is_true(reader:await(LONG) == big)
      assert.equal(BIG, writer:await(LONG))
      assert.same({BIG, 0}, {b:stats().read, b:stats().buffered})
      assert.equal(BIG, c:stats().written)
    end)
  end)

  it("brings so many bytes, and leaves the others", function()
    each_way(function(a, b, c, d)
      local writer, reader = feed(a, big), take_all(d)
      local at, n = 0, 1
      while n > 0 do
        local most = 100000 + at % 77777
        n = assert(b:copy(c, most))
        assert.is_true(n == most or at + n == BIG)
        at = at + n
      end
      assert.equal(BIG, at)
      c:shutdown()
      assert.is_true(reader:await(LONG) == big)
      writer:await(LONG)
    end)
  end)

  it("reads more at once when all has gone", function()
    local a, b = net.pair()
    local c, d = net.pair()
    a:option("sendbuffer", 2 ^ 19)
    c:option("sendbuffer", 3 * 2 ^ 14) -- room for a read, and not for two
    local text = numbers(250000)
    if not a:write(text, 0) then
      pending "the system takes too little at once"
      return
    end
    local copy = casting.spawn(function() return b:copy(c) end)
    helper.until_true(function() return b:stats().read > 2 * 65536 end, "it")
    local written, buffered = c:stats().written, b:stats().buffered
    assert.is_true(written >= 65536 and written < 2 * 65536)
    assert.is_true(buffered > 65536)
    assert.equal(3 * 65536, written + buffered)
    -- A target without room makes reads small again.
    assert.is_true(d:read(written, LONG) == text:sub(1, written))
    helper.until_true(function() return b:stats().read == #text end, "a read")
    a:shutdown()
    local reader = take_all(d)
    assert.equal(#text, copy:await(LONG))
    c:shutdown()
    assert.is_true(reader:await(LONG) == text:sub(written + 1))
    -- No more than it may copy, but for what a small read brings.
    local other, its_peer = net.pair()
    a, b = net.pair()
    a:option("sendbuffer", 2 ^ 19)
    if a:write(text, 0) then
      assert.equal(70000, b:copy(other, 70000))
      assert.equal(2 * 65536, b:stats().read)
    end
    its_peer:close() -- not before, by the collector
  end)

  it("to the same stream is an echo", function()
    for _, make in ipairs {net.pair, netkit.tcp} do
      local a, b = make()
      local echo = casting.spawn(function() return b:copy(b) end)
      local writer = feed(a, big)
      assert.is_true(a:read(BIG, LONG) == big)
      assert.equal(BIG, echo:await(LONG))
      writer:await(LONG)
      a:close()
      b:close()
    end
  end)

  -- begin(b, c) begins a copy whose target gets full, and may return a function
  -- that breaks it off.
  local function broken_off(begin)
    each_way(function(a, b, c, d)
      local text = numbers(2 ^ 23 + 2 ^ 22)
      local writer = feed(a, text)
      local copy, break_off = begin(b, c)
      local first = d:read(100000, LONG)
      if break_off then
        helper.until_waiting(copy)
        break_off()
      end
      copy:join(LONG)
      first = first .. take_all(d):await(LONG)
      local rest = take_all(b):await(LONG)
      assert.is_true(#first >= 100000 and #first < #text)
      assert.equal(#text, #first + #rest)
      assert.is_true(first .. rest == text)
      writer:await(LONG)
    end)
  end

  it("that is cancelled loses nothing", function()
    broken_off(function(b, c)
      local copy = casting.spawn(function() return b:copy(c) end)
      return copy, function() copy:cancel() end
    end)
  end)

  it("whose time is over loses nothing", function()
    broken_off(function(b, c)
      return casting.spawn(function()
        return casting.with_timeout(0.05, function() return b:copy(c) end)
      end)
    end)
  end)

  it("whose target is reset keeps what it has not written", function()
    for _, make in ipairs {net.pair, netkit.tcp} do
      local a, b = make()
      local c, d = netkit.tcp()
      local writer = feed(a, numbers(2 ^ 23 + 2 ^ 22))
      local copy = casting.spawn(function() return b:copy(c) end)
      assert.equal(100000, #d:read(100000, LONG))
      helper.until_waiting(copy)
      d:abort()
      local n, why, count = copy:await(LONG)
      assert.same({nil, "closed"}, {n, why})
      -- What the system had taken has gone; the rest is here, from there on.
      local rest = take_all(b):await(LONG)
      assert.is_true(rest == numbers(2 ^ 23 + 2 ^ 22):sub(count + 1))
      writer:await(LONG)
      for _, stream in ipairs {a, b, c} do stream:close() end
    end
  end)

  it("is told in reports, with both ends", function()
    local a, b = netkit.tcp()
    local c, d = netkit.tcp()
    local task = casting.spawn(b.copy, b, c)
    helper.until_waiting(task)
    local from, from_port = b:peer()
    local to, to_port = c:peer()
    assert.is_truthy(casting.report():find(("copying from %s:%d to %s:%d")
      :format(from, from_port, to, to_port), 1, true))
    a:close()
    assert.equal(0, task:await(LONG))
    for _, stream in ipairs {b, c, d} do stream:close() end
  end)

  it("ends with its source", function()
    for _, how in ipairs {"close", "abort"} do
      each_way(function(a, b, c, d)
        local writer = casting.spawn(function() a:write(big) end)
        local copy = casting.spawn(function() return b:copy(c) end)
        local first = d:read(500000, LONG)
        assert.is_true(first == big:sub(1, 500000))
        local reader = take_all(d)
        writer:await(LONG)
        a[how](a)
        local n, why, count = copy:await(LONG)
        c:shutdown()
        local all = first .. reader:await(LONG)
        assert.equal(n or count, #all)
        assert.is_true(all == big:sub(1, #all))
        if how == "close" then assert.same({BIG}, {n}) end
        assert.is_true(n ~= nil or why == "closed")
      end)
    end
  end)
end)

-- Programs of their own, with what they get from the shell.
local function program(source, how, number)
  local script = helper.spit(os.tmpname(),
    'local net = require("netkit").net ' .. source:format(number))
  local command = how:gsub("%%s", function()
    return ("timeout %d %s %s"):format(helper.LONG, helper.command(), script)
  end)
  local pipe = io.popen("{ " .. command .. "; } 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  os.remove(script)
  return text
end

describe("a copy of much in another program", function()
  if not helper.has_children() then
    return it("goes through pipes", function()
      pending "no other program can be started here"
    end)
  end

  it("goes from pipe to pipe", function()
    assert.equal("3000000\n", program([[
      assert(net.from_fd(3):copy(net.from_fd(4)) == 3000000)
    ]], "head -c 3000000 /dev/zero | %s 3<&0 4>&1 0</dev/null | wc -c"))
  end)

  it("goes from a file, and to one", function()
    local from, to = os.tmpname(), os.tmpname()
    helper.spit(from, big)
    assert.equal("", program([[
      assert(net.from_fd(3):copy(net.from_fd(4)) == %d)
    ]], "%s 3<" .. from .. " 4>" .. to, BIG))
    assert.is_true(helper.slurp(to) == big)
    os.remove(from)
    os.remove(to)
  end)

  it("ends when that has no reader any more", function()
    assert.equal("nil\tclosed\n", program([[
      local n, why = net.from_fd(3):copy(net.from_fd(4))
      print(n, why)
    ]], "head -c 3000000 /dev/zero | %s 3<&0 4>&1 1>&2 0</dev/null |" ..
      " head -c 100000 >/dev/null"))
  end)
end)
