-- net_stream_spec.lua - streams: reading, writing, closing, moving.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local netkit = require "netkit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local net = netkit.net
local pack, LONG = helper.pack, helper.LONG

-- f(a, b) with the two ends of a pair, and of a TCP connection.
local function each_kind(f)
  for _, make in ipairs {net.pair, netkit.tcp} do
    local a, b = make()
    f(a, b)
    pcall(a.close, a)
    pcall(b.close, b)
  end
end

-- Writes a byte at a time, each when the reader waits for it.
local function drip(stream, text, reader)
  for i = 1, #text do
    helper.until_true(function()
      local status = reader:status()
      return status == "waiting" or status == "done"
    end, "that the reader waits, or has ended")
    assert.is_true(stream:write(text:sub(i, i)))
  end
end

describe("reading", function()
  -- {bytes, what, results}: as they come at once, and one by one.
  local forms = {
    {"abc", {3}, {"abc"}},
    {"line\n", {"l"}, {"line"}},
    {"line\r\n", {"l"}, {"line"}},
    {"li\rne\n", {"l"}, {"li\rne"}},
    {"\n", {"l"}, {""}},
    {"\r\n", {"l"}, {""}},
    {"line\n", {"L"}, {"line\n"}},
    {"line\r\n", {"L"}, {"line\r\n"}},
    {"12345\n", {"l", {max = 5}}, {"12345"}},
    {"1234\r\n", {"l", {max = 5}}, {"1234"}},
    {"123456\n", {"l", {max = 5}}, {nil, "too long"}},
    {"1234567", {"l", {max = 5}}, {nil, "too long"}},
    {"12345\n", {"L", {max = 5}}, {"12345\n"}},
  }
  local marks = {
    {"one--", {"--"}, {"one"}},
    {"a-b--", {"--"}, {"a-b"}},
    {"aaab", {"aab"}, {"a"}},
    {"ababac", {"abac"}, {"ab"}},
    {"12345--", {"--", 5}, {"12345"}},
    {"12345--", {"--", {max = 5}}, {"12345"}},
    {"123456--", {"--", 5}, {nil, "too long"}},
    {"12345678", {"--", 5}, {nil, "too long"}},
    {"x\0y\0\0z", {"\0\0"}, {"x\0y"}},
  }

  local function check(method, cases)
    for _, case in ipairs(cases) do
      local bytes, args, want = case[1], case[2], case[3]
      each_kind(function(a, b)
        assert.is_true(b:write(bytes))
        assert.same(want, {a[method](a, args[1], args[2])})
      end)
      each_kind(function(a, b)
        local reader = casting.spawn(function()
          return a[method](a, args[1], args[2])
        end)
        drip(b, bytes, reader)
        assert.same(want, {reader:await(LONG)})
      end)
    end
  end

  it("takes a number of bytes, or a line", function() check("read", forms) end)
  it("takes what stands before a mark", function()
    check("read_until", marks)
  end)

  it("takes what is there", function()
    each_kind(function(a, b)
      b:write "some"
      assert.equal("some", a:read())
      b:write "more"
      assert.equal("mo", a:read(nil, {max = 2}))
      assert.equal("re", a:read())
      local reader = casting.spawn(a.read, a)
      helper.until_waiting(reader)
      b:write "late"
      assert.equal("late", reader:await(LONG))
    end)
  end)

  it("takes all to the end, within a bound", function()
    each_kind(function(a, b)
      b:write "12345"
      b:shutdown()
      assert.same({nil, "too long"}, {a:read("a", {max = 4})})
      assert.equal("12345", a:read("a", {max = 5}))
      assert.equal("", a:read "a")
      assert.same({nil, "closed"}, {a:read()})
    end)
  end)

  it("gives the rest at the end", function()
    for _, what in ipairs {"l", "L", 100} do
      each_kind(function(a, b)
        b:write "rest"
        b:close()
        assert.same({nil, "closed", "rest"}, {a:read(what)})
        assert.same({nil, "closed"}, {a:read(what)})
      end)
    end
    each_kind(function(a, b)
      b:write "rest"
      b:close()
      assert.same({nil, "closed", "rest"}, {a:peek(5)})
      assert.same({nil, "closed", "rest"}, {a:read_until "x"})
      assert.same({nil, "closed"}, {a:peek(5)})
      assert.same({nil, "closed"}, {a:read_until "x"})
    end)
  end)

  it("waits for the rest, too", function()
    each_kind(function(a, b)
      local reader = casting.spawn(a.read, a, "l")
      helper.until_waiting(reader)
      b:write "re"
      helper.until_waiting(reader)
      b:write "st"
      b:shutdown()
      assert.same(pack(nil, "closed", "rest"), pack(reader:await(LONG)))
    end)
  end)

  it("peeks without taking", function()
    each_kind(function(a, b)
      b:write "abcdef"
      assert.equal("abc", a:peek(3))
      assert.equal("", a:peek(0))
      assert.equal("abcd", a:peek(4))
      assert.equal("ab", a:read(2))
      assert.same({nil, "timeout"}, {a:peek(5, 0)})
      assert.equal("cdef", a:read())
    end)
  end)

  it("of nothing does not wait, and succeeds at the end, too", function()
    each_kind(function(a, b)
      assert.equal("", a:read(0))
      b:write "x"
      b:close()
      assert.equal("", a:read(0))
      assert.same({nil, "closed", "x"}, {a:read(2)})
      assert.same({""}, {a:read(0)})
      assert.same({""}, {a:peek(0)})
      assert.same({nil, "closed"}, {a:read()})
      a:close()
      assert.same({nil, "closed"}, {a:read(0)})
    end)
  end)

  it("finds what is there and the end without waiting", function()
    each_kind(function(a, b)
      b:write(("x"):rep(999) .. "\n")
      b:close()
      assert.is_true(net.wait(a:fd(), "r", LONG))
      local all = a:read("a", 0)
      assert.equal(1000, all and #all)
    end)
  end)

  it("takes its time and bound as strings of numbers, too", function()
    each_kind(function(a, b)
      b:write "one,two"
      assert.same({nil, "timeout"}, {a:read("l", "0")})
      assert.same({nil, "timeout"}, {a:peek("8", "0")})
      assert.same({nil, "timeout"}, {a:read_until(";", "9", "0")})
      assert.same({nil, "too long"}, {a:read_until(";", "3")})
      assert.equal("one", a:read_until(",", "3", "1"))
      helper.misuse(function() a:lines("l", "1") end, "timeout")
      helper.misuse(function() a:read("l", {timeout = "0"}) end, "timeout")
      helper.misuse(function() a:read("l\0", 0) end, "expected")
    end)
  end)

  it("takes nothing when it times out", function()
    each_kind(function(a, b)
      assert.same({nil, "timeout"}, {a:read("l", 0)})
      assert.same({nil, "timeout"}, {a:read("l", 0.001)})
      b:write "par"
      for _, timeout in ipairs {0, 0.001} do
        assert.same({nil, "timeout"}, {a:read("l", timeout)})
        assert.same({nil, "timeout"}, {a:read(10, {timeout = timeout})})
        assert.same({nil, "timeout"}, {a:read_until("x", nil, timeout)})
        assert.same({nil, "timeout"}, {a:read("a", timeout)})
        assert.equal("par", a:peek(3, timeout))
      end
      b:write "t\n"
      assert.equal("part", a:read("l", LONG))
    end)
  end)

  -- An event and the deadline may come together, and the event brings too
  -- little: then the wait goes on, and has its deadline still.
  it("times out as bytes come", function()
    local readers, ends = {}, {}
    for i = 1, 40 do
      local a, b = net.pair()
      ends[i] = b
      readers[i] = casting.spawn(function()
        for _ = 1, 20 do
          assert.same({nil, "timeout"}, {a:read("l", 0.001)})
        end
      end)
    end
    for _ = 1, 60 do
      for i = 1, #ends do ends[i]:write "x" end
      casting.sleep(0.0003)
    end
    for i = 1, #readers do assert.is_true(readers[i]:join(LONG)) end
  end)

  -- A task whose stream always has more is no reason for others to wait, nor
  -- for its own time not to end.
  it("lets others run, and ends in time, as bytes keep coming", function()
    local a, b = net.pair()
    local over = false
    local writer = casting.session():spawn(function(b)
      local text, n = ("x"):rep(300000), 0
      while b:write(text) do n = n + 1 end
      return n
    end, b)
    local other = casting.spawn(function()
      local n = 0
      while not over do
        n = n + 1
        casting.yield()
      end
      return n
    end)
    assert.equal(4e7, #a:read(4e7))
    over = true
    assert.is_true(other:await() > 10)
    assert.same({nil, "timeout"}, {a:read(2 ^ 31, 0.02)})
    assert.same({nil, "timeout"},
      {casting.with_timeout(0.02, a.read, a, 2 ^ 31)})
    local reader = casting.spawn(a.read, a, 2 ^ 31)
    helper.until_true(function() return a:stats().read > 5e7 end, "bytes come")
    reader:cancel()
    assert.equal(false, (reader:join(LONG)))
    a:close()
    assert.is_true(writer:await() > 0)
  end)

  it("lets others run between calls that need not wait", function()
    local a, b = net.pair()
    local over, n = false, 0
    local other = casting.spawn(function()
      while not over do
        n = n + 1
        casting.yield()
      end
    end)
    local task = casting.spawn(function()
      b:write(("x"):rep(3200))
      for _ = 1, 3200 do a:read(1) end
      local reads = n
      for _ = 1, 128 do b:write "y" end -- there is room for these
      over = true
      return reads, n
    end)
    local reads, all = task:await(LONG)
    other:await(LONG)
    assert.is_true(reads >= 50)
    assert.is_true(all > reads)
    a:close()
    b:close()
  end)

  it("sees what came without an event, without a wait", function()
    local a, b = net.pair()
    b:write "1"
    assert.equal("1", a:read())
    b:write "2"
    assert.equal("2", (a:read(nil, 0)))
    assert.same({nil, "timeout"}, {a:read(nil, 0)})
  end)

  it("takes nothing when it is cancelled", function()
    each_kind(function(a, b)
      local reader = casting.spawn(a.read, a, 6)
      helper.until_waiting(reader)
      b:write "abc"
      reader:cancel()
      local ok, e = reader:join(LONG)
      assert.is_true(not ok and casting.is_cancelled(e))
      b:write "def"
      assert.equal("abcdef", a:read(6))
      assert.same({nil, "timeout"},
        {casting.with_timeout(0.001, a.read, a, 1)})
      b:write "x"
      assert.equal("x", a:read(1))
    end)
  end)

  it("obeys shields", function()
    local a, b = net.pair()
    local reader = casting.spawn(function()
      return casting.shield(a.read, a, 2)
    end)
    helper.until_waiting(reader)
    reader:cancel()
    b:write "ok"
    assert.equal("ok", select(2, reader:join(LONG)) or "ok")
    assert.same({nil, "timeout"}, {a:read(1, 0)})
  end)

  it("is for one task at a time", function()
    each_kind(function(a, b)
      local reader = casting.spawn(a.read, a, "l")
      helper.until_waiting(reader)
      helper.misuse(function() a:read() end, "read",
        "another task is reading from this stream")
      helper.misuse(function() a:peek(1) end, "another task is reading")
      helper.misuse(function() a:read_until "x" end, "another task is reading")
      b:write "mine\n"
      assert.equal("mine", reader:await(LONG))
      assert.same({nil, "timeout"}, {a:read(1, 0)})
    end)
  end)

  it("of many short lines, and of one long one", function()
    each_kind(function(a, b)
      local lines, long = {}, ("long"):rep(200000)
      for i = 1, 20000 do lines[i] = "line " .. i end
      local writer = casting.spawn(function()
        assert(b:write(table.concat(lines, "\n") .. "\r\n"))
        return b:write {long, "\n", "end"}
      end)
      for i = 1, #lines do
        local line = a:read "l"
        if line ~= lines[i] then assert.equal(lines[i], line) end
      end
      assert.is_true(a:read("l", LONG) == long)
      assert.equal("end", a:read(3))
      assert.is_true(writer:await(LONG))
      assert.equal(0, a:stats().buffered)
    end)
  end)

  it("of a line that comes byte by byte", function()
    local a, b = net.pair()
    local n = 20000
    local writer = casting.spawn(function()
      for _ = 1, n do
        assert(b:write "x")
        casting.yield()
      end
      return b:write "\n"
    end)
    assert.is_true(a:read("l", LONG) == ("x"):rep(n))
    assert.is_true(writer:await(LONG))
  end)

  it("of much at once", function()
    each_kind(function(a, b)
      local bytes = ("0123456789abcdef"):rep(300000)
      local writer = casting.spawn(function()
        assert(b:write(bytes))
        assert(b:write(bytes))
        return b:shutdown()
      end)
      assert.is_true(a:read(#bytes, LONG) == bytes)
      assert.is_true(a:read("a", LONG) == bytes)
      assert.is_true(writer:await(LONG))
      assert.same({read = 2 * #bytes, written = 0, buffered = 0}, a:stats())
      assert.equal(2 * #bytes, b:stats().written)
    end)
  end)

  it("has bounds of its own", function()
    local a, b = net.pair()
    local most = 2 ^ 20
    local writer = casting.spawn(function()
      return b:write {("x"):rep(most), "\n", ("y"):rep(most + 1), "\n"}
    end)
    assert.is_true(a:read("l", LONG) == ("x"):rep(most))
    assert.same({nil, "too long"}, {a:read("l", LONG)})
    assert.is_true(a:read(most + 1, LONG) == ("y"):rep(most + 1))
    assert.equal("", a:read("l", LONG))
    assert.is_true(writer:await(LONG))
    writer = casting.spawn(function()
      return b:write {("x"):rep(most), "\n", ("y"):rep(most + 1), "\n",
        ("x"):rep(most), "END", ("y"):rep(most + 1), "END"}
    end)
    assert.is_true(a:read("L", LONG) == ("x"):rep(most) .. "\n")
    assert.same({nil, "too long"}, {a:read("L", LONG)})
    assert.equal(most + 2, #a:read("L", {max = most + 1, timeout = LONG}))
    assert.is_true(a:read_until("END", nil, LONG) == ("x"):rep(most))
    assert.same({nil, "too long"}, {a:read_until("END", nil, LONG)})
    assert.equal(most + 1, #a:read_until("END", most + 1, LONG))
    assert.is_true(writer:await(LONG))
    a:close()
    b:close()
  end)

  it("of all has a bound of 64 MiB", function()
    local most, piece = 64 * 2 ^ 20, ("x"):rep(2 ^ 20)
    for more = 0, 1 do
      local a, b = net.pair()
      local writer = casting.spawn(function()
        for _ = 1, 64 do assert(b:write(piece)) end
        if more > 0 then b:write "y" end
        b:close()
      end)
      local all, why = a:read("a", 2 * LONG)
      assert.equal(more == 0, all ~= nil)
      assert.equal(more == 0 and most or 0, #(all or ""))
      if more > 0 then
        assert.equal("too long", why)
        assert.is_true(a:stats().buffered > most) -- it is all there
        all = nil -- luacheck: ignore
        all = a:read("a", {max = most + 1, timeout = LONG})
        assert.equal(most + 1, #all)
      end
      writer:await(LONG)
      a:close()
      all = nil -- luacheck: ignore
      collectgarbage()
    end
  end)
end)

describe("writing", function()
  it("takes strings, numbers and lists of lists", function()
    each_kind(function(a, b)
      assert.is_true(b:write "abc")
      assert.is_true(b:write(12))
      assert.is_true(b:write {"d", 3, {"e", {{}, {"f"}}}, "g"})
      assert.is_true(b:write "")
      assert.is_true(b:write {})
      b:shutdown()
      assert.equal("abc12d3efg", a:read "a")
    end)
  end)

  it("takes more pieces than one call of the system does", function()
    each_kind(function(a, b)
      local list = {}
      for i = 1, 5000 do list[i] = ("%05d"):format(i) end
      local writer = casting.spawn(b.write, b, list)
      assert.is_true(a:read(25000, LONG) == table.concat(list))
      assert.is_true(writer:await(LONG))
    end)
  end)

  it("waits while the other side does not read", function()
    each_kind(function(a, b)
      local bytes = ("abcdefgh"):rep(200000)
      local n = netkit.fill(b)
      local writer = casting.spawn(b.write, b, bytes)
      helper.until_waiting(writer)
      assert.is_true(a:read(n, LONG) == ("x"):rep(n))
      assert.is_true(a:read(#bytes, LONG) == bytes)
      assert.is_true(writer:await(LONG))
    end)
  end)

  it("tells how much went when it times out, and can go on", function()
    each_kind(function(a, b)
      local bytes = ("0123456789"):rep(500000)
      local ok, why, n = b:write(bytes, 0.001)
      assert.is_nil(ok)
      assert.equal("timeout", why)
      assert.is_true(n > 0 and n < #bytes)
      local writer = casting.spawn(b.write, b, bytes:sub(n + 1))
      assert.is_true(a:read(#bytes, LONG) == bytes)
      assert.is_true(writer:await(LONG))
    end)
  end)

  it("of several tasks keeps each whole, in order", function()
    each_kind(function(a, b)
      netkit.fill(b)
      local n, size, tasks, before = 20, 100000, {}, b:stats().written
      for i = 1, n do
        tasks[i] = casting.spawn(b.write, b, {("%02d"):format(i),
          string.char(64 + i):rep(size)})
        -- Done: the system has found more room.
        helper.until_true(function()
          local _, begun = casting.report():gsub(": writing", "")
          for k = 1, i do
            if tasks[k]:status() == "done" then begun = begun + 1 end
          end
          return begun == i
        end)
      end
      assert.is_true(a:read(before, LONG) ~= nil)
      for i = 1, n do
        assert.equal(("%02d"):format(i), a:read(2, LONG))
        assert.is_true(a:read(size) == string.char(64 + i):rep(size))
        assert.is_true(tasks[i]:await(LONG))
      end
    end)
  end)

  it("that is cancelled in the middle shuts this side", function()
    each_kind(function(a, b)
      local writer = casting.spawn(b.write, b, ("x"):rep(1e7))
      local second = casting.spawn(b.write, b, "second")
      helper.until_waiting(second)
      writer:cancel()
      assert.is_false((writer:join(LONG)))
      assert.same(pack(nil, "closed", 0), pack(second:await(LONG)))
      assert.same({nil, "closed", 0}, {b:write "x"})
      local n = b:stats().written
      assert.is_true(n > 0)
      assert.is_true(a:read("a", LONG) == ("x"):rep(n))
      a:write "still"
      assert.equal("still", b:read(5, LONG))
    end)
  end)

  it("in a scope that ends shuts this side as well", function()
    each_kind(function(a, b)
      local seconds = 0.001
      repeat -- on a busy machine the time is over before the write begins
        local ok, why = casting.with_timeout(seconds, b.write, b,
          ("x"):rep(1e7))
        assert.same({nil, "timeout"}, {ok, why})
        seconds = 2 * seconds
      until b:stats().written > 0
      assert.same({nil, "closed", 0}, {b:write "x"})
      assert.equal(b:stats().written, #a:read("a", LONG))
    end)
  end)

  it("that is cancelled before its turn changes nothing", function()
    each_kind(function(a, b)
      local n = netkit.fill(b)
      local first = casting.spawn(b.write, b, "first")
      helper.until_waiting(first)
      local second = casting.spawn(b.write, b, "second")
      helper.until_waiting(second)
      local third = casting.spawn(b.write, b, "third")
      helper.until_waiting(third)
      second:cancel()
      assert.is_false((second:join(LONG)))
      assert.is_true(#a:read(n, LONG) == n)
      assert.equal("firstthird", a:read(10, LONG))
      assert.is_true(first:await(LONG) and third:await(LONG))
    end)
  end)

  it("to one who has gone fails, without a signal", function()
    each_kind(function(a, b)
      a:close()
      local ok, why
      helper.until_true(function()
        ok, why = b:write "x"
        return not ok
      end, "that the write fails")
      assert.equal("closed", why)
    end)
  end)
end)

describe("the end of a stream", function()
  it("wakes whoever waits", function()
    each_kind(function(a, b)
      netkit.fill(b)
      local tasks = {casting.spawn(b.read, b), casting.spawn(b.write, b, "x"),
        casting.spawn(b.write, b, "y")}
      for i = 1, 3 do helper.until_waiting(tasks[i]) end
      assert.is_true(b:close())
      assert.is_false(b:close())
      assert.same(pack(nil, "closed"), pack(tasks[1]:await(LONG)))
      assert.same(pack(nil, "closed", 0), pack(tasks[2]:await(LONG)))
      assert.same(pack(nil, "closed", 0), pack(tasks[3]:await(LONG)))
      assert.is_true(#a:read("a", LONG) > 0)
    end)
  end)

  it("leaves nothing to be read here", function()
    each_kind(function(a, b)
      b:write "ab"
      assert.equal("a", a:read(1))
      a:close()
      assert.same({nil, "closed"}, {a:read()})
      assert.same({nil, "closed"}, {a:read(0)})
      assert.same({nil, "closed"}, {a:read "a"})
      assert.same({nil, "closed", 0}, {a:write "x"})
      assert.same({nil, "closed", 0}, {a:write ""})
      assert.same({nil, "closed"}, {a:shutdown()})
      assert.same({nil, "closed"}, {a:peer()})
      assert.same({nil, "closed"}, {a:name()})
      assert.same({nil, "closed"}, {a:fd()})
      assert.equal("stream (closed)", tostring(a))
    end)
  end)

  it("of one direction leaves the other", function()
    each_kind(function(a, b)
      assert.is_true(a:write "question")
      assert.is_true(a:shutdown())
      assert.same({nil, "closed", 0}, {a:write "more"})
      assert.equal("question", b:read "a")
      b:write "answer"
      b:close()
      assert.equal("answer", a:read "a")
    end)
  end)

  it("cannot come in the middle of a write", function()
    local a, b = net.pair()
    netkit.fill(b)
    local writer = casting.spawn(b.write, b, "x")
    helper.until_waiting(writer)
    helper.misuse(function() b:shutdown() end, "shutdown",
      "a task is writing to this stream")
    a:close()
    writer:join(LONG)
  end)

  it("may be a reset", function()
    local a, b = netkit.tcp()
    b:write "lost, perhaps"
    assert.is_true(b:abort())
    assert.is_false(b:abort())
    local ok, why = a:read "a"
    assert.same({nil, "closed"}, {ok, why})
    assert.same({nil, "closed"}, {a:read()})
    local waiting = {netkit.tcp()}
    local reader = casting.spawn(waiting[1].read, waiting[1], 10)
    helper.until_waiting(reader)
    waiting[2]:abort()
    assert.same(pack(nil, "closed"), pack(reader:await(LONG)))
  end)

  it("comes by a to-be-closed variable", function()
    if helper.version < "5.4" then return pending "5.4 and later" end
    local a, b = net.pair()
    local f = (loadstring or load)("local a <close> = ... return 1")
    assert.equal(1, f(a))
    assert.same({nil, "closed"}, {b:read()})
    assert.equal("stream (closed)", tostring(a))
  end)

  it("comes when nobody has it any more", function()
    local _, b = net.pair()
    _ = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.same({nil, "closed"}, {b:read(1, LONG)})
  end)

  it("leaves no descriptor behind", function()
    local listener = net.listen("127.0.0.1", 0)
    local function talk(n)
      for _ = 1, n do
        local a, b = netkit.connect(listener)
        a:write "x"
        assert.equal("x", b:read())
        a:close()
        b:abort()
        netkit.connect(listener)
      end
      collectgarbage()
      collectgarbage()
    end
    talk(10)
    local before = netkit.descriptors()
    talk(300)
    assert.is_true(netkit.descriptors() <= before + 2) -- the poller's
    listener:close()
  end)
end)

describe("a stream", function()
  it("works everywhere", function()
    local function talk(net, helper, casting) -- luacheck: ignore
      local a, b = net.pair()
      local reader = casting.spawn(a.read, a, "l")
      casting.yield()
      b:write "hello\n"
      local line = reader:await(100)
      local sorted = {3, 1, 2}
      table.sort(sorted, function(x, y) -- waits in place
        b:write "."
        a:read(1)
        return x < y
      end)
      return line, sorted[1], coroutine.wrap(function()
        b:write "in\n"
        return a:read "l"
      end)()
    end
    assert.same({"hello", 1, "in"}, {talk(net, helper, casting)})
    assert.same(pack("hello", 1, "in"),
      pack(casting.spawn(talk, net, helper, casting):await(LONG)))
  end)

  it("tells its ends", function()
    local a, b, port = netkit.tcp()
    assert.same({"127.0.0.1", port}, {a:peer()})
    assert.same({"127.0.0.1", port}, {b:name()})
    assert.same({b:peer()}, {a:name()})
    assert.equal("stream: 127.0.0.1:" .. port, tostring(a))
    assert.is_true(a:fd() > 2 and a:fd() ~= b:fd())
    local c = net.pair()
    assert.truthy(tostring(c):match "^stream: ")
  end)

  it("is told in reports", function()
    local a, b, port = netkit.tcp()
    netkit.fill(a)
    local reader = casting.spawn(a.read, a)
    local writer = casting.spawn(a.write, a, "x")
    helper.until_waiting(reader)
    helper.until_waiting(writer)
    local report = casting.report()
    assert.truthy(report:find("reading from 127.0.0.1:" .. port, 1, true))
    assert.truthy(report:find("writing to 127.0.0.1:" .. port, 1, true))
    b:close()
    reader:join(LONG)
    writer:join(LONG)
  end)

  it("refuses what makes no sense", function()
    local a, its_peer = net.pair()
    local bad = {
      {function() a:read "q" end, "bad argument #1 to 'read'", '"l"'},
      {function() a:read {} end, "bad argument #1 to 'read'", "a table",
        "read(nil, timeout)"},
      {function() a:read "5" end, "number of bytes", "got a string"},
      {function() a:read "*l" end, '"l" expected, got "*l"'},
      {function() a:read "*a" end, '"a" expected, got "*a"'},
      {function() a:read "*L" end, '"L" expected, got "*L"'},
      {function() a:read "n" end, "tonumber"},
      {function() a:read "*n" end, "tonumber"},
      {function() a:read(-1) end, "bad argument #1 to 'read'", "integer"},
      {function() a:read(1.5) end, "bad argument #1 to 'read'", "integer"},
      {function() a:read(0 / 0) end, "bad argument #1 to 'read'", "integer"},
      {function() a:read(2 ^ 40) end, "bad argument #1 to 'read'", "2^31"},
      {function() a:read("l", -1) end, "bad argument #2 to 'read'", "timeout"},
      {function() a:read("l", "x") end, "bad argument #2 to 'read'",
        "number of seconds", "string"},
      {function() a:read("l", {max = 0}) end, "#2 to 'read'", "max"},
      {function() a:read("l", {max = "1"}) end, "#2 to 'read'", "max"},
      {function() a:read("l", {timeout = "1"}) end, "#2 to 'read'", "timeout"},
      {function() a:read_until "" end, "#1 to 'read_until'", "mark"},
      {function() a:read_until() end, "#1 to 'read_until'", "string"},
      {function() a:read_until("x", 0) end, "#2 to 'read_until'", "max"},
      {function() a:peek() end, "#1 to 'peek'", "number"},
      {function() a:peek(2 ^ 21) end, "#1 to 'peek'", "2^20"},
      {function() a:write() end, "#1 to 'write'", "string", "no value"},
      {function() a:write(true) end, "#1 to 'write'", "boolean"},
      {function() a:write {"x", {a}} end, "#1 to 'write'", "string",
        "item 1 is a userdata"},
      {function() a:write {"x", true} end, "item 2 is a boolean"},
      {function() a:write {"x", nil, "y"} end, "item 2 is nil"},
      {function() a:write {"x", {"y", nil, "z"}} end, "item 2 is nil"},
      {function() a:write {[3] = "x"} end, "item 1 is nil"},
      {function() a:write {x = "y"} end, "item 1 is nil"},
      {function() a:write(setmetatable({}, {})) end, "item 1 is nil"},
      {function() a:write("x", -1) end, "#2 to 'write'", "timeout"},
      {function() a.read({}) end, "'read'", "stream expected"},
      {function() a.read(io.stdout) end, "'read'", "stream expected"},
      {function() a.close(casting.channel()) end, "'close'",
        "stream expected"},
      {function() a.tls(io.stdout) end, "'tls'", "stream expected"},
      {function() a.starttls({}) end, "'starttls'", "stream expected"},
      {function() a.lines({}) end, "'lines'", "stream expected"},
    }
    for i = 1, #bad do helper.misuse(helper.unpack(bad[i])) end
    local loop = {"x"}
    loop[2] = loop
    helper.misuse(function() a:write(loop) end, "#1 to 'write'", "too deep")
    assert.same({nil, "timeout"}, {a:read(1, 0)})
    its_peer:close() -- not before, by the collector
  end)
end)

describe("a stream that moves", function()
  local session
  before_each(function() session = netkit.session() end)
  after_each(function() session:close() end)

  local function serve(stream)
    local casting = require "casting" -- luacheck: ignore
    local first = stream:read "l"
    stream:write {"got ", first, "\n"}
    local peer = tostring(stream)
    casting.yield()
    return first, stream:read "l", peer
  end

  it("takes with it what was read already", function()
    for _, make in ipairs {net.pair, netkit.tcp} do
      local a, b = make()
      b:write "zero\none\ntwo\n"
      assert.equal("zero", a:read "l")
      assert.is_true(a:stats().buffered > 0)
      local task = session:spawn(serve, a)
      assert.equal("got one", b:read("l", LONG))
      local one, two, peer = task:await(LONG)
      assert.same({"one", "two"}, {one, two})
      assert.truthy(peer:match "^stream: ")
      helper.misuse(function() a:read() end, "read", "moved")
      helper.misuse(function() a:close() end, "close", "moved")
      assert.equal("stream (moved)", tostring(a))
    end
  end)

  it("goes through channels, there and back", function()
    local there, back = casting.channel(), casting.channel()
    local task = session:spawn(function(there, back) -- luacheck: ignore
      for s in there do
        s:write "hop\n"
        back:send(s)
      end
    end, there, back)
    local a, b = netkit.tcp()
    for _ = 1, 20 do
      there:send(a)
      a = back:receive(LONG)
      assert.equal("hop", b:read("l", LONG))
    end
    b:write "end"
    assert.equal("end", a:read(3))
    there:close()
    task:await(LONG)
  end)

  it("stays while a task waits for it", function()
    each_kind(function(a, b)
      local ch = casting.channel(1)
      local reader = casting.spawn(a.read, a)
      helper.until_waiting(reader)
      helper.misuse(function() ch:send(a) end, "cannot send a stream",
        "a task waits for this stream")
      b:write "x"
      assert.equal("x", reader:await(LONG))
      netkit.fill(b)
      local writer = casting.spawn(b.write, b, "x")
      helper.until_waiting(writer)
      helper.misuse(function() ch:send(b) end, "a task waits for this stream")
      a:close()
      writer:join(LONG)
      ch:send(b)
      helper.misuse(function() ch:send(b) end, "cannot send a stream", "moved")
    end)
  end)

  it("is told as what it is, wherever it went", function()
    local moved = "has moved: it was sent away"
    local a, its_peer = net.pair()
    for kind, thing in pairs {stream = a,
      socket = assert(net.udp("127.0.0.1", 0))} do
      local name = kind == "stream" and kind or "udp"
      local wait = kind == "stream" and thing.read or thing.receive
      assert.is_true(casting.transferable {thing})
      local reader = casting.spawn(wait, thing)
      helper.until_waiting(reader)
      local ok, why = casting.transferable {thing}
      assert.is_nil(ok)
      assert.equal(("cannot send a %s (value: [1]): a task waits for " ..
        "this %s"):format(name, kind), why)
      reader:cancel()
      reader:join(LONG)
      assert.is_true(casting.transferable {thing})
      local ch = casting.channel(1)
      ch:send(thing)
      local back = ch:receive() -- in the same session
      helper.misuse(function() thing:name() end, "the " .. kind .. " " .. moved)
      helper.misuse(function() ch:send(thing) end, "cannot send a " .. name,
        "it " .. moved)
      ok, why = casting.transferable(thing)
      assert.is_nil(ok)
      assert.matches("it " .. moved, why, 1, true)
      assert.equal(name .. " (moved)", tostring(thing))
      assert.is_true(casting.transferable(back))
      back:close()
    end
    its_peer:close() -- not before, by the collector
  end)

  it("stays when the send fails", function()
    local a, b = net.pair()
    local full = casting.channel(1)
    full:send "full"
    assert.same({nil, "full"}, {full:try_send(a)})
    b:write "ab"
    assert.equal("a", a:read(1))
    assert.same({nil, "timeout"},
      {casting.select {{full, a}, timeout = 0.001}})
    assert.equal("b", a:read(1))
    helper.misuse(function() casting.pack(a) end, "cannot send a stream",
      "moves")
  end)

  it("is closed with a message that nobody takes", function()
    local a, b = net.pair()
    local ch = casting.channel(1)
    ch:send(a)
    ch = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.same({nil, "closed"}, {b:read(1, LONG)})
  end)

  it("is closed with its session", function()
    local a, b = netkit.tcp()
    local other = netkit.session()
    local ch = casting.channel(1)
    other:spawn(function(a, ch) -- luacheck: ignore
      ch:send "here"
      a:read()
    end, a, ch)
    assert.equal("here", ch:receive(LONG))
    other:close()
    assert.same({nil, "closed"}, {b:read(1, LONG)})
  end)

  it("is closed with a task that fails", function()
    local a, b = net.pair()
    local task = session:spawn(function(stream)
      stream:read "l"
      error "on purpose"
    end, a)
    b:write "go\n"
    assert.is_false((task:join(LONG)))
    session:spawn(function() collectgarbage() collectgarbage() end):await(LONG)
    assert.same({nil, "closed"}, {b:read(1, LONG)})
  end)
end)

-- Programs of their own, with what they get from the shell.
local prelude = [[
  local casting = require "casting"
  local helper = require "helper"
  local net = require "netkit".net
  io.stdout:setvbuf "no"
  local function is_blocking(fd)
    local text = helper.slurp("/proc/self/fdinfo/" .. fd)
    local flags = tonumber(text:match "flags:%s*(%d+)", 8)
    return math.floor(flags / 2048) % 2 == 0
  end
]]

-- The output of such a program; `how` stands around its command: %s.
local function program(source, how)
  local script = helper.spit(os.tmpname(), prelude .. source)
  local command = how:gsub("%%s", function()
    return ("timeout %d %s %s"):format(helper.LONG, helper.command(), script)
  end)
  local pipe = io.popen("{ " .. command .. "; } 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  os.remove(script)
  return text
end

describe("numbers of the program's", function()
  if not helper.has_children() then
    return it("become streams", function()
      pending "no other program can be started here"
    end)
  end

  it("become streams, of pipes", function()
    assert.equal("false\tone\ntwo\tnil\tclosed\tthree\nout\n", program([[
      local s = net.from_fd(3)
      io.write(tostring(is_blocking(3)), "\t", s:read "l", "\n")
      print(s:read "l", s:read "l")
      net.from_fd(4):write "out\n"
      s:close()
    ]], "printf 'one\\ntwo\\nthree' | %s 3<&0 4>&1 0</dev/null"))
  end)

  it("stay as they are by other numbers of the standard ones", function()
    assert.equal("true\tfalse\ntrue\n", program([[
      local ok, processes = pcall(require, "processes")
      local number = ok and processes.dup(1) or 3
      local s, r = assert(net.from_fd(number)), assert(net.from_fd(4))
      io.write(tostring(is_blocking(1)), "\t", tostring(is_blocking(4)), "\n")
      io.flush()
      s:write {tostring(is_blocking(number)), "\n"}
    ]], "true | %s 3>&1 4<&0 0</dev/null | cat"))
  end)

  it("stay as they are where others have them, too", function()
    assert.equal("true\ttrue\nline\n1000000\ttrue\n", program([[
      local s, out = net.from_fd(0), net.from_fd(1)
      local line = s:read("l", 100)
      io.write(tostring(is_blocking(0)), "\t", tostring(is_blocking(1)), "\n")
      io.flush()
      local all = s:read "a"
      out:write {line, "\n", #all, "\t", tostring(all == ("x"):rep(#all)),
        "\n"}
    ]], "{ echo line; sleep 0.1; head -c 1000000 /dev/zero | tr '\\0' x; }" ..
      " | %s | cat"))
  end)

  it("write much to a pipe of others", function()
    assert.equal("2000000\n", program([[
      net.from_fd(1):write(("y"):rep(2000000))
    ]], "%s | { sleep 0.1; wc -c; }"))
  end)

  it("may be files, which are always ready", function()
    local name = helper.spit(os.tmpname(), ("z"):rep(100000) .. "\nend")
    assert.equal("100000\tend\tnil\n", program([[
      local s = net.from_fd(3)
      io.write(#s:read "l", "\t", s:read "a", "\t",
        tostring((s:read "l")), "\n")
    ]], "%s 3<" .. name))
    os.remove(name)
  end)

  it("may be listeners, and sockets for datagrams", function()
    local ok, processes = pcall(require, "processes")
    if not ok then return pending "its module is not built here" end
    local old = net.listen("127.0.0.1", 0)
    local listener = net.from_fd(processes.dup(old:fd()))
    old:close()
    assert.truthy(tostring(listener):match "^listener: 127")
    local a, b = netkit.connect(listener)
    a:write "x"
    assert.equal("x", b:read())
    listener:close()
    old = net.udp("127.0.0.1", 0)
    local socket = net.from_fd(processes.dup(old:fd()))
    old:close()
    local host, port = socket:name()
    assert.is_true(socket:send("to myself", host, port))
    assert.equal("to myself", (socket:receive(LONG)))
    socket:close()
  end)

  it("are refused if they are not open", function()
    assert.same({nil, "bad file descriptor"}, {net.from_fd(9999)})
    for _, bad in ipairs {-1, 1.5, 2 ^ 31, 0 / 0, "0", "x", {}, true} do
      helper.misuse(function() net.from_fd(bad) end,
        "bad argument #1 to 'from_fd' (a descriptor must be", "got")
    end
    helper.misuse(function() net.from_fd() end, "got nil")
    helper.misuse(function() net.from_fd(io.stdout) end, "fileno")
    -- A float with an integer's value is one.
    assert.same({nil, "bad file descriptor"}, {net.from_fd(2 ^ 13)})
    local a, b = net.pair()
    local number = a:fd()
    a:close()
    assert.same({nil, "bad file descriptor"}, {net.from_fd(number)})
    b:close()
  end)

  it("are refused if a socket of casting has them", function()
    local a, b = net.pair()
    local all = {a, b, net.listen("127.0.0.1", 0), net.udp("127.0.0.1", 0)}
    local function refused(number)
      assert.same({nil, "another socket has this descriptor"},
        {net.from_fd(number)})
    end
    for _, socket in ipairs(all) do
      refused(socket:fd())
      assert.is_true(net.wait(socket:fd(), "w", 0) or true)
      refused(socket:fd())
    end
    -- They are as good as before, and one that moves takes its number along.
    a:write "x"
    assert.equal("x", b:read(nil, LONG))
    local ch, number = casting.channel(1), b:fd()
    ch:send(b)
    refused(number)
    b = ch:receive()
    a:write "y"
    assert.equal("y", b:read(nil, LONG))
    b:close()
    for i = 1, #all do if i ~= 2 then all[i]:close() end end
  end)

  it("are refused if they are casting's own", function()
    helper.output [[
      local casting = require "casting"
      local net = require "casting.net"
      local a, b = net.pair()
      casting.sleep(0.001)
      local pipe, n = io.popen "ls -l /proc/$PPID/fd", 0
      for line in pipe:lines() do
        local fd = tonumber(line:match "(%d+) %-> anon_inode:%[event")
        if fd then
          n = n + 1
          local s, why = net.from_fd(fd)
          assert(s == nil and why == "this descriptor is casting's own", why)
          net.wait(fd, "r", 0) -- whatever it says: it does no harm
          net.wait(fd, "r", 0.001)
        end
      end
      assert(n == 3, "an epoll set, its event, and that of the main program")
      local session = casting.session()
      local task = session:spawn(function(b) return b:read(1) end, b)
      casting.sleep(0.005) -- a worker sleeps in the set, and can be woken
      assert(session:spawn("return 1"):await(10) == 1)
      a:write "x"
      assert(task:await(10) == "x")]]
  end)
end)

describe("calls of the system", function()
  local source = [[
    local kit = require "netkit"
    if os.getenv "ONLY_LOAD" then os.exit(0) end
    local function talk(a, b)
      local bytes = ("0123456789"):rep(100)
      local t = casting.spawn(function()
        for i = 1, 20 do
          assert(b:write {i, "\n", bytes, "\n"})
          assert(b:read("l", 100) == "ok")
        end
        b:close()
      end)
      for i = 1, 20 do
        local line = a:read("l", 100)
        assert(line == tostring(i), line)
        assert(a:read(#bytes + 1, 100) == bytes .. "\n")
        assert(a:write "ok\n")
      end
      assert(select(2, a:read "l") == "closed")
      t:await(100)
    end
    talk(net.pair())
    talk(kit.tcp())
    print "done"
  ]]

  local function traced(inject)
    local has = os.execute "strace -o /dev/null true >/dev/null 2>&1"
    if has ~= true and has ~= 0 then pending "strace cannot be used here" end
    return program(source, "strace -f -o /dev/null " .. inject .. " %s")
  end

  -- A traced program cannot look for leaks. And gcov, which does not expect
  -- EINTR, tells that it could not read.
  before_each(function()
    helper.environment = 'ASAN_OPTIONS="$ASAN_OPTIONS detect_leaks=0" ' ..
      "GCOV_ERROR_FILE=/dev/null"
  end)
  after_each(function() helper.environment = nil end)

  it("are interrupted when they write or accept", function()
    assert.equal("done\n", traced(
      "-e inject=sendto,sendmsg,accept4:error=EINTR:when=1+3"))
  end)

  it("are interrupted when they read", function()
    -- Those by which a program is loaded are not; how many are these?
    local trace = os.tmpname()
    traced("-e trace=none") -- may be pending
    program(source, "ONLY_LOAD=1 strace -f -e trace=read -o " .. trace ..
      " %s")
    local _, n = helper.slurp(trace):gsub("read%(", "")
    os.remove(trace)
    assert.is_true(n > 1)
    assert.equal("done\n", traced(
      ("-e inject=read:error=EINTR:when=%d+3"):format(n + 1)))
  end)

  it("accept what has gone already", function()
    assert.equal("done\n",
      traced "-e inject=accept4:error=ECONNABORTED:when=1")
  end)
end)

describe("calls that move one byte each", function()
  local library, why = helper.library "tests/lua/onebyte.c"
  if not library then
    return it("move all", function() pending(why) end)
  end

  before_each(function()
    helper.environment = helper.preloading(library)
  end)
  after_each(function()
    helper.environment = nil
  end)

  it("move all", function()
    assert.equal("done\n", program([[
      local bytes = ("0123456789"):rep(300)
      local function unix()
        local l = assert(casting.net.listen("unix:@casting one byte"))
        local a = assert(casting.net.connect(l:name()))
        local b = assert(l:accept(100))
        l:close()
        return a, b
      end
      for _, make in ipairs {net.pair, unix} do
        local a, b = make()
        local task = casting.spawn(function()
          assert(a:write {"line\r\n", {"", bytes, "MARK"}, "rest\n"})
          assert(a:write(bytes))
          a:shutdown()
          return a:read("a", 100)
        end)
        assert(b:read("l", 100) == "line")
        assert(b:peek(3, 100) == "012")
        assert(b:read(#bytes, 100) == bytes)
        assert(b:read_until("MARK", 20, 100) == "")
        assert(b:read("L", 100) == "rest\n")
        assert(b:read("a", 100) == bytes)
        assert(b:write(bytes) and b:close())
        assert(task:await(100) == bytes)
        local c, d = make()
        local e, f = make()
        local copy = casting.spawn(function()
          local n = d:copy(e)
          e:shutdown()
          return n
        end)
        local writer = casting.spawn(function()
          assert(c:write {bytes, bytes})
          c:shutdown()
        end)
        assert(f:read("a", 100) == bytes .. bytes)
        assert(copy:await(100) == 2 * #bytes)
        writer:await(100)
      end
      local input, output = net.from_fd(0), net.from_fd(1)
      assert(input:read("l", 100) == "a line")
      assert(input:read("a", 100) == "and more\n")
      output:write {"do", "ne\n"}
    ]], "printf 'a line\\nand more\\n' | %s | cat"))
    os.remove(library)
  end)
end)

describe("a fork", function()
  it("closes nothing of the parent's", function()
    if not (helper.has_children() and pcall(require, "processes")) then
      return pending "its module is not built here"
    end
    helper.environment = 'ASAN_OPTIONS="$ASAN_OPTIONS detect_leaks=0"'
    assert.equal("exit 0\nhello\tback\n", helper.output(prelude .. [[
      local P = require "processes"
      io.stdout:setvbuf "no"
      local listener = net.listen("127.0.0.1", 0)
      local a, b = require "netkit".connect(listener)
      local reader = casting.spawn(a.read, a, "l")
      helper.until_waiting(reader)
      local pid = P.fork()
      if pid == 0 then
        local refused = not pcall(b.write, b, "from the child\n")
        pcall(b.close, b)
        pcall(listener.close, listener)
        a, b, listener = nil
        collectgarbage()
        P.exit(refused and 0 or 1)
      end
      print(P.wait(pid, 100))
      b:write "hello\n"
      local line = reader:await(100)
      local c, d = require "netkit".connect(listener)
      c:write "back\n"
      print(line, d:read("l", 100))
    ]]):gsub("exit\t", "exit "))
    helper.environment = nil
  end)
end)
