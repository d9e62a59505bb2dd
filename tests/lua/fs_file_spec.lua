-- fs_file_spec.lua - casting.fs: open files.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local fs = require "casting.fs"
local pack, LONG = helper.pack, helper.LONG

-- A directory for each test.
local dir
local function at(name) return dir .. "/" .. name end
local function begin() dir = assert(fs.tempdir()) end
local function finish() assert.is_true(fs.remove(dir, {tree = true})) end

-- A file with that text, opened.
local function open(text, mode)
  helper.spit(at "f", text)
  return assert(fs.open(at "f", mode))
end

-- nil, "PATH: why"
local function fails(why, path, ...)
  assert.same({n = 2, nil, path .. ": " .. why}, pack(...))
end

local NONE = "no such file or directory"

describe("fs.open", function()
  before_each(begin)
  after_each(finish)

  it("knows the modes of io, and x", function()
    local f = at "f"
    -- {mode, there is none, there is one with "old"}: what file:write "X" and
    -- then reading the whole file from its start do.
    local cases = {
      {"r", NONE, "old"}, {"r+", NONE, "Xld"}, {"w", "X", "X"},
      {"w+", "X", "X"}, {"a", "X", "oldX"}, {"a+", "X", "oldX"},
      {"wx", "X", "file exists"}, {"w+x", "X", "file exists"},
      {"ax", "X", "file exists"}, {"a+x", "X", "file exists"},
    }
    for _, case in ipairs(cases) do
      for i = 2, 3 do
        os.remove(f)
        if i == 3 then helper.spit(f, "old") end
        local mode, want = case[1], case[i]
        local file, why = fs.open(f, mode)
        if not file then
          assert.same({nil, f .. ": " .. want}, {file, why}, mode)
        else
          if mode == "r" then
            helper.misuse(function() file:write "X" end, "write")
            helper.misuse(function() file:truncate(1) end, "truncate")
          else
            assert.is_true(file:write "X")
          end
          assert.equal(want, helper.slurp(f))
          if mode:find("+", 1, true) or mode == "r" then
            assert.equal(0, file:seek "set")
            assert.equal(want, file:read "a")
          else
            helper.misuse(function() file:read() end, "read")
          end
          assert.is_true(file:close())
        end
      end
    end
    local default = fs.open(f)
    assert.equal("old", default:read "a")
    default:close()
  end)

  it("tells what is wrong", function()
    for _, mode in ipairs {"r", "w", "a", "r+", "w+", "wx"} do
      local why = mode == "wx" and "file exists" or "is a directory"
      fails(why, dir, fs.open(dir, mode))
      fails(NONE, at "none/x", fs.open(at "none/x", mode))
    end
    for _, mode in ipairs {"", "rw", "rb", "rx", "x", "wxx", "r\0", "w+b"} do
      helper.misuse(function() fs.open("a", mode) end, "'open'", "#2", "mode")
    end
    helper.misuse(function() fs.open("a", 1) end, "'open'", "#2")
    helper.misuse(function() fs.open() end, "'open'", "#1")
    helper.misuse(function() fs.open "" end, "'open'", "#1")
    helper.misuse(function() fs.open "a\0b" end, "'open'", "#1")
  end)

  it("refuses terminals", function()
    local result = casting.process.run {"sh", "-c", "command -v script"}
    if result ~= "exit" then pending "there is no script(1)" end
    helper.spit(at "t.lua", [[
      local fs = require "casting.fs"
      print(fs.read "/dev/tty")
      print(fs.open("/dev/tty", "w"))
    ]])
    local pipe = io.popen(("script -qec \"%s %s\" /dev/null </dev/null"):format(
      helper.command():gsub("[\"\\$`]", "\\%0"), at "t.lua"))
    local out = pipe:read "*a"
    pipe:close()
    local line = "nil\t/dev/tty: a pipe, a terminal or a socket, no file\r\n"
    assert.equal(line .. line, out)
  end)

  it("is shown with its path", function()
    local file = open ""
    assert.matches(": " .. at "f":gsub("%p", "%%%0"), tostring(file))
    file:close()
    assert.matches("closed", tostring(file))
  end)

  if helper.version >= "5.4" then
    it("can be a to-be-closed variable", function()
      local file = load [[
        local file <close> = ...
        return file
      ]](open "x")
      assert.same({n = 2, nil, "closed"}, pack(file:read()))
    end)
  end
end)

describe("file:read", function()
  before_each(begin)
  after_each(finish)

  -- What reads give, of one file after the other, until nil; in the main
  -- program and in a session, where the file system may not be known yet.
  local function check(text, what, how, ...)
    local want = pack(...)
    helper.spit(at "f", text)
    for _, place in ipairs(helper.places) do
      local got = pack(place[2](function(path, what, how, n)
        local file = assert(require "casting.fs".open(path))
        local out = {}
        for i = 1, n do out[i] = file:read(what, how) end
        file:close()
        return (table.unpack or unpack)(out, 1, n)
      end, at "f", what, how, want.n))
      assert.same(want, got)
    end
  end

  it("takes bytes", function()
    check("", nil, nil, nil, nil)
    check("abc", nil, nil, "abc", nil)
    check("abc", 2, nil, "ab", "c", nil, nil)
    check("abc", 3, nil, "abc", nil)
    check("abc", 0, nil, "", "")
    check("abc", 2 ^ 31, nil, "abc", nil)
    check("abc", "a", nil, "abc", "", "")
    check("", "a", nil, "")
    check("\0\255\r\n", 10, nil, "\0\255\r\n", nil)
  end)

  it("takes lines", function()
    check("", "l", nil, nil)
    check("one", "l", nil, "one", nil)
    check("one\n", "l", nil, "one", nil)
    check("one\n\ntwo", "l", nil, "one", "", "two", nil)
    check("one\n\ntwo", "L", nil, "one\n", "\n", "two", nil)
    check("\n", "L", nil, "\n", nil)
    check("a\r\nb\0c\n", "l", nil, "a\r", "b\0c", nil)
  end)

  it("takes lines of any length within a bound", function()
    local long = ("x"):rep(1048576)
    check(long .. "\n" .. long, "l", nil, long, long, nil)
    check("12345\n123", "l", {max = 5}, "12345", "123", nil)
    for _, text in ipairs {"123456\n7", "123456"} do
      for _, what in ipairs {"l", "L"} do
        local file = open(text)
        fails("too long", at "f", file:read(what, {max = 5}))
        assert.equal(0, file:seek())
        fails("too long", at "f", file:read(what, {max = 5}))
        assert.equal("123456", file:read(6))
        file:close()
      end
    end
    local file = open(long .. "x\n")
    fails("too long", at "f", file:read "l")
    assert.equal(0, file:seek())
    assert.is_true(file:read "a" == long .. "x\n")
    file:close()
  end)

  it("takes all, within a bound", function()
    local file = open "123456"
    assert.equal("1", file:read(1))
    fails("too long", at "f", file:read("a", {max = 4}))
    assert.equal(1, file:seek())
    assert.equal("23456", file:read("a", {max = 5}))
    assert.equal("", file:read("a", {max = 5}))
    file:close()
  end)

  it("takes what is at an offset, and stays", function()
    local file = open "0123456789"
    assert.equal("0", file:read(1))
    assert.equal("56", file:read(2, 5))
    assert.equal("56", file:read(2, {offset = 5}))
    assert.equal("89", file:read(5, 8))
    assert.equal("0123456789", file:read(nil, 0))
    assert.equal("789", file:read("a", 7))
    assert.equal("789", file:read("a", {offset = 7, max = 3}))
    fails("too long", at "f", file:read("a", {offset = 6, max = 3}))
    assert.same(pack(nil), pack(file:read(1, 10)))
    assert.same(pack(nil), pack(file:read(nil, 11)))
    assert.equal("", file:read("a", 2 ^ 40))
    assert.equal("", file:read(0, 3))
    assert.equal(1, file:seek())
    assert.equal("1", file:read(1))
    file:close()
  end)

  it("mixes all of these", function()
    local file = open "one\ntwo\nthree"
    assert.equal("o", file:read(1))
    assert.equal("ne", file:read "l")
    assert.equal(4, file:seek())
    assert.equal("tw", file:read(2))
    assert.equal("o\n", file:read "L")
    assert.equal("three", file:read())
    assert.is_nil(file:read "l")
    file:close()
  end)

  it("reads large files in pieces", function()
    local text = ("0123456789abcde\n"):rep(200000)
    local file = open(text)
    for _, size in ipairs {65536, 100000, 1048576} do
      local parts = {}
      file:seek "set"
      repeat
        local part = file:read(size)
        parts[#parts + 1] = part
      until not part
      assert.is_true(table.concat(parts) == text)
    end
    file:seek "set"
    assert.is_true(file:read "a" == text)
    local n = 0
    file:seek "set"
    for line in file:lines() do
      if line ~= "0123456789abcde" then error(line) end
      n = n + 1
    end
    assert.equal(200000, n)
    file:seek "set"
    assert.is_true(#file:read() <= 65536)
    file:close()
  end)

  it("sees a file grow, shrink and vanish", function()
    local file = open "one\ntw"
    assert.equal("one", file:read "l")
    assert.equal("tw", file:read "l")
    assert.is_nil(file:read "l")
    fs.write(at "f", "o\nthree\n", {append = true})
    assert.equal("o", file:read "l")
    fs.remove(at "f")
    assert.equal("three", file:read "l")
    assert.is_nil(file:read "l")
    assert.equal(0, file:stat().links)
    file:close()
    file = open "0123456789"
    assert.equal("01234", file:read(5))
    fs.write(at "f", "01")
    assert.is_nil(file:read(5))
    assert.equal("01", file:read("a", 0))
    file:close()
  end)

  it("reads devices, and what the system makes up", function()
    local file = fs.open "/dev/zero"
    assert.equal(("\0"):rep(100), file:read(100))
    assert.equal("", file:read(0))
    assert.is_true(#file:read() > 0)
    fails("too long", "/dev/zero", file:read("l", {max = 10}))
    fails("too long", "/dev/zero", file:read("a", {max = 10}))
    assert.is_nil((file:read(1, 5)))
    file:close()
    file = fs.open "/dev/null"
    assert.is_nil(file:read())
    assert.is_nil(file:read "l")
    assert.equal("", file:read "a")
    file:close()
    file = fs.open "/proc/self/status"
    assert.matches("^Name:", file:read "l")
    assert.matches("Pid:", file:read "a")
    file:close()
  end)

  it("needs no more memory than there is to be read", function()
    helper.spit(at "f", "small\n")
    local session = casting.session {memory = 400000}
    for _, path in ipairs {at "f", "/dev/null", "/proc/self/oom_score"} do
      for _, what in ipairs {"a", 100, "l"} do
        local ok, e = session:spawn(function(name, how)
          local file = require "casting.fs".open(name)
          local text = file:read(how)
          file:close()
          return text
        end, path, what):join(LONG)
        assert.is_true(ok, ("%s %s: %s"):format(path, what, tostring(e)))
      end
    end
    session:close()
  end)

  it("says what is wrong with its arguments", function()
    local file = open "x"
    local function bad(word, ...)
      local args = pack(...)
      helper.misuse(function()
        file:read(helper.unpack(args, 1, args.n))
      end, "'read'", word)
    end
    bad("#1", "x")
    bad("#1", "*a")
    bad("#1", -1)
    bad("#1", 1.5)
    bad("#1", 2 ^ 31 + 1)
    bad("#1", {})
    bad("#1", 0 / 0)
    bad("#2", 1, -1)
    bad("#2", 1, 0.5)
    bad("#2", 1, "1")
    bad("#2", 1, {ofset = 1})
    bad("#2", 1, {max = 1})
    bad("#2", "l", {max = 0})
    bad("#2", "l", {max = "1"})
    bad("#2", "l", 1)
    bad("#2", "L", {offset = 1})
    helper.misuse(function() file.read() end, "'read'", "file expected")
    helper.misuse(function() file.read({}) end, "'read'", "file expected")
    file:close()
  end)
end)

describe("file:write", function()
  before_each(begin)
  after_each(finish)

  it("writes at the position, or at an offset", function()
    local file = open("0123456789", "r+")
    assert.equal(2, file:seek("set", 2))
    assert.is_true(file:write {"a", {1, "b"}})
    assert.equal(5, file:seek())
    assert.is_true(file:write("XY", 8))
    assert.is_true(file:write("Z", 11))
    assert.equal(5, file:seek())
    assert.equal("56", file:read(2))
    assert.is_true(file:write "-")
    assert.is_true(file:write "")
    assert.is_true(file:write {})
    assert.equal("01a1b56-XY\0Z", helper.slurp(at "f"))
    assert.equal("XY\0Z", file:read "a")
    file:close()
  end)

  it("appends, wherever the position is", function()
    local file = open("old", "a+")
    assert.equal("o", file:read(1))
    assert.is_true(file:write "X")
    assert.equal(4, file:seek())
    helper.spit(at "f", "other")
    assert.is_true(file:write "Y")
    assert.equal(6, file:seek())
    assert.equal("otherY", helper.slurp(at "f"))
    helper.misuse(function() file:write("x", 0) end, "'write'", "#2")
    assert.equal(2, file:seek("set", 2))
    assert.is_true(file:write "")
    assert.equal(2, file:seek())
    file:close()
  end)

  it("writes and reads beyond 2^31", function()
    local file = open("", "w+")
    for _, place in ipairs {2 ^ 31 - 1, 2 ^ 31, 2 ^ 32 + 5, 2 ^ 40} do
      assert.equal(place, file:seek("set", place))
      assert.is_true(file:write "line\nrest")
      assert.equal(place + 9, file:seek())
      assert.equal(place + 9, file:stat().size)
      assert.equal(place + 9, fs.stat(at "f").size)
      assert.equal("line", file:read(4, place))
      assert.equal(place + 5, file:seek("end", -4))
      assert.equal(place, file:seek("cur", -5))
      assert.equal("line", file:read "l")
      assert.equal("rest", file:read(5))
      assert.is_true(file:write("!", place + 3))
      assert.equal("lin!", file:read(4, place))
    end
    fails("too long", at "f", file:read("a", {offset = 0, max = 1000}))
    assert.is_true(file:truncate(2 ^ 33))
    assert.equal(2 ^ 33, file:stat().size)
    fails("too long", at "f", fs.read(at "f", 1000000))
    assert.is_true(file:close())
  end)

  it("tells what went wrong, and how much was written", function()
    local file = fs.open("/dev/full", "w")
    assert.same({n = 3, nil, "/dev/full: no space left on device", 0},
      pack(file:write "x"))
    file:close()
    file = open("", "w")
    local r = pack(file:write("x", 2 ^ 53))
    assert.same({n = 3, nil, at "f: file too large", 0}, r)
    file:close()
  end)

  it("says what is wrong with its arguments", function()
    local file = open("x", "r+")
    helper.misuse(function() file:write() end, "'write'", "#1")
    helper.misuse(function() file:write(true) end, "'write'", "#1")
    helper.misuse(function() file:write {{{}, print}} end, "'write'", "#1")
    helper.misuse(function() file:write("x", -1) end, "'write'", "#2")
    helper.misuse(function() file:write("x", "y") end, "'write'", "#2")
    helper.misuse(function() file:write("x", 1.5) end, "'write'", "#2")
    assert.equal("x", file:read())
    file:close()
  end)
end)

describe("file:seek", function()
  before_each(begin)
  after_each(finish)

  it("is as in io", function()
    local file = open "0123456789"
    assert.equal(0, file:seek())
    assert.equal(10, file:seek "end")
    assert.equal(0, file:seek "set")
    assert.equal(4, file:seek("cur", 4))
    assert.equal("4", file:read(1))
    assert.equal(3, file:seek("cur", -2))
    assert.equal(20, file:seek("end", 10))
    assert.is_nil(file:read())
    fails("invalid argument", at "f", file:seek("set", -1))
    assert.equal(20, file:seek())
    helper.misuse(function() file:seek "begin" end, "'seek'", "#1")
    helper.misuse(function() file:seek(1) end, "'seek'", "#1")
    helper.misuse(function() file:seek("set", 0.5) end, "'seek'", "#2")
    helper.misuse(function() file:seek("set", {}) end, "'seek'", "#2")
    if math.type then
      assert.equal("integer", math.type(file:seek("set", 5.0)))
    end
    file:close()
    file = fs.open "/dev/null"
    assert.is_nil((file:seek()))
    file:close()
  end)
end)

describe("other methods", function()
  before_each(begin)
  after_each(finish)

  it("truncate, sync and look", function()
    local file = open("0123456789", "r+")
    assert.equal("012", file:read(3))
    assert.is_true(file:truncate(8))
    assert.equal("01234567", helper.slurp(at "f"))
    assert.is_true(file:truncate())
    assert.equal("012", helper.slurp(at "f"))
    assert.is_true(file:truncate(5))
    assert.equal("\0\0", file:read())
    assert.is_true(file:sync())
    assert.is_true(file:sync "data")
    local info = file:stat()
    assert.same(fs.stat(at "f"), info)
    assert.equal(5, info.size)
    helper.misuse(function() file:sync "dat" end, "'sync'", "#1")
    helper.misuse(function() file:truncate(-1) end, "'truncate'", "#1")
    helper.misuse(function() file:truncate "x" end, "'truncate'", "#1", "size")
    file:close()
  end)

  it("close once, and then tell that it is closed", function()
    local file = open("x\ny\n", "r+")
    assert.is_true(file:close())
    assert.is_false(file:close())
    for _, f in ipairs {
      function() return file:read() end,
      function() return file:read "l" end,
      function() return file:write "x" end,
      function() return file:seek() end,
      function() return file:stat() end,
      function() return file:truncate(0) end,
      function() return file:sync() end,
    } do
      local ok, why = f()
      assert.is_nil(ok)
      assert.equal("closed", why)
    end
    helper.misuse(function() file:lines()() end, "lines: closed")
    assert.equal("x\ny\n", helper.slurp(at "f"))
  end)

  it("iterate over lines", function()
    local function collect(iterator, ...)
      local out = {}
      for line in iterator, ... do out[#out + 1] = line end
      return out
    end
    local file = open "one\n\ntwo"
    assert.same({"one", "", "two"}, collect(file:lines()))
    assert.same({}, collect(file:lines()))
    file:seek("set", 1)
    assert.same({"ne\n", "\n", "two"}, collect(file:lines "L"))
    assert.is_true(file:close())
    assert.same({"one", "", "two"}, collect(fs.lines(at "f")))
    assert.same({"one\n", "\n", "two"}, collect(fs.lines(at "f", "L")))
    helper.misuse(function() fs.lines(at "none") end, "fs_file_spec.lua:",
      at "none: " .. NONE)
    helper.misuse(function() fs.lines(at "f", "a") end, "'lines'", "#2")
    helper.misuse(function() fs.lines() end, "'lines'", "#1")
    helper.misuse(function() file:lines "a" end, "'lines'", "#1")
    helper.spit(at "f", "x\n" .. ("y"):rep(1048577))
    helper.misuse(function() for _ in fs.lines(at "f") do end end,
      "fs_file_spec.lua:", at "f: too long")
    file = fs.open(at "f")
    helper.misuse(function() for _ in file:lines() do end end,
      "fs_file_spec.lua:", at "f: too long")
    assert.equal(2, file:seek())
    assert.is_true(file:close())
  end)

  it("leave no file open at the end of a loop", function()
    helper.spit(at "f", "one\ntwo\n")
    local function count()
      collectgarbage()
      collectgarbage()
      return #fs.list "/proc/self/fd"
    end
    local before = count()
    for _ = 1, 20 do for _ in fs.lines(at "f") do end end
    for _ = 1, 20 do fs.lines(at "f")() end
    helper.until_true(function() return count() <= before end, "closing")
  end)
end)

describe("a file in channels", function()
  before_each(begin)
  after_each(finish)

  it("is shared by who receives it, with one position", function()
    local file = open("one\ntwo\nthree\n", "r+")
    assert.equal("one", file:read "l")
    local session = casting.session()
    local ch = casting.channel(1)
    ch:send(file)
    assert.equal("two", session:spawn(function(ch)
      return ch:receive():read "l"
    end, ch):await(LONG))
    assert.equal("three", file:read "l")
    session:spawn(function(file) file:close() end, file):await(LONG)
    assert.is_nil((file:read()))
    assert.is_false(file:close())
    session:close()
  end)
end)
