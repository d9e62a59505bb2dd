-- examples_spec.lua - the programs of examples/, each run as its reader would.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore

if not helper.has_children() then
  describe("examples", function()
    pending "run: no other program can be started here"
  end)
  return
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Runs examples/NAME.lua, or the file that NAME is, with these arguments.
-- Returns its exit status, what it wrote, and what it complained.
local function run(name, ...)
  if not name:match "%.lua$" then name = "examples/" .. name .. ".lua" end
  local words = {helper.command(helper.LEAVES), quote(name)}
  for i = 1, select("#", ...) do
    words[#words + 1] = quote((select(i, ...)))
  end
  local err = os.tmpname()
  local pipe = io.popen((
    "timeout -k 2 %d %s 2>%s </dev/null; echo $?"):format(
    math.ceil(2 * helper.LONG), table.concat(words, " "), err))
  local out, status = pipe:read("*a"):match "^(.-)(%d+)%s*$"
  pipe:close()
  local complaint = helper.slurp(err)
  os.remove(err)
  return tonumber(status), out, complaint
end

-- As run, and it must end well and without a complaint: returns the output.
local function output(name, ...)
  local status, out, complaint = run(name, ...)
  if status ~= 0 or complaint ~= "" then
    error(("status %d\n%s%s"):format(status, out, complaint), 2)
  end
  return out
end

-- A directory for a test, removed after it.
local dir
local function make_directory()
  local pipe = io.popen "mktemp -d"
  dir = pipe:read "*l"
  pipe:close()
end
local function remove_directory()
  os.execute("rm -rf " .. quote(dir))
end
local function file(name, text)
  return helper.spit(dir .. "/" .. name, text)
end

describe("examples/wordcount.lua", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("counts the project's own documents when no file is given", function()
    local out = output("wordcount", "--check")
    assert.matches("\ncheck: equal\n", out)
    assert.matches("%d+ words, %d+ different, in %d+ files", out)
  end)

  it("prints the most frequent words, their sum and the time", function()
    local name = file("a.txt", "The cat and the dog and THE bird.\n")
    local out = output("wordcount", "--top", "2", name)
    assert.equal("        3  the\n        2  and\n" ..
      "8 words, 5 different, in 1 files of 0.00 MB\n",
      (out:gsub("[%d.]+ s in 4 sessions\n", "")))
  end)

  it("knows apostrophes, quotes and letters of UTF-8", function()
    local name = file("a.txt", "don't 'don't' don\226\128\153t \226\128\156" ..
      "\195\188ber\226\128\157\226\128\148users' users a1")
    local out = output("wordcount", name)
    assert.matches("^        3  don't\n        2  users\n        1  a1\n" ..
      "        1  \195\188ber\n7 words, 4 different", out)
  end)

  it("cuts no word where a block ends", function()
    local words = {}
    for i = 1, 90000 do words[i] = "word" .. i % 1000 end
    file("many", table.concat(words, "\n"))
    file("long", ("x"):rep(700000) .. " tail")
    file("short", "word0")
    local out = output("wordcount", "--check", "--top", "1", "--sessions", "3",
      dir)
    assert.matches("^       91  word0\n90003 words, 1002 different, in 3 files",
      out)
    assert.matches("\ncheck: equal\n", out)
  end)

  it("takes any bytes in files and almost any in names", function()
    local bytes, seed = {}, 42
    for i = 1, 300000 do
      seed = (seed * 16807) % 2147483647
      bytes[i] = string.char(seed % 256)
    end
    local binary = table.concat(bytes)
    file("a b'c\"d$HOME`id`;\\.txt", binary)
    file("-n", binary:sub(1, 1000))
    file("\195\188\255", binary:sub(-1000))
    file("empty", "")
    file("zeros", ("\0"):rep(100000))
    local out = output("wordcount", "--check", dir)
    assert.matches("in 5 files", out)
    assert.matches("\ncheck: equal\n", out)
  end)

  it("goes through directories and globs by itself", function()
    os.execute("mkdir -p " .. quote(dir .. "/in side/deep"))
    file("in side/one.txt", "a b c")
    file("in side/deep/two.txt", "a b")
    file("in side/deep/three.md", "a")
    assert.matches("\n6 words, 3 different, in 3 files",
      output("wordcount", "--check", dir))
    assert.matches("\n5 words, 3 different, in 2 files",
      output("wordcount", dir .. "/in side/*.txt", dir .. "/in s*/de?p/t[w]*"))
    file("st*r", "literally")
    file("stir", "not this")
    assert.matches("\n1 words, 1 different, in 1 files",
      output("wordcount", dir .. "/st*r"))
  end)

  it("goes on after a file that cannot be read, and fails in the end",
    function()
      local good = file("good", "a b c")
      for _, bad in ipairs {dir .. "/none", dir .. "/none*"} do
        local status, out, complaint = run("wordcount", bad, good)
        assert.equal(1, status)
        assert.matches("3 words, 3 different, in 1 files", out)
        assert.equal("wordcount: " .. bad .. ": No such file or directory\n",
          complaint)
      end
    end)

  it("explains itself, and refuses what it does not know", function()
    assert.matches("^usage: wordcount.lua", output("wordcount", "--help"))
    for _, args in ipairs {{"--tpo"}, {"--top"}, {"--top", "x"},
      {"--sessions", "0"}, {"--sessions", "1.5"}} do
      local status, out, complaint = run("wordcount", helper.unpack(args))
      assert.equal(2, status)
      assert.equal("", out)
      assert.matches("^wordcount: .*" .. args[1]:gsub("%-", "%%-"), complaint)
    end
  end)
end)

describe("examples/sieve.lua", function()
  it("finds primes, in one session or several", function()
    for _, sessions in ipairs {"1", "3"} do
      local out = output("sieve", "60", sessions)
      assert.matches("^2 3 5 7 11 13 17 19 23 29 %.%.%.\n", out)
      assert.matches("\nprime number 60 is 281\n", out)
      assert.matches("\ncheck: right\n$", out)
    end
    assert.matches("^2\nprime number 1 is 2\n", output("sieve", "1"))
  end)

  it("refuses what is no number", function()
    for _, word in ipairs {"many", "0"} do
      local status, _, complaint = run("sieve", word)
      assert.equal(2, status)
      assert.matches("^sieve: " .. word .. " is no whole number", complaint)
    end
  end)
end)

describe("examples/mandelbrot.lua", function()
  before_each(make_directory)
  after_each(remove_directory)

  -- The points in the set and the checksum of a drawing of 64 x 48 points are
  -- the same everywhere.
  local function draw(name, sessions)
    local out = output("mandelbrot", "--size", "64", "--limit", "100",
      "--check", "--sessions", sessions, dir .. "/" .. name)
    assert.matches("\n64 x 48 points, 816 in the set: area 1.5619\n", out)
    assert.matches("\nchecksum 2215132957\n", out)
    assert.matches("\ncheck: equal\n$", out)
    return helper.slurp(dir .. "/" .. name)
  end

  it("writes a PNG picture", function()
    local png = draw("set.png", "1")
    assert.equal("\137PNG\r\n\26\n\0\0\0\13IHDR\0\0\0\64\0\0\0\48\8\3\0\0\0",
      png:sub(1, 29))
    -- 8 signature, 25 header, 780 palette, 12 + 11 + 48 * 65 data, 12 end
    assert.equal(8 + 25 + 780 + 12 + 11 + 48 * 65 + 12, #png)
    assert.equal("\0\0\0\0IEND\174\66\96\130", png:sub(-12))
    assert.equal(png, draw("again.png", "3"))
  end)

  it("writes a PPM picture", function()
    local ppm = draw("set.ppm", "2")
    assert.equal("P6\n64 48\n255\n", ppm:sub(1, 13))
    assert.equal(13 + 64 * 48 * 3, #ppm)
  end)

  it("refuses what it does not know", function()
    for _, args in ipairs {{"--size", "none"}, {"--limit"}, {"--colour"}} do
      local status, out, complaint = run("mandelbrot", helper.unpack(args))
      assert.same({2, ""}, {status, out})
      assert.matches("^mandelbrot: .*" .. args[1]:gsub("%-", "%%-"), complaint)
    end
    assert.matches("^usage: mandelbrot.lua", output("mandelbrot", "--help"))
  end)

  it("looks at the place of the picture before it draws", function()
    local status, out, complaint = run("mandelbrot", dir .. "/none/a.png")
    assert.same({1, "", "mandelbrot: " .. dir ..
      "/none/a.png: No such file or directory\n"}, {status, out, complaint})
    -- What is there stays until the new picture is drawn.
    local name = file("old.png", "old")
    assert.equal(2, (run("mandelbrot", "--size", "x", name)))
    assert.equal("old", helper.slurp(name))
  end)

  it("tells why a picture cannot be written", function()
    local full = io.open("/dev/full", "ab")
    if not full then return end
    full:close()
    local status, _, complaint = run("mandelbrot", "--size", "8", "/dev/full")
    assert.equal(1, status)
    assert.matches("^mandelbrot: .*No space left on device\n$", complaint)
  end)
end)

describe("examples/pipeline.lua", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("tells code, comments and blank lines apart", function()
    local c = file("a.c", "/* one\n   two */\n\nint x; // three\n// four\n")
    local lua = file("b.lua", "-- one\n--[[ two\n\nthree ]]\nprint(1)\n  \n")
    local text = file("c.xyz", "what\n")
    local out = output("pipeline", c, lua, text)
    assert.matches("\nC +1 +3 +1\nLua +1 +3 +2\nother +1 +0 +0\n", out)
    assert.matches("\n3 files, 12 lines, ", out)
    assert.matches("\ncheck: every line arrived\n$", out)
  end)

  it("goes on after a file that cannot be read, and fails in the end",
    function()
      local good = file("a.lua", "print(1)\n")
      local status, out, complaint = run("pipeline", dir .. "/none", dir, good)
      assert.equal(1, status)
      assert.matches("\n1 files, 1 lines, ", out)
      assert.equal(("pipeline: %s/none: No such file or directory\n" ..
        "pipeline: %s: Is a directory\n"):format(dir, dir), complaint)
      local refused, _, why = run("pipeline", "--slow", "x")
      assert.equal(2, refused)
      assert.matches("^pipeline: %-%-slow needs a number", why)
    end)

  it("counts the project's own sources when no file is given", function()
    local out = output("pipeline")
    assert.matches("\nLua +%d%d%d+ ", out)
    assert.matches("\ncheck: every line arrived\n$", out)
  end)

  it("does not count what is built, nor what is hidden", function()
    for _, name in ipairs {"examples", "build", ".git"} do
      os.execute("mkdir " .. quote(dir .. "/" .. name))
    end
    file("a.lua", "print(1)\nprint(2)\n")
    file("build/b.lua", "print(3)\n")
    file(".git/c.lua", "print(4)\n")
    local copy = file("examples/pipeline.lua",
      helper.slurp "examples/pipeline.lua")
    assert.matches("\n2 files, ", output(copy))
  end)

  it("holds a reader back that is too fast", function()
    local lines = ("x = 1\n"):rep(400)
    local out = output("pipeline", "--slow", "0.001", file("a.lua", lines))
    -- 400 lines at 1 ms, less the 128 that the channels hold.
    local blocked = out:match "\nread +1 +[%d.]+ s +([%d.]+) s"
    assert.is_true(tonumber(blocked) > 0.2, out)
    assert.matches("\ncollect +400 .* 6[0-9] of 64\n", out)
  end)
end)

describe("examples/chat.lua", function()
  it("has the same transcripts at every run", function()
    local expected = [=[
[lua]
* ann enters
* bob enters
ann: Hello Bob! How do I run two functions at once?
bob: Put each in a session and spawn it there.
ann: And how do they talk to each other?
bob: Through channels. Ask Cy, he knows them well.
* cy enters
* bob leaves
cy: A channel copies what you send: nothing is shared.
ann: So there is nothing to lock. Thank you both!
* cy leaves
* ann leaves

[tea]
* bob enters
* dot enters
dot: Is the kettle on?
bob: It is. Milk?
* dot leaves
* bob leaves

heard: ann 11, bob 12, cy 5, dot 4
]=]
    for _ = 1, 5 do
      assert.equal(expected, output "chat")
    end
  end)
end)

describe("examples/timeserver.lua", function()
  it("answers all, though some datagrams are lost", function()
    local out = output "timeserver"
    assert.matches("^15 questions: 15 answers, %d+ datagrams sent again\n" ..
      "check: all answered\n$", out)
  end)

  it("serves and asks as programs of their own", function()
    -- A port that was free a moment ago.
    local socket = assert(require "casting".net.udp("127.0.0.1", 0))
    local _, port = socket:name()
    socket:close()
    local server = io.popen(("timeout %d %s examples/timeserver.lua --serve" ..
      " 127.0.0.1 %d 2"):format(math.ceil(2 * helper.LONG),
      helper.command(helper.LEAVES), port))
    assert.equal(("serving on 127.0.0.1, port %d"):format(port),
      server:read "*l")
    assert.matches("^%d+%-%d%d%-%d%d %d%d:%d%d:%d%d UTC\n$",
      output("timeserver", "--ask", "127.0.0.1", tostring(port)))
    server:close()
    local status, out, complaint = run("timeserver", "--ask", "127.0.0.1",
      tostring(port))
    assert.same({2, ""}, {status, out})
    assert.matches("^timeserver: .*refused", complaint)
  end)

  it("refuses what it does not know", function()
    for _, args in ipairs {{"--what"}, {"--ask"}, {"--serve", "127.0.0.1"},
      {"--serve", "192.0.2.1", "0"}} do
      local status, out, complaint = run("timeserver", helper.unpack(args))
      assert.same({2, ""}, {status, out})
      assert.matches("^timeserver: ", complaint)
    end
  end)
end)

describe("examples/chatserver.lua", function()
  it("has members in several sessions hear each other", function()
    assert.equal([=[
ann hears: * ann enters
ann hears: * bob enters
bob hears: * bob enters
ann hears: ann: hello bob
bob hears: ann: hello bob
bob hears: * here are ann, bob
ann hears: * bob leaves
bob hears: * bob enters
ann hears: * ann enters
bob hears: * ann enters
ann hears: * bob leaves
check: the server has ended
]=], output("chatserver", "--check"))
    local status, _, complaint = run("chatserver", "what")
    assert.equal(2, status)
    assert.matches("^chatserver: what is no port\n", complaint)
  end)
end)

describe("examples/tlschat.lua", function()
  it("lets members hear each other, and nobody else", function()
    if not pcall(require, "casting.tls") then
      pending "casting.tls is not built"
      return
    end
    assert.equal("* guest 2 enters\nguest 1: nobody else can read this\n" ..
      "* guest 2 leaves\n", output("tlschat", "--check"))
    local status, _, complaint = run("tlschat", "serve", "what")
    assert.equal(2, status)
    assert.equal("tlschat: what is no port\n", complaint)
    status, _, complaint = run("tlschat", "serve", "0", "/none", "/none")
    assert.equal(1, status)
    assert.equal("tlschat: cert: /none: No such file or directory\n", complaint)
  end)
end)

describe("examples/forwarder.lua", function()
  it("forwards both ways, with half closes", function()
    assert.equal("100000 bytes\n200000 bytes\n300000 bytes\n" ..
      "400000 bytes\n500000 bytes\ncheck: all was forwarded\n",
      output("forwarder", "--check"))
  end)

  it("explains itself, and refuses what it does not know", function()
    assert.matches("^usage: forwarder.lua", output("forwarder", "--help"))
    for _, args in ipairs {{"--tpo"}, {"--sessions", "x"}, {"80"},
      {"80", "host", "port"}} do
      local status, out, complaint = run("forwarder", helper.unpack(args))
      assert.equal(2, status)
      assert.equal("", out)
      assert.matches("^forwarder: ", complaint)
    end
  end)
end)

describe("examples/buffer.lua", function()
  it("tells why the module cannot be loaded", function()
    local status, _, complaint = run("buffer", "many")
    if status == 2 then -- it is there: the tests build it
      assert.matches("^buffer: many is no number of megabytes\n", complaint)
      assert.matches("never copied\n$", output("buffer", "1"))
    end
    make_directory()
    file("buffer.so", "no library")
    local path = package.cpath
    package.cpath = dir .. "/?.so;" .. path
    local failed, _, why = run "buffer"
    package.cpath = path
    remove_directory()
    assert.equal(1, failed)
    assert.matches("^buffer: build the module first, .*error loading module",
      why)
  end)
end)

describe("examples/supervisor.lua", function()
  it("refuses what is no number", function()
    local status, _, complaint = run("supervisor", "many")
    assert.equal(2, status)
    assert.matches("^supervisor: many is no whole number", complaint)
  end)

  it("does each job once, or reports it", function()
    for _, workers in ipairs {"1", "4"} do
      assert.equal("400 jobs: 380 done, 20 reported\n" ..
        "check: each exactly once\n", output("supervisor", "400", workers))
    end
  end)
end)

describe("examples/checksums.lua", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("tells checksum, lines and bytes in the order of the names", function()
    file("a", "Wikipedia")
    file("b", "a\nb\n")
    file("c", "")
    local out = output("checksums", "--check", dir)
    assert.equal("11e60398       0         9  " .. dir .. "/a\n" ..
      "027400d8       2         4  " .. dir .. "/b\n" ..
      "00000001       0         0  " .. dir .. "/c\n" ..
      "check: equal\n", out)
  end)

  it("goes on after a file that cannot be read, and fails in the end",
    function()
      local good = file("good", "x")
      local status, out, complaint = run("checksums", dir .. "/none", good)
      assert.equal(1, status)
      assert.matches("^00790079 .*/good\n$", out)
      assert.matches("^checksums: .*/none: No such file", complaint)
      local refused, _, why = run("checksums", "--what")
      assert.equal(2, refused)
      assert.matches("^checksums: unknown option %-%-what\n", why)
    end)

  it("finds nothing wrong with an empty directory", function()
    os.execute("mkdir " .. quote(dir .. "/empty"))
    assert.equal("", output("checksums", dir .. "/empty"))
  end)
end)

describe("examples/make.lua", function()
  before_each(make_directory)
  after_each(remove_directory)

  -- Makes what is asked for with the makefile `text`, whose DIR is `dir`.
  local function make(text, ...)
    local name = file("makefile", (text:gsub("DIR", dir)))
    return run("make", "-f", name, ...)
  end

  local FILES = "all: DIR/c\nDIR/c: DIR/a DIR/b\n\tcat $^ > $@\n" ..
    "DIR/a:\n\t@echo a > $@; echo made a; echo err >&2\n" ..
    "DIR/b: DIR/a\n\t@sed s/a/b$$((1 + 1))/ $< > $@\n.PHONY: all\n"

  it("makes what is not there, then nothing, then what is older", function()
    local lines = ("cat DIR/a DIR/b > DIR/c\n"):gsub("DIR", dir)
    assert.same({0, "made a\nerr\n" .. lines, ""}, {make(FILES, "-j2")})
    assert.equal("a\nb2\n", helper.slurp(dir .. "/c"))
    assert.same({0, "", ""}, {make(FILES)})
    assert.same({0, ("make: '%s/c' is up to date.\n"):format(dir), ""},
      {make(FILES, dir .. "/c")})
    os.execute(("touch -t 200001010000 %s/c"):format(quote(dir)))
    assert.same({0, lines, ""}, {make(FILES, "-j", "8")})
  end)

  it("runs N programs at once", function()
    -- Each waits until the other is there.
    local text = "all: x y\n.PHONY: all x y\n" ..
      "x:\n\t@touch DIR/x; until test -e DIR/y; do sleep 0.01; done\n" ..
      "\t@echo x\n" ..
      "y:\n\t@touch DIR/y; until test -e DIR/x; do sleep 0.01; done\n" ..
      "\t@echo y\n"
    local status, out, complaint = make(text, "-j2")
    assert.same({0, ""}, {status, complaint})
    assert.is_true(out == "x\ny\n" or out == "y\nx\n", out)
  end)

  it("kills the others when one fails, and leaves no half a file", function()
    local text = "all: DIR/half bad\n.PHONY: all bad\n" ..
      "DIR/half:\n\techo half > $@; sleep 1000\n" ..
      "bad:\n\t@until test -e DIR/half; do sleep 0.01; done; exit 3\n"
    assert.same({2, "", "make: *** [bad] Error 3\n"}, {make(text, "-j2")})
    assert.is_nil(io.open(dir .. "/half"))
    assert.same({2, "kill -9 $$\n", "make: *** [x] Signal 9\n"},
      {make "x:\n\tkill -9 $$$$\n"})
  end)

  it("ends with its programs when a signal comes", function()
    for signal, status in pairs {INT = 130, TERM = 143} do
      assert.same({status, "", "make: *** " .. signal .. "\n"},
        {make(("x:\n\tkill -%s $$PPID; sleep 1000\n"):format(signal))})
    end
  end)

  it("refuses what cannot be made", function()
    assert.same({2, "", "make: *** x needs itself, by way of z\n"},
      {make "x: y\ny: z\nz: x\n"})
    assert.same({2, "", "make: *** No rule to make target 'y'," ..
      " needed by 'x'\n"}, {make "x: y\n"})
    for text, why in pairs {[""] = "No targets", ["what\n"] = "makefile:1: "} do
      local status, _, complaint = make(text)
      assert.equal(2, status)
      assert.matches(why, complaint)
    end
    assert.equal(2, (make("x:\n", "-j", "x")))
    assert.equal(2, (run("make", "-f", dir .. "/none")))
  end)
end)

describe("examples/convert.lua", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("converts several files, and tells of those that fail", function()
    local names, all = {}, {}
    for i = 1, 6 do
      names[i] = file("f" .. i, ("x"):rep(100000 * i))
      local size = 100000 * i
      all[("%s: %d -> %d bytes\n"):format(names[i], size, size)] = true
    end
    local status, out, complaint = run("convert", "tr x y", ".new",
      helper.unpack(names))
    assert.same({0, ""}, {status, out})
    for line in complaint:gmatch "[^\n]*\n" do
      assert.is_true(all[line], line)
      all[line] = nil
    end
    assert.is_nil(next(all))
    assert.equal(("y"):rep(600000), helper.slurp(names[6] .. ".new"))

    local none = dir .. "/none"
    assert.same({1, "", ("%s: FAILED\nconvert: %s: No such file or directory\n")
      :format(none, none)}, {run("convert", "cat", ".new", none)})
    local bad = file("bad", "text")
    assert.same({1, "", ("%s: FAILED\nconvert: %s: exit 3: why\n")
      :format(bad, bad)}, {run("convert", "cat; echo why >&2; exit 3", ".new",
        bad)})
    assert.is_nil(io.open(bad .. ".new"))
  end)

  it("ends with its programs when a signal comes", function()
    for signal, status in pairs {INT = 130, TERM = 143} do
      local name = file("f", "text")
      assert.same({status, "", "convert: " .. signal .. "\n"}, {run("convert",
        ("kill -%s $PPID; cat; sleep 1000"):format(signal), ".new", name)})
      assert.is_nil(io.open(name .. ".new"))
    end
  end)

  it("draws bars on a terminal", function()
    local pipe = io.popen "command -v script"
    if pipe:read "*a" == "" then
      pending "there is no script(1)"
      return
    end
    pipe:close()
    local name = file("long-name-" .. ("\195\188"):rep(20), ("x"):rep(1000))
    pipe = io.popen(("script -qc %s /dev/null </dev/null"):format(quote(
      ("stty cols 60 rows 24; %s examples/convert.lua 'cat; sleep 0.3' .new %s")
      :format(helper.command(helper.LEAVES), quote(name)))))
    local out = pipe:read "*a"
    pipe:close()
    local full = "%[" .. ("#"):rep(26) .. "%] 100%%\r\n"
    assert.matches("%.%.%.%-" .. ("\195\188"):rep(20) .. " " .. full, out)
    assert.matches("\27%[2A\27%[J[^\n]*: 1000 %-> 1000 bytes\r\n1 of 1 +" ..
      full, out)
    assert.matches("1 of 1 +" .. full .. "$", out)
  end)

  it("explains itself", function()
    assert.same({2, "", "usage: convert.lua COMMAND SUFFIX FILE...\n"},
      {run "convert"})
  end)
end)

describe("examples/rebuild.lua", function()
  before_each(make_directory)
  after_each(remove_directory)

  it("runs a command after each burst of changes, and ends it", function()
    if not require "casting.fs".watch(dir) then
      return pending "the system cannot watch"
    end
    os.execute(("mkdir -p %s/src/deep"):format(quote(dir)))
    -- Each run makes the changes for the next one; the last one sends a signal.
    local command = [[cd DIR; echo >>runs; echo run $(grep -c '' runs)
      case $(grep -c '' runs) in
      1) echo >src/a; echo >src/b; echo >src/deep/c;;
      2) touch src/.no src/no~ src/no.o; mkdir src/new; exit 3;;
      3) kill -SIGNAL $PPID; sleep 1000;;
      esac]]
    local want = "run 1\nrebuild: done, S\nrebuild: a and 2 more changed\n" ..
      "run 2\nrebuild: exit 3, S\nrebuild: new changed\n"
    for signal, number in pairs {INT = 130, TERM = 143} do
      local text = command:gsub("DIR", quote(dir)):gsub("SIGNAL", signal)
      local status, out, complaint = run("rebuild", "-i", "%.o$",
        dir .. "/src/", text)
      assert.same({number, want, "rebuild: " .. signal .. "\n"},
        {status, (out:gsub("%d+%.%d s", "S")), complaint})
      os.execute(("cd %s && rm -rf runs src/*"):format(quote(dir)))
      os.execute(("mkdir -p %s/src/deep"):format(quote(dir)))
    end
  end)

  it("explains itself", function()
    assert.same({2, "", "usage: rebuild.lua [-i PATTERN]... DIR COMMAND\n"},
      {run("rebuild", dir)})
    local status, _, complaint = run("rebuild", dir .. "/none", "true")
    assert.equal(1, status)
    assert.matches("/none: no such file or directory\n$", complaint)
  end)
end)
