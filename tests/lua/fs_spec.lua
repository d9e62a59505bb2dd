-- fs_spec.lua - casting.fs: what is done with paths.
-- SPDX-License-Identifier: MIT
--
-- Open files are in fs_file_spec.lua; the order of calls, cancellation and the
-- end of programs in fs_order_spec.lua.

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local fs = require "casting.fs"
local pack, LONG = helper.pack, helper.LONG

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function shell(text)
  local status = os.execute(text)
  assert.is_true(status == true or status == 0, text)
end

-- A directory for each test.
local dir
local function at(name) return dir .. "/" .. name end
local memory = io.open "/dev/shm/." and "/dev/shm" -- it is faster there
local function begin() dir = assert(fs.tempdir()) end
local function begin_large() dir = assert(fs.tempdir {dir = memory}) end
local function finish() assert.is_true(fs.remove(dir, {tree = true})) end

-- f(dir) in each place must give what is said.
local function everywhere(f, ...)
  for _, place in ipairs(helper.places) do
    local path = at("in " .. place[1])
    shell("mkdir " .. quote(path))
    assert.same(pack(...), pack(place[2](f, path)), place[1])
  end
end

-- nil, "PATH: why"
local function fails(why, path, ...)
  assert.same({n = 2, nil, path .. ": " .. why}, pack(...))
end

local NONE = "no such file or directory"

describe("casting.fs", function()
  before_each(begin)
  after_each(finish)

  it("is a field and a module", function()
    assert.is_true(casting.fs == require "casting.fs")
    everywhere(function()
      return require "casting".fs == require "casting.fs"
    end, true)
  end)

  it("is in a sandbox only if its libs say so", function()
    local closed = casting.session {sandbox = true}
    assert.is_false(closed:spawn(function(path)
      return (pcall(function()
        return require "casting".fs.write(path, "x")
      end))
    end, at "a"):await(LONG))
    closed:close()
    assert.is_nil((fs.stat(at "a")))
    local open = casting.session {sandbox = true, libs = {"casting.fs"}}
    assert.equal("x", open:spawn(function(path)
      local fs = require "casting.fs"
      fs.write(path, "x")
      return fs.read(path)
    end, at "a"):await(LONG))
    open:close()
  end)

  it("reads and writes what is there", function()
    everywhere(function(dir)
      local fs = require "casting.fs"
      local path = dir .. "/a"
      local done = fs.write(path, {"one", {2, {"three"}}, "\n"})
      return done, fs.read(path)
    end, true, "one2three\n")
  end)
end)

describe("fs.read", function()
  before_each(begin)
  after_each(finish)

  it("gives all bytes, of files of any size", function()
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    bytes = table.concat(bytes)
    for _, n in ipairs {0, 1, 16383, 16384, 16385, 65536, 3000000} do
      local text = bytes:rep(math.floor(n / 256)) .. bytes:sub(1, n % 256)
      helper.spit(at "f", text)
      -- It is read here only when the file system is known.
      for _ = 1, 2 do assert.is_true(fs.read(at "f") == text, n) end
      if n > 0 then
        assert.is_true(fs.read(at "f", n) == text)
        if n > 1 then
          fails("too long", at "f", fs.read(at "f", n - 1))
        end
      end
    end
  end)

  it("tells what is wrong", function()
    fails(NONE, at "none", fs.read(at "none"))
    fails("is a directory", dir, fs.read(dir))
    helper.spit(at "f", "")
    fails("not a directory", at "f/x", fs.read(at "f/x"))
    shell(("ln -s loop %s"):format(quote(at "loop")))
    fails("too many levels of symbolic links", at "loop", fs.read(at "loop"))
    local long = at(("x"):rep(256))
    fails("file name too long", long, fs.read(long))
    long = ("/x"):rep(3000)
    fails("file name too long", long, fs.read(long))
  end)

  it("refuses pipes and sockets, and wakes nobody", function()
    local pipe = at "pipe"
    shell("mkfifo " .. quote(pipe))
    -- Who opens it to write waits for a reader.
    local writer = casting.process.spawn {"sh", "-c", 'echo x >"$1"', "sh",
      pipe, stdout = "null", stderr = "null"}
    local why = "a pipe, a terminal or a socket, no file"
    fails(why, pipe, fs.read(pipe))
    fails(why, pipe, fs.write(pipe, "x"))
    fails(why, pipe, fs.write(pipe, "x", {atomic = true}))
    for _, mode in ipairs {"r", "w", "r+", "a"} do
      fails(why, pipe, fs.open(pipe, mode))
    end
    assert.same({nil, "timeout"}, {writer:wait(0.02)})
    writer:kill "KILL"
    writer:wait()
    local server = casting.net.listen("unix:" .. at "socket")
    fails(why, at "socket", fs.read(at "socket"))
    server:close()
    assert.equal("pipe", fs.stat(pipe).type)
  end)

  it("reads what has no length, within a bound", function()
    fails("too long", "/dev/zero", fs.read("/dev/zero", 1000))
    local ran = false
    casting.spawn(function() ran = true end)
    fails("too long", "/dev/zero", fs.read "/dev/zero")
    assert.is_true(ran, "others run while it waits")
    assert.equal("", fs.read "/dev/null")
    local most = "/proc/sys/kernel/pid_max" -- told in one read, or cut
    if helper.slurp(most) then
      assert.equal(helper.slurp(most), (fs.read(most)))
    end
    local status = fs.read "/proc/self/status"
    assert.matches("^Name:", status)
    fails("too long", "/proc/self/status", fs.read("/proc/self/status", 10))
  end)

  it("says what is wrong with its arguments", function()
    local function bad(word, ...)
      local args = pack(...)
      helper.misuse(function()
        fs.read(helper.unpack(args, 1, args.n))
      end, "'read'", word)
    end
    bad("#1", nil)
    bad("#1", 42)
    bad("#1", "")
    bad("#1", "a\0b")
    bad("#2", "a", "x")
    bad("#2", "a", -1)
    bad("#2", "a", 1.5)
    bad("#2", "a", {})
    bad("#2", "a", 0 / 0)
    bad("#2", "a", 1 / 0)
  end)

  it("leaves a session with little memory alive", function()
    helper.spit(at "f", ("x"):rep(4000000))
    helper.spit(at "g", "small")
    local session = casting.session {memory = 1500000}
    for _ = 1, 3 do
      local ok, e = session:spawn(function(path)
        return require "casting.fs".read(path)
      end, at "f"):join()
      assert.is_false(ok)
      assert.matches("not enough memory", tostring(e))
      assert.equal("small", session:spawn(function(path)
        return require "casting.fs".read(path)
      end, at "g"):await(LONG))
    end
    session:close()
  end)
end)

describe("fs.write", function()
  before_each(begin)
  after_each(finish)

  it("replaces, appends, and makes only new ones", function()
    local f = at "f"
    for _, sync in ipairs {false, true} do
      assert.is_true(fs.write(f, "long text", {sync = sync}))
      assert.is_true(fs.write(f, "new", {sync = sync}))
      assert.equal("new", helper.slurp(f))
      assert.is_true(fs.write(f, " more", {append = true, sync = sync}))
      assert.is_true(fs.write(f, {}, {append = true, sync = sync}))
      assert.equal("new more", helper.slurp(f))
      for _, atomic in ipairs {false, true} do
        fails("file exists", f,
          fs.write(f, "no", {exclusive = true, atomic = atomic, sync = sync}))
        assert.equal("new more", helper.slurp(f))
        local g = at("g" .. tostring(atomic))
        assert.is_true(fs.write(g, "g", {exclusive = true, sync = sync,
          atomic = atomic}))
        assert.equal("g", helper.slurp(g))
        os.remove(g)
      end
    end
    assert.same({"f"}, (fs.list(dir)))
  end)

  it("gives new files a mode, without the mask", function()
    for i, atomic in ipairs {false, true} do
      assert.is_true(fs.write(at("a" .. i), "", {atomic = atomic}))
      assert.is_true(fs.write(at("b" .. i), "", {mode = 384, atomic = atomic}))
      shell(("touch %s"):format(quote(at "touched")))
      assert.equal(fs.stat(at "touched").mode, fs.stat(at("a" .. i)).mode)
      assert.equal(384, fs.stat(at("b" .. i)).mode)
      -- What is there keeps its mode.
      assert.is_true(fs.write(at("b" .. i), "", {mode = 511, atomic = atomic}))
      assert.equal(384, fs.stat(at("b" .. i)).mode)
    end
  end)

  it("keeps mode, owner and links in an atomic write", function()
    local f, link = at "f", at "link"
    fs.write(f, "old", {mode = 416})
    shell(("chmod 751 %s; ln -s f %s"):format(quote(f), quote(link)))
    local root = os.execute("chown 12:34 " .. quote(f) .. " 2>/dev/null")
    root = root == true or root == 0
    local before = fs.stat(f)
    assert.is_true(fs.write(link, "new", {atomic = true}))
    local after = fs.stat(f)
    assert.equal("link", fs.stat(link, {follow = false}).type)
    assert.equal("new", helper.slurp(f))
    assert.equal(489, after.mode)
    assert.not_equal(before.inode, after.inode)
    if root then assert.same({12, 34}, {after.uid, after.gid}) end
    assert.same({"f", "link"}, (fs.list(dir)))
    -- A chain of links, and one that leads to nothing yet.
    shell(("mkdir %s; ln -s ../link %s; ln -s d/later %s"):format(
      quote(at "d"), quote(at "d/again"), quote(at "dangling")))
    assert.is_true(fs.write(at "d/again", "newer", {atomic = true}))
    assert.equal("newer", helper.slurp(f))
    assert.is_true(fs.write(at "dangling", "made", {atomic = true}))
    assert.equal("made", helper.slurp(at "d/later"))
    assert.equal("link", fs.stat(at "dangling", {follow = false}).type)
    fails("file exists", at "dangling",
      fs.write(at "dangling", "x", {exclusive = true}))
  end)

  it("leaves links that lead in a circle alone", function()
    shell(("ln -s two %s; ln -s one %s"):format(quote(at "one"),
      quote(at "two")))
    local why = "too many levels of symbolic links"
    fails(why, at "one", fs.write(at "one", "x"))
    fails(why, at "one", fs.write(at "one", "x", {atomic = true}))
    assert.equal("link", fs.stat(at "one", {follow = false}).type)
    assert.equal("link", fs.stat(at "two", {follow = false}).type)
  end)

  it("never shows half of an atomic write", function()
    local f, texts = at "f", {("a"):rep(300000), ("b"):rep(200000)}
    fs.write(f, texts[1])
    local session = casting.session()
    local reader = session:spawn(function(path, a, b)
      local fs = require "casting.fs"
      local n = 0
      repeat
        local text = assert(fs.read(path))
        if text ~= a and text ~= b and text ~= "end" then return #text end
        n = n + 1
      until text == "end"
      return true
    end, f, texts[1], texts[2])
    for i = 1, 40 do
      assert.is_true(fs.write(f, texts[i % 2 + 1], {atomic = true}))
    end
    assert.is_true(fs.write(f, "end", {atomic = true}))
    assert.is_true(reader:await(LONG))
    session:close()
  end)

  it("tells what is wrong, and leaves nothing", function()
    for _, atomic in ipairs {false, true} do
      local o = {atomic = atomic}
      fails("is a directory", dir, fs.write(dir, "x", o))
      fails(NONE, at "none/x", fs.write(at "none/x", "x", o))
      local long = at(("x"):rep(256))
      fails("file name too long", long, fs.write(long, "x", o))
    end
    assert.same({}, (fs.list(dir)))
    assert.is_true(fs.write("/dev/null", "gone"))
    fails("no space left on device", "/dev/full", fs.write("/dev/full", "x"))
  end)

  it("tells that a disk is full", function()
    local disk = at "disk"
    fs.mkdir(disk)
    local mounted = os.execute("mount -t tmpfs -o size=65536 none " ..
      quote(disk) .. " 2>/dev/null")
    if mounted ~= true and mounted ~= 0 then
      pending "no file system can be mounted here"
      return
    end
    local ok, e = pcall(function()
      local why = "no space left on device"
      local f, big = disk .. "/f", ("x"):rep(100000)
      fails(why, f, fs.write(f, big, {atomic = true}))
      assert.same({}, (fs.list(disk)))
      fs.write(f, "old")
      fails(why, f, fs.write(f, big, {atomic = true}))
      assert.equal("old", fs.read(f))
      assert.same({"f"}, (fs.list(disk)))
      fails(why, f, fs.write(f, big))
      os.remove(f)
      local file = fs.open(f, "w")
      local r = pack(file:write(big))
      assert.same({n = 3, nil, f .. ": " .. why, 65536}, r)
      assert.equal(65536, file:seek())
      assert.is_true(file:close())
    end)
    shell("umount " .. quote(disk))
    assert(ok, e)
  end)

  it("says what is wrong with its arguments", function()
    local function bad(word, ...)
      local args = pack(...)
      helper.misuse(function()
        fs.write(helper.unpack(args, 1, args.n))
      end, "'write'", word)
    end
    bad("#1", nil, "x")
    bad("#1", "", "x")
    bad("#1", "a\0", "x")
    bad("#2", at "a")
    bad("#2", at "a", true)
    bad("#2", at "a", {{false}})
    bad("#3", at "a", "x", "append")
    bad("#3", at "a", "x", {apend = true})
    bad("#3", at "a", "x", {append = 1})
    bad("#3", at "a", "x", {mode = "644"})
    bad("#3", at "a", "x", {mode = 1.5})
    bad("#3", at "a", "x", {mode = 4096})
    bad("#3", at "a", "x", {mode = -1})
    bad("#3", at "a", "x", {append = true, atomic = true})
    assert.same({}, (fs.list(dir)))
  end)
end)

describe("paths", function()
  before_each(begin)
  after_each(finish)

  it("have any bytes but zero", function()
    local names = {"\1", "\n", "\r\t", " ", "'\"$(x)`", "-n", "\127",
      "\195\188", "\255\254", "~", "too many open files", ("n"):rep(255)}
    table.sort(names)
    for _, name in ipairs(names) do
      assert.is_true(fs.write(at(name), name))
      assert.is_true(fs.write(at(name), name, {atomic = #name < 250}))
      assert.equal(name, fs.read(at(name)))
      assert.equal(#name, fs.stat(at(name)).size)
      local other = at(name:sub(1, -2) .. "?")
      fails(NONE, other, fs.read(other))
    end
    assert.same(names, (fs.list(dir)))
    for _, name in ipairs(names) do assert.is_true(fs.remove(at(name))) end
    assert.same({}, (fs.list(dir)))
  end)

  it("of 255 bytes are written in one step, too", function()
    local path = at(("n"):rep(255))
    assert.is_true(fs.write(path, "x", {atomic = true}))
    assert.is_true(fs.write(path, "y", {atomic = true}))
    assert.equal("y", fs.read(path))
  end)

  it("begin at the directory of the process", function()
    local name = dir:match "[^/]+$"
    assert.equal("x\n", (helper.output(([[
      local fs = require "casting.fs"
      fs.write("%s", "x\n")
      fs.write("./%s", "x\n", {atomic = true})
      io.write(fs.read("./%s"))
      fs.remove("%s")
    ]]):format(name, name, name, name))))
  end)
end)

describe("fs.stat", function()
  before_each(begin)
  after_each(finish)

  it("knows what stat knows", function()
    helper.spit(at "f", "12345")
    shell(("ln -s f %s; ln -s none %s; ln %s %s"):format(quote(at "l"),
      quote(at "dangling"), quote(at "f"), quote(at "hard")))
    shell("touch -d '2001-02-03 04:05:06.5 UTC' " .. quote(at "f"))
    local pipe = io.popen("stat -c '%s %u %g %h %i' " .. quote(at "f"))
    local want = pipe:read "*l"
    pipe:close()
    for i = 1, 3 do -- the first one asks a helper
      local info = fs.stat(at(i == 2 and "l" or "f"))
      assert.equal("file", info.type)
      assert.equal(want, ("%d %d %d %d %.0f"):format(info.size, info.uid,
        info.gid, info.links, info.inode))
      assert.equal(981173106.5, info.modified)
      assert.is_true(info.accessed > 0 and info.changed > 0)
      assert.is_true(info.device >= 0)
      assert.equal(420, info.mode)
    end
    assert.equal(fs.stat(at "f").inode, fs.stat(at "hard").inode)
    assert.equal("link", fs.stat(at "l", {follow = false}).type)
    assert.equal("link", fs.stat(at "dangling", {follow = false}).type)
    fails(NONE, at "dangling", fs.stat(at "dangling"))
    fails(NONE, at "none", fs.stat(at "none", {follow = true}))
    assert.equal("directory", fs.stat(dir).type)
    assert.equal("character", fs.stat("/dev/null").type)
  end)

  it("says what is wrong with its arguments", function()
    helper.misuse(function() fs.stat() end, "'stat'", "#1")
    helper.misuse(function() fs.stat(1) end, "'stat'", "#1")
    helper.misuse(function() fs.stat("a", 1) end, "'stat'", "#2")
    helper.misuse(function() fs.stat("a", {x = 1}) end, "'stat'", "#2", "x")
    helper.misuse(function() fs.stat("a", {follow = 1}) end, "'stat'", "#2")
  end)
end)

describe("fs.list", function()
  before_each(begin)
  after_each(finish)

  it("gives sorted names and their types", function()
    helper.spit(at "b", "")
    shell(("cd %s; mkdir a; mkfifo .c; ln -s a Z; ln -s x y"):format(
      quote(dir)))
    everywhere(function(path)
      local fs = require "casting.fs"
      local names, types = fs.list(path:match "^(.*)/")
      local out = {}
      for _, name in ipairs(names) do
        if not name:match "^in " then
          out[#out + 1] = name .. "=" .. types[name]
        end
      end
      return table.concat(out, " ")
    end, ".c=pipe Z=link a=directory b=file y=link")
    local none, types = fs.list(at "a/")
    assert.same({{}, {}}, {none, types})
    assert.same({}, (fs.list(at "Z")))
    fails("not a directory", at "b", fs.list(at "b"))
    fails(NONE, at "none", fs.list(at "none"))
    helper.misuse(function() fs.list() end, "'list'", "#1")
    helper.misuse(function() fs.list "" end, "'list'", "#1")
  end)

end)

describe("a large directory", function()
  before_each(begin_large)
  after_each(finish)

  it("is listed, walked over and removed", function()
    for i = 1, 20000 do io.open(at(i), "w"):close() end
    local names, types = fs.list(dir)
    assert.equal(20000, #names)
    for i = 2, #names do
      if names[i - 1] >= names[i] then error "not sorted" end
    end
    assert.same({"1", "file"}, {names[1], types["9999"]})
    local n = 0
    for _ in fs.walk(dir) do n = n + 1 end
    assert.equal(20001, n)
    -- A removal that is cancelled stops soon; what comes after it waits for it.
    local task = casting.spawn(fs.remove, dir, {tree = true})
    helper.until_waiting(task)
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.is_true(#fs.list(dir) > 0)
  end)
end)
