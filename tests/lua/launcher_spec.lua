-- launcher_spec.lua - the program `casting`: files, options, errors, --watch.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG
local fs, process = casting.fs, casting.process

if not helper.has_children() then
  describe("the launcher", function()
    pending "no other program can be started here"
  end)
  return
end

local dir = assert(fs.tempdir())
local function file(name, text)
  local path = dir .. "/" .. name
  helper.spit(path, text)
  return path
end

-- A word for the shell.
local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- The command line, for a shell, with words that are not quoted.
local function command(words)
  return helper.command():gsub("'[^']*'$", "") .. " sh bin/casting --lua " ..
    quote(helper.interpreter()) .. " " .. words
end

-- Its code and its two outputs.
local function run(words, input)
  return process.run {"sh", "-c", command(words), input = input,
    timeout = LONG}
end

describe("casting FILE", function()
  it("is a task of the main session, with its arguments", function()
    local path = file("args.lua", [[
      local casting = require "casting"
      print(casting.self():session():name(), select("#", ...), ...)
      print(arg[0], arg[1], arg[2], arg[3], arg[-1], arg[-2])
      local lowest = 0
      while arg[lowest - 1] do lowest = lowest - 1 end
      print(arg[lowest])
      casting.sleep(0)
    ]])
    local code, out, err = run("--threads 1,2 " .. path .. " -x '' -- ")
    assert.equal("", err)
    assert.equal("main\t3\t-x\t\t--\n" .. path .. "\t-x\t\t--\t1,2\t--threads\n"
      .. "bin/casting\n", out)
    assert.equal(0, code)
  end)

  it("ends as the file does, whatever its tasks do", function()
    local path = file("end.lua", [[
      local casting = require "casting"
      casting.spawn(function() casting.sleep(1000) end)
      casting.session():spawn(function() require "casting".sleep(1000) end)
      print "done"
      return 3
    ]])
    local code, out = run(path)
    assert.equal("done\n", out)
    assert.equal(0, code)
  end)

  it("has the exit code of os.exit", function()
    assert.equal(7, (run "-e 'os.exit(7)'"))
    if helper.version ~= "5.1" or helper.jit then
      assert.equal(7, (run "-e 'casting.sleep(0) os.exit(7, true)'"))
      assert.equal(1, (run "-e 'os.exit(false, true)'"))
    end
  end)

  it("tells of an error as the interpreter does", function()
    local path = file("error.lua", "local x = 1\nerror 'boom'\n")
    local code, out, err = run(path)
    assert.equal("", out)
    assert.equal(1, code)
    assert.equal("casting: " .. path .. ":2: boom\nstack traceback:\n" ..
      "\t[C]: in function 'error'\n\t" .. path .. ":2: in main chunk\n", err)
    local _
    code, out, err = run(file("wait.lua", [[
      local casting = require "casting"
      local v = setmetatable({}, {__tostring = function() return "mine" end})
      casting.sleep(0)
      error(v)
    ]]))
    assert.equal(1, code)
    assert.equal("casting: mine\n", err)
    assert.equal("", out)
    code, _, err = run "-e 'error {}'"
    assert.equal(1, code)
    assert.matches("^casting: %(error object is a table value%)\nstack", err)
    code, _, err = run "-e 'error()'"
    assert.equal(1, code)
    assert.matches(helper.version == "5.5" and "^casting: <no error object>" or
      "^casting: %(error object is a nil value%)", err)
  end)

  it("closes the state after an error", function()
    local code, out, err = run(file("close.lua", [[
      local casting = require "casting"
      casting.spawn(function()
        local ok, e = pcall(casting.sleep, 1000)
        io.write(tostring(casting.is_cancelled(e)), "\n")
        error(e)
      end)
      casting.sleep(0)
      error("now", 0)
    ]]))
    assert.equal("true\n", out)
    assert.matches("^casting: now\n", err)
    assert.equal(1, code)
  end)

  it("tells of a deadlock, without its own wait", function()
    local code, _, err = run "-e 'casting.channel():receive()'"
    assert.equal(1, code)
    assert.matches("^casting: deadlock: all tasks are waiting\n", err)
    assert.matches("waiting to receive from channel", err)
    assert.is_nil(err:find("launcher", 1, true))
  end)

  it("tells what it cannot load", function()
    local code, _, err = run(dir .. "/missing.lua")
    assert.equal(1, code)
    assert.matches("^casting: cannot open .*missing.lua", err)
    code, _, err = run(file("syntax.lua", "x ="))
    assert.equal(1, code)
    assert.matches("^casting: .*syntax.lua:1: unexpected symbol", err)
    assert.is_nil(err:find("traceback", 1, true))
  end)

  it("may be the standard input", function()
    for _, words in ipairs {"", "-", "- a b", "-- -"} do
      local code, out = run(words, "print(..., 'input')")
      assert.equal(0, code)
      assert.matches("input\n$", out)
    end
    local _, out = run("- a b", "print(...) print(arg[0], arg[2])")
    assert.equal("a\tb\n-\tb\n", out)
  end)

  it("is a file if a command is not meant", function()
    local _, out = process.run {"sh", "-c", "root=$PWD; cd " .. dir ..
      "; echo 'print \"a file\"' >help; " .. command("./help")
      :gsub("bin/casting", '"$root"/%0')}
    assert.equal("a file\n", out)
    local code, _, err = run "-- help"
    assert.equal(1, code)
    assert.matches("cannot open help", err)
    code, _, err = run "helper"
    assert.equal(1, code)
    assert.matches("cannot open helper", err)
  end)

  it("stops at Ctrl-C, and the file may clean up", function()
    local result = process.spawn {"sh", "-c", "exec " .. command(file("int.lua",
      [[
        local casting = require "casting"
        -- Who runs at Ctrl-C may get the error (LuaJIT): so another session
        -- tells that the file waits.
        local waits = casting.channel(1)
        casting.session():spawn(function()
          waits:receive()
          print "begun"
          io.flush()
        end)
        casting.spawn(function() waits:send(true) end)
        local function wait() casting.sleep(1000) end
        local ok, e = pcall(wait)
        print(ok, e.reason)
        error(e)
      ]])), stdout = "pipe", stderr = "pipe"}
    assert.equal("begun", result.stdout:read("l", LONG))
    result:kill "INT"
    local out = result.stdout:read("a", LONG)
    local err = result.stderr:read("a", LONG)
    assert.equal("false\tinterrupted!\n", out)
    assert.matches("^casting: interrupted!\nstack traceback:\n", err)
    assert.matches("in main chunk\n$", err)
    local how, code = result:wait(LONG)
    assert.equal("exit", how)
    assert.equal(1, code)
  end)

  it("stops a file that computes at Ctrl-C", function()
    if helper.jit then return pending "compiled loops go on" end
    local result = process.spawn {"sh", "-c", "exec " .. command(
      "-e " .. quote(helper.loops "io.write 'begun\\n' io.flush() " ..
        helper.loops "while true do end")), stdout = "pipe", stderr = "pipe"}
    assert.equal("begun", result.stdout:read("l", LONG))
    result:kill "INT"
    assert.matches("^casting: interrupted!\n", result.stderr:read("a", LONG))
    assert.equal("exit", (result:wait(LONG)))
  end)

  it("is another's business once it has asked for signals", function()
    local result = process.spawn {"sh", "-c", "exec " .. command(
      [[-e 'local s = casting.process.signals("INT") print "begun" io.flush()
        print(s:receive())']]), stdout = "pipe"}
    assert.equal("begun", result.stdout:read("l", LONG))
    result:kill "INT"
    assert.equal("INT", result.stdout:read("l", LONG))
    local _, code = result:wait(LONG)
    assert.equal(0, code)
  end)
end)

describe("options of casting", function()
  it("run code and modules before the file", function()
    helper.spit(dir .. "/mod.lua", "return {name = ...}")
    local path = file("after.lua", "print(x, mod.name, other.name, ...)")
    local code, out, err = run(("-e %s -l mod -lother=mod -e'x = x + 1' " ..
      "--eval='x = x * 2' %s y"):format(quote("package.path = '" .. dir ..
      "/?.lua' x = 1 assert(casting.self())"), path))
    assert.equal("", err)
    assert.equal("4\tmod\tmod\ty\n", out)
    assert.equal(0, code)
    code, out = run "-e 'print(1)' -e 'error(1)' -e 'print(2)'"
    assert.equal("1\n", out)
    assert.equal(1, code)
  end)

  it("set the limits of the pool", function()
    local show = " -e 'print(casting.threads())'"
    assert.equal("2\t3\n", select(2, run("--threads 2,3" .. show)))
    assert.equal("1\t4\n", select(2, run("--threads=4" .. show)))
    for _, words in ipairs {"--threads 0", "--threads x", "--threads=",
      "--threads 3,2", "--threads 99999999999999999999"} do
      local code, out, err = run(words .. show)
      assert.equal(1, code)
      assert.equal("", out)
      assert.matches("^casting: %-%-threads: .*see: casting help\n$",
        (err:gsub("threads=", "threads")))
    end
  end)

  it("tell versions and help", function()
    assert.matches("^casting " .. casting._VERSION .. ", Lua",
      (select(2, run "-v")))
    assert.matches("^usage: casting", (select(2, run "help")))
    assert.matches("^usage: casting", (select(2, run "--help")))
  end)

  it("are refused if there are no such", function()
    for words, text in pairs {["-x"] = "unrecognized option '-x'",
      ["--evil x"] = "unrecognized option '--evil'", ["-e"] =
      "'-e' needs argument", ["--watch"] = "which FILE is to be run",
      ["--watch -i x.lua"] = "not together"} do
      local code, _, err = run(words)
      assert.equal(1, code)
      assert.matches("^casting: .*\nsee: casting help\n$", err)
      assert.is_truthy(err:find(text, 1, true), err)
    end
  end)

  it("choose the interpreter", function()
    local code, _, err = process.run {"sh", "bin/casting", "--lua", "no-lua"}
    assert.equal(1, code)
    assert.equal("casting: there is no program no-lua\n", err)
    code, _, err = process.run {"sh", "bin/casting", "--lua=5.9", "x.lua"}
    assert.equal(1, code)
    assert.equal("casting: there is no program lua5.9\n", err)
    -- Behind the file it is an argument of that.
    local path = file("late.lua", "print(...)")
    local _, out = run(path .. " --lua no-lua")
    assert.equal("--lua\tno-lua\n", out)
  end)

  it("cannot choose where an interpreter runs the file itself", function()
    local _, out, err = process.run {"sh", "-c", helper.command() ..
      " -e 'x = 1' bin/casting --lua 5.4 -e 'print(1)'", timeout = LONG}
    assert.equal("", out)
    assert.matches("LuaRocks has installed this program for %S+ alone", err)
    _, out = process.run {"sh", "-c", helper.command() ..
      " bin/casting -e 'print(1)'", timeout = LONG}
    assert.equal("1\n", out)
  end)
end)

describe("a program without the module", function()
  it("is told so", function()
    local _, _, err = process.run {"sh", "-c", "exec env LUA_PATH= LUA_CPATH= "
      .. "LUA_INIT= " .. quote(helper.interpreter()) ..
      " -e 'package.path, package.cpath = \"\", \"\"' bin/casting x.lua",
      timeout = LONG}
    assert.matches("does not load the module: .*module 'casting' not found",
      err)
  end)
end)

describe("casting --watch", function()
  local probe, why = fs.watch(dir)
  if not probe then
    return it("runs a file again", function() pending(why) end)
  end
  probe:close()

  -- Lines of both outputs come in one pipe.
  local function watching(words)
    local p = assert(process.spawn {"sh", "-c", "exec " .. command(words),
      stdout = "pipe", stderr = "stdout"})
    local function expect(text)
      local line
      repeat
        line = assert(p.stdout:read("l", LONG), "nothing more came")
      until line:find(text, 1, true)
      return line
    end
    return p, expect
  end

  it("runs a file again when it has changed", function()
    local path = file("watched.lua",
      "print 'one' io.flush() require 'casting'.sleep(1000)")
    local p, expect = watching("--watch " .. path .. " --watch")
    expect "one"
    helper.spit(path .. ".new", "print('two', ...)")
    os.rename(path .. ".new", path)
    expect "watched.lua has changed"
    expect "two\t--watch"
    expect "has ended (exit 0); it is run again when something changes"
    helper.spit(path, "error 'three'")
    expect "three"
    expect "has ended (exit 1)"
    helper.spit(dir .. "/module.lua", "")
    expect "module.lua has changed"
    expect "three"
    p:kill "TERM"
    local how, code = p:wait(LONG)
    assert.equal("exit", how)
    assert.equal(143, code)
  end)

  it("watches what is named, and passes signals on", function()
    assert(fs.mkdir(dir .. "/data"))
    local named = dir .. "/data/named.txt"
    helper.spit(named, "")
    local path = file("named.lua", [[
      local s = require "casting".process.signals("TERM")
      print "begun"
      io.flush()
      print(s:receive())
    ]])
    local p, expect = watching(("--watch=%s %s"):format(named, path))
    expect "begun"
    helper.spit(dir .. "/data/another", "")
    helper.spit(named, "x")
    expect "named.txt has changed"
    expect "TERM"
    expect "begun"
    p:kill "TERM"
    expect "TERM"
    assert.equal("exit", (p:wait(LONG)))
  end)

  it("tells what cannot be watched", function()
    local code, _, err = run("--watch=" .. dir .. "/none/none x.lua")
    assert.equal(1, code)
    assert.matches("^casting: %-%-watch: .*no such file", err)
  end)
end)

describe("the launcher's files", function()
  it("are removed", function() assert(fs.remove(dir, {tree = true})) end)
end)
