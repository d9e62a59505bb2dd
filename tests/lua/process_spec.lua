-- process_spec.lua - programs that are started and waited for.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG
local process = casting.process

if not helper.has_children() then
  describe("casting.process", function()
    pending "no other program can be started here; but see stress/programs"
  end)
  return
end

-- Zombies of this process: its children that have ended and were not reaped.
local function zombies()
  local n, lines = 0, {}
  local list = io.popen "cat /proc/[0-9]*/stat 2>/dev/null; echo $PPID"
  for line in list:lines() do lines[#lines + 1] = line end
  list:close()
  local me = lines[#lines]
  for _, line in ipairs(lines) do
    local state, parent = line:match "^.*%) (%a) (%d+)"
    if parent == me and state == "Z" then n = n + 1 end
  end
  return n
end

-- One that runs until it is killed. (It must not have our standard output: who
-- reads that would wait for it, should it be left.)
local function sleeper(o)
  o = o or {}
  o[1], o[2], o.stdout, o.stderr = "sleep", "1000", "null", "null"
  return process.spawn(o)
end

local function exists(pid)
  return os.execute(("kill -0 %d 2>/dev/null"):format(pid)) == true or
    os.execute(("kill -0 %d 2>/dev/null"):format(pid)) == 0
end

-- The library learns why a program did not start from memory that it shares
-- with the child of vfork(2). Under valgrind that child has a copy of its own.
local FORKS = "valgrind, or an emulator, makes a fork of vfork, so nobody " ..
  "learns of it"

describe("process.spawn", function()
  for _, place in ipairs(helper.places) do
    it("waits in " .. place[1], function()
      local run = place[2]
      assert.same(pack("exit", 3), pack(run(function()
        local c = require "casting"
        return c.process.spawn {"sh", "-c", "exit 3"}:wait()
      end)))
      assert.same(pack(nil, "timeout"), pack(run(function()
        local c = require "casting"
        local p = c.process.spawn {"sleep", "1000", stdout = "null",
          stderr = "null"}
        local ok, why = p:wait(0.01)
        p:kill "KILL"
        assert(p:wait() == "signal")
        return ok, why
      end)))
    end)
  end

  it("gives streams to what is a pipe", function()
    local p = process.spawn {"sh", "-c", "cat; echo err >&2; exit 7",
      stdin = "pipe", stdout = "pipe", stderr = "pipe"}
    assert.is_true(p.stdin:write "hello\n")
    p.stdin:close()
    assert.equal("hello\n", p.stdout:read("a", LONG))
    assert.equal("err\n", p.stderr:read("a", LONG))
    assert.same(pack("exit", 7), pack(p:wait(LONG)))
    assert.same(pack("exit", 7), pack(p:wait(0)))
    assert.is_nil(p.other)
    assert.matches("^%d+$", tostring(p.pid))
    assert.matches("^process: %d+ %(sh%)$", tostring(p))
  end)

  it("has no streams but what was asked for", function()
    local p = process.spawn {"true"}
    assert.is_nil(p.stdin)
    assert.is_nil(p.stdout)
    assert.is_nil(p.stderr)
    assert.same(pack("exit", 0), pack(p:wait(LONG)))
  end)

  it("tells which signal has ended it", function()
    local p = sleeper()
    assert.is_true(p:kill())
    assert.same(pack("signal", 15), pack(p:wait(LONG)))
    assert.same(pack(nil, "the process has ended"), pack(p:kill()))
    p = sleeper()
    assert.is_true(p:kill "SIGKILL")
    assert.same(pack("signal", 9), pack(p:wait(LONG)))
    p = sleeper()
    assert.is_true(p:kill(0))
    assert.is_true(p:kill(9))
    assert.same(pack("signal", 9), pack(p:wait(LONG)))
  end)

  it("tells why it did not start", function()
    if helper.forks() then pending(FORKS) end
    assert.same(pack(nil, "no-such-program: no such file or directory"),
      pack(process.spawn {"no-such-program"}))
    assert.same(pack(nil, "/: permission denied"),
      pack(process.spawn {"/"}))
    assert.same(pack(nil, "/no/such: no such file or directory"),
      pack(process.spawn {"true", cwd = "/no/such"}))
    assert.same(pack(nil, "true: bad file descriptor"),
      pack(process.spawn {"true", stdout = 1000000}))
  end)

  it("begins in a directory, with an environment", function()
    local p = process.spawn {"sh", "-c", "pwd; echo $A-$HOME", cwd = "/",
      env = {A = "x", PATH = os.getenv "PATH"}, stdout = "pipe"}
    assert.equal("/\nx-\n", p.stdout:read("a", LONG))
  end)

  it("gives it nothing but three descriptors", function()
    local file = io.open "/dev/null" -- inherited if nobody prevents it
    local p = process.spawn {"sh", "-c", "ls /proc/self/fd", stdout = "pipe"}
    local text = p.stdout:read("a", LONG)
    file:close()
    assert.matches("^0\n1\n2\n%d+\n$", text)
  end)

  it("takes any number that is open, also those of the standard", function()
    local p = process.spawn {"sh", "-c", "echo out; echo err >&2",
      stdout = "pipe", stderr = "stdout"}
    assert.equal("out\nerr\n", p.stdout:read("a", LONG))
    local name = os.tmpname()
    local result = helper.run(([[
      local c = require "casting"
      local p = c.process.spawn {"sh", "-c", "echo out; echo err >&2",
        stdout = 2, stderr = 1}
      p:wait()
    ]]):format(name))
    os.remove(name)
    assert.equal("err\n", result.out)
    assert.equal("out\n", result.err)
  end)

  it("takes a stream, which is the program's from then on", function()
    local a, b = casting.net.pair()
    local p = process.spawn {"sh", "-c", "read x; echo got $x", stdin = b,
      stdout = b}
    a:write "it\n"
    assert.equal("got it\n", a:read("a", LONG))
    assert.same({nil, "closed"}, {b:read()})
    assert.same(pack("exit", 0), pack(p:wait(LONG)))
    -- A pipeline.
    local first = process.spawn {"echo", "a b", stdout = "pipe"}
    local second = process.spawn {"tr", "ab", "xy", stdin = first.stdout,
      stdout = "pipe"}
    assert.equal("x y\n", second.stdout:read("a", LONG))
    assert.same(pack("exit", 0), pack(first:wait(LONG)))
    assert.same(pack("exit", 0), pack(second:wait(LONG)))
    if helper.forks() then return end -- as FORKS says
    -- It stays ours if the program does not start.
    a, b = casting.net.pair()
    assert.is_nil(process.spawn {"no-such-program", stdin = b})
    a:write "still"
    assert.equal("still", b:read(5, LONG))
    assert.same({nil, "timeout"}, {b:read(1, 0)})
  end)

  it("refuses streams that are in use", function()
    local a, b = casting.net.pair()
    local reader = casting.spawn(b.read, b)
    helper.until_waiting(reader)
    helper.misuse(function() process.spawn {"true", stdin = b} end,
      "a task waits for this stream")
    reader:cancel()
    reader:join()
    a:write "abc"
    assert.equal("a", b:read(1))
    helper.misuse(function() process.spawn {"true", stdin = b} end,
      "something was read already")
    b:close()
    helper.misuse(function() process.spawn {"true", stdin = b} end,
      "this stream is closed")
  end)

  it("leaves signals as a program expects them", function()
    if helper.emulated() then pending(helper.EMULATED) end
    local p = process.spawn {"sh", "-c",
      "grep -E '^Sig(Blk|Ign)' /proc/self/status", stdout = "pipe"}
    local text = p.stdout:read("a", LONG)
    for word in text:gmatch "%s(%x+)" do
      -- But for those that the C library keeps for itself, 32 and 33.
      assert.matches("^0*$", (word:gsub("180000000$", "000000000")))
    end
  end)

  it("kills the group of one that leads it", function()
    local p = process.spawn {"sh", "-c", "sleep 1000 & echo $!; wait",
      group = true, stdout = "pipe"}
    local pid = tonumber(p.stdout:read("l", LONG))
    assert.is_true(exists(pid))
    assert.is_true(p:kill "TERM")
    assert.same(pack("signal", 15), pack(p:wait(LONG)))
    assert.equal("", p.stdout:read("a", LONG)) -- the other one has it, too
  end)

  it("leaves no zombie, whether somebody waits or not", function()
    for _ = 1, 20 do process.spawn {"true"} end
    local left = {}
    for i = 1, 20 do left[i] = process.spawn {"true", group = true} end
    for i = 1, 20 do left[i]:wait(LONG) end
    helper.until_true(function() return zombies() == 0 end, "no zombies")
    process.spawn {"true", group = true}
    helper.until_true(function()
      collectgarbage()
      return zombies() == 0
    end, "no zombies")
  end)

  it("is the same in another session, without its streams", function()
    local p = sleeper {stdin = "pipe"}
    local session = casting.session()
    local task = session:spawn(function(p)
      assert(p.stdin == nil)
      return p:wait()
    end, p)
    helper.until_true(function() return #casting.report() > 0 end)
    p:kill()
    assert.same(pack("signal", 15), pack(task:await(LONG)))
    assert.same(pack("signal", 15), pack(p:wait(LONG)))
    assert.is_true(session:close(LONG))
  end)

  it("is waited for by many, and in a select", function()
    local p, tasks = sleeper(), {}
    for i = 1, 10 do tasks[i] = casting.spawn(p.wait, p) end
    local chosen = casting.spawn(function()
      return casting.select {p, casting.channel()}
    end)
    assert.same(pack(nil, "timeout"),
      pack(casting.select {p, timeout = 0.001}))
    helper.until_waiting(chosen)
    p:kill()
    for i = 1, 10 do
      assert.same(pack("signal", 15), pack(tasks[i]:await(LONG)))
    end
    assert.equal(1, chosen:await(LONG))
    assert.equal(1, (casting.select {p}))
  end)

  it("is named in reports", function()
    local p = sleeper()
    local task = casting.spawn(p.wait, p)
    helper.until_waiting(task)
    assert.matches("waiting for process %d+ %(sleep%)", casting.report())
    local chosen = casting.spawn(casting.select, {p, casting.channel()})
    helper.until_waiting(chosen)
    assert.matches("waiting in select, for process %d+ %(sleep%), to",
      casting.report())
    p:kill()
    assert.equal("signal", (task:await(LONG)))
    chosen:join(LONG)
  end)

  it("a wait that is cancelled leaves the process alone", function()
    local p = sleeper()
    local task = casting.spawn(p.wait, p)
    helper.until_waiting(task)
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.same(pack(nil, "timeout"), pack(p:wait(0)))
    p:kill "KILL"
    assert.same(pack("signal", 9), pack(p:wait(LONG)))
  end)

  it("says what is wrong with its arguments", function()
    local function bad(t, ...)
      helper.misuse(function() process.spawn(t) end, "'spawn'", ...)
    end
    bad(nil, "table expected")
    bad({}, "must begin with the name of a program")
    bad({""}, "must begin with the name of a program")
    bad({{}}, "the program must be a string")
    bad({"true", {}}, "argument 1 must be a string")
    bad({"true", "a\0b"}, "argument 1 has a zero byte")
    bad({"true", cwd = 1}, "cwd must be a string")
    bad({"true", env = "x"}, "env must be a table")
    bad({"true", env = {["a=b"] = "x"}}, "a name in env")
    bad({"true", env = {a = {}}}, "env.a must be a string")
    bad({"true", stdin = "file"}, "stdin must be", "file")
    bad({"true", stdout = -1}, "stdout must be")
    bad({"true", stdout = "stdout"}, "stdout must be")
    bad({"true", group = 1}, "group must be a boolean")
    bad({"true", shell = true}, "unknown option 'shell'")
    local p = process.spawn {"true"}
    helper.misuse(function() p:kill "NOSUCH" end, "'kill'",
      "the name or number of a signal")
    helper.misuse(function() p:kill(1.5) end, "'kill'")
    helper.misuse(function() p:wait "x" end, "'wait'", "number")
    helper.misuse(function() p.wait({}) end, "'wait'", "process")
    p:wait(LONG)
  end)

  it("is not for a sandbox without it", function()
    local p = sleeper()
    local box = casting.session {sandbox = true}
    assert.matches("casting.process is not available in a sandbox",
      select(2, box:spawn(function()
        return require "casting".process
      end):join(LONG)))
    local task = box:spawn(function(p)
      local ok, why = pcall(p.kill, p)
      return ok, why, p:wait(0)
    end, p)
    local ok, why, first, second = task:await(LONG)
    assert.is_false(ok)
    assert.matches("not available in a sandbox", why)
    assert.same(pack(nil, "timeout"), pack(first, second))
    p:kill()
    p:wait(LONG)
    box:close(LONG)
    box = casting.session {sandbox = true, libs = {"casting.process"}}
    assert.same(pack("exit", 0), pack(box:spawn(function()
      return require "casting.process".spawn {"true"}:wait()
    end):await(LONG)))
    assert.is_true(box:close(LONG))
  end)
end)

describe("process.run", function()
  local run = process.run

  for _, place in ipairs(helper.places) do
    it("brings all that a program says, in " .. place[1], function()
      assert.same(pack(5, "out\n", "err\n"), pack(place[2](function()
        return require "casting".process.run {"sh", "-c",
          "cat; echo err >&2; exit 5", input = "out\n"}
      end)))
    end)
  end

  it("takes an input of any size, and brings as much", function()
    local big = ("0123456789"):rep(300000)
    local code, out, err = run {"cat", input = big}
    assert.same({0, ""}, {code, err})
    assert.is_true(out == big)
    code, out = run {"sh", "-c", "cat >&2", input = {"a", {"b", "c"}}}
    assert.same({0, ""}, {code, out})
    -- Which need not be read.
    assert.same({0, "", ""}, {run {"true", input = big}})
  end)

  it("tells of signals by negative codes", function()
    assert.equal(-9, (run {"sh", "-c", "kill -9 $$"}))
  end)

  it("tells why nothing was started", function()
    if helper.forks() then pending(FORKS) end
    assert.same(pack(nil, "no-such-program: no such file or directory"),
      pack(run {"no-such-program"}))
  end)

  it("ends all of the group when its time is over", function()
    local ok, why, out, err = run {"sh", "-c",
      "trap '' TERM; sleep 1000 & echo $!; echo part >&2; wait; wait",
      timeout = 0.1 * helper.slow, grace = 0.05}
    assert.is_nil(ok)
    assert.equal("timeout", why)
    assert.equal("part\n", err)
    helper.until_true(function() return not exists(tonumber(out)) end)
  end)

  it("and when it is cancelled", function()
    local told = casting.channel(1)
    local name = os.tmpname()
    local task = casting.spawn(function()
      return run {"sh", "-c", "sleep 1000 & echo $! >" .. name ..
        "; wait"}
    end)
    local pid
    helper.until_true(function()
      pid = tonumber(helper.slurp(name))
      return pid
    end)
    task:cancel()
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(e))
    helper.until_true(function() return not exists(pid) end)
    os.remove(name)
    told:close()
  end)

  it("stops a program that says too much", function()
    local ok, why, out = run {"sh", "-c", "while :; do echo y; done",
      max = 1000}
    assert.is_nil(ok)
    assert.equal("too long", why)
    assert.matches("^y\ny\n", out)
    assert.same({0, "12345", ""}, {run {"printf", "12345", max = 5}})
  end)

  it("also on the other output", function()
    local ok, why, out, err = run {"sh", "-c",
      "while :; do echo y >&2; done", max = 1000}
    assert.same({nil, "too long", ""}, {ok, why, out})
    assert.matches("^y\ny\n", err)
  end)

  it("keeps what had ended before its time was over", function()
    assert.same(pack(nil, "timeout", "result\n", ""), pack(run {"sh", "-c",
      "echo result; exec >&- 2>&-; exec sleep 1000", timeout = 0.2}))
    assert.same(pack(nil, "timeout", "", "problem\n"), pack(run {"sh", "-c",
      "echo problem >&2; exec 2>&-; exec sleep 1000", timeout = 0.2}))
  end)

  it("does not wait for who has its input and was left behind", function()
    assert.same(pack(0, "", ""), pack(run {"sh", "-c",
      "exec 3<&0; (exec sleep 2 <&3 >/dev/null 2>&1) & exit 0",
      input = ("x"):rep(1000000), timeout = LONG}))
  end)

  it("says what is wrong with its input before anything is started", function()
    local function bad(input, what)
      helper.misuse(function() run {"no-such-program", input = input} end,
        "'run'", what)
    end
    bad({false}, "input[1] must be a string or a list of strings, got a bool")
    bad({"a", {"b", {}, {casting}}}, "input[2][3][1]")
    bad({"a", [5] = "c"}, "without holes")
    bad({"a", b = "c"}, "without holes or other keys")
    local deep = {}
    deep[1] = deep
    bad(deep, "too deep")
    assert.same(pack(0, "a12b", ""), pack(run {"cat", input = {"a", {1, {2}},
      "b"}}))
  end)

  it("gives what the program has started its grace, too", function()
    local path = os.tmpname()
    assert.same(pack(nil, "timeout", "", ""), pack(run {"sh", "-c",
      ("sh -c 'trap \"echo clean >%s; exit\" TERM; sleep 30 & wait'; true")
        :format(path), timeout = 0.2 * helper.slow, grace = LONG}))
    assert.equal("clean\n", helper.slurp(path))
    os.remove(path)
  end)

  it("many at once", function()
    local tasks = {}
    for i = 1, 50 do
      tasks[i] = casting.spawn(run, {"sh", "-c", "echo " .. i})
    end
    for i = 1, 50 do
      assert.same(pack(0, i .. "\n", ""), pack(tasks[i]:await(LONG)))
    end
  end)

  it("says what is wrong with its arguments", function()
    local function bad(t, ...)
      helper.misuse(function() run(t) end, "'run'", ...)
    end
    bad({}, "must begin with the name of a program")
    bad({"true", input = 1}, "input must be")
    bad({"true", timeout = "1"}, "timeout must be")
    bad({"true", max = 0}, "max must be")
    bad({"true", stdout = "pipe"}, "unknown option 'stdout'")
    bad({"true", stdin = "null"}, "unknown option 'stdin'")
    bad({"true", [3] = "x"}, "holes")
  end)
end)

-- What seldom happens, in a program of its own. `command`: how the interpreter
-- is started, "%s".
local function output(script, command)
  local path = helper.spit(os.tmpname(),
    "local casting = require 'casting' local process = casting.process " ..
    script)
  -- A traced program cannot look for leaks.
  helper.environment = 'ASAN_OPTIONS="$ASAN_OPTIONS detect_leaks=0"'
  local pipe = io.popen(command:gsub("%%s", function()
    return helper.command() .. " " .. path
  end) .. " 2>&1")
  helper.environment = nil
  local out = pipe:read "*a"
  pipe:close()
  os.remove(path)
  return out
end

local function can_trace()
  local is = os.execute "strace -o /dev/null true >/dev/null 2>&1"
  return (is == true or is == 0) and not helper.tsan()
end

describe("a process", function()
  it("is waited for where the system has no descriptors for it", function()
    if not can_trace() then return pending "strace cannot be used here" end
    assert.equal("0 hello\n nil timeout signal 9 exit 3 50\n", output([[
      local code, out = process.run {"echo", "hello"}
      local p = process.spawn {"sleep", "1000", stdout = "null"}
      local tasks, sum = {}, 0
      for i = 1, 50 do
        tasks[i] = casting.spawn(process.run, {"sh", "-c", "exit 1"})
      end
      local none, why = p:wait(0)
      for i = 1, 50 do
        local code, why = tasks[i]:await()
        -- Where limits are small, so many threads do not wait at once.
        assert(code or why:find "temporarily unavailable", why)
        sum = sum + (code or 1)
      end
      p:kill "KILL"
      local how, signal = p:wait()
      local q = process.spawn {"sh", "-c", "exit 3"}
      local exit, three = q:wait()
      print(table.concat({code, out, tostring(none), why, how, signal, exit,
        three, sum}, " "))
    ]], "strace -f -qq -o /dev/null -e trace=pidfd_open " ..
      "-e inject=pidfd_open:error=ENOSYS %s"))
  end)

  it("is not begun where no descriptor is left", function()
    local list = os.tmpname()
    local out = output(([[
      local all, why = {}
      repeat
        local p
        p, why = process.spawn {"sh", "-c", "echo x >>%s", stdout = "pipe"}
        all[#all + 1] = p
      until not p
      for _, p in ipairs(all) do
        p.stdout:read "a"
        p:wait()
      end
      print(#all > 3, #all, why)
    ]]):format(list), "ulimit -n 40; %s")
    local began = select(2, helper.slurp(list):gsub("x", ""))
    os.remove(list)
    assert.equal("true\t" .. began .. "\tsh: too many open files\n",
      out:lower())
  end)

  it("is reaped while others are started, though nobody waits", function()
    assert.equal("200\n", output([[
      local n = 0
      for _ = 1, 200 do
        assert(process.spawn {"true"})
        n = n + 1
      end
      print(n)
    ]], "ulimit -n 60; %s"))
  end)

  it("of run ends with the main program, however long its grace is", function()
    local path = os.tmpname()
    assert.equal("", output(([[
      casting.spawn(process.run, {"sh", "-c",
        "trap '' TERM; echo $$ >%s; while :; do sleep 30; done", grace = 30})
      local file
      repeat
        casting.sleep(0.001)
        file = assert(io.open(%q))
        local pid = file:read "*n"
        file:close()
      until pid
    ]]):format(path, path), "%s"))
    local pid = tonumber(helper.slurp(path):match "%d+")
    os.remove(path)
    helper.until_true(function() return not exists(pid) end, "its end")
  end)

  it("tells nothing of its end where SIGCHLD is ignored", function()
    local has = os.execute "perl -e 1 2>/dev/null"
    if has ~= true and has ~= 0 then return pending "there is no perl" end
    local text = output([[
      local status = assert(io.open "/proc/self/status"):read "*a"
      local mask = status:match "SigIgn:%s*(%x+)"
      if tonumber(mask:sub(-5, -5), 16) % 2 == 0 then return print "caught" end
      local code, why, out = process.run {"echo", "said"}
      io.write(tostring(process.spawn {"true"} ~= nil), " ", tostring(code),
        " ", why, " ", out)
    ]], [[perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV' %s]])
    if text == "caught\n" then
      return pending "a shell starts the interpreter, which catches SIGCHLD"
    end
    assert.equal("true nil other code has taken how this process ended said\n",
      text)
  end)
end)

describe("process.signals", function()
  -- Runs Lua source text in a program of its own, where kill(name) sends a
  -- signal to that program.
  local function check(source, expected)
    local result = helper.run([[
      local casting = require "casting"
      local process = casting.process
      local stat = io.open "/proc/self/stat"
      local pid = stat:read "*n"
      stat:close()
      local function kill(name)
        os.execute(("kill -%s %d"):format(name, pid))
      end
    ]] .. source)
    assert.same({expected, "", 0}, {result.out, result.err, result.status})
  end

  it("is a channel of names", function()
    check([[
      local ch = process.signals("TERM", "SIGUSR1", "TERM")
      kill "USR1"
      print(ch:receive(100))
      kill "TERM"
      print(ch:receive(100))
      print(ch:receive(0))
      print(#ch)
    ]], "USR1\nTERM\nnil\ttimeout\n0\n")
  end)

  it("has each name once until it is received", function()
    check([[
      local ch = process.signals("TERM", "USR1")
      for i = 1, 10 do kill "TERM" end
      kill "USR1"
      repeat casting.sleep(0.001) until #ch == 2
      kill "TERM"
      casting.sleep(0.01)
      print(ch:receive(), ch:receive(), ch:receive(0))
      kill "TERM"
      print(ch:receive())
    ]], "TERM\tUSR1\tnil\ttimeout\nTERM\n")
  end)

  it("tells all channels, in all sessions", function()
    check([[
      local one, two = process.signals "USR1", process.signals("USR1", "HUP")
      local session = casting.session()
      local task = session:spawn(function(ch) return ch:receive() end, two)
      repeat casting.sleep(0.001) until task:status() == "waiting"
      kill "USR1"
      print(one:receive(), task:await())
      print(session:spawn(function()
        local ch = require "casting".process.signals "USR2"
        return #ch
      end):await())
    ]], "USR1\tUSR1\n0\n")
  end)

  it("gives the action from before back when the last one is closed",
    function()
    if helper.emulated() then pending(helper.EMULATED) end
    check([[
      local one, two = process.signals "TERM", process.signals "TERM"
      one:close()
      kill "TERM"
      print(two:receive())
      print(one:receive())
      two:close()
      local _, text = process.run {"grep", "SigCgt", "/proc/" .. pid ..
        "/status"}
      local bits = tonumber(text:match "%x+$" or text:match "(%x+)\n", 16)
      print(math.floor(bits / 2 ^ 14) % 2) -- SIGTERM is 15
    ]], "TERM\nnil\tclosed\n0\n")
  end)

  it("and when it is collected", function()
    if helper.emulated() then pending(helper.EMULATED) end
    check([[
      local function caught()
        local _, text = process.run {"grep", "SigCgt", "/proc/" .. pid ..
          "/status"}
        local bits = tonumber(text:match "(%x+)\n", 16)
        return math.floor(bits / 2 ^ 14) % 2 == 1
      end
      do process.signals "TERM" end
      repeat collectgarbage() until not caught()
      print "not caught"
    ]], "not caught\n")
  end)

  it("waits without being a deadlock, and is named in reports", function()
    check([[
      local task = casting.spawn(function()
        return process.signals("USR1", "TERM"):receive()
      end)
      casting.yield()
      print(casting.report():match "waiting to [^\n]*signals [%u%d, ]*%u%d?")
      casting.spawn(function() casting.sleep(0.05) kill "USR1" end)
      print(task:await())
    ]], "waiting to receive from signals USR1, TERM\nUSR1\n")
  end)

  it("leaves no handler behind that os.execute puts back", function()
    local begun, go = os.tmpname(), os.tmpname()
    os.remove(begun)
    os.remove(go)
    assert.equal("false true\n", output(([[
      local ch = process.signals "INT"
      local s = casting.session()
      local task = s:spawn(function(ch, begun, go)
        local casting = require "casting"
        repeat
          casting.sleep(0.001)
          local file = io.open(begun)
        until file
        ch:close()
        io.open(go, "w"):close()
      end, ch, %q, %q)
      os.execute "touch %s; until test -e %s; do sleep 0.01; done"
      task:await()
      local ok, e = pcall(function()
        process.spawn {"sh", "-c", "kill -INT $PPID"}
        casting.sleep(60)
      end)
      print(tostring(ok) .. " " .. tostring(e:find "interrupted" ~= nil))
    ]]):format(begun, go, begun, go), "%s"))
    os.remove(begun)
    os.remove(go)
  end)

  it("says what is wrong with its arguments", function()
    local function bad(...)
      local args = pack(...)
      helper.misuse(function()
        process.signals(helper.unpack(args, 1, args.n))
      end, "signals'", args.n == 2 and "#2" or "#1")
    end
    bad()
    bad(1)
    bad "NOSUCH"
    bad "term"
    bad "KILL"
    bad "SEGV"
    bad("TERM", "STOP")
  end)
end)
