-- stdio_spec.lua - casting.stdin, casting.stdout and casting.stderr.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

if not helper.has_children() then
  describe("casting.stdin", function()
    pending "no other program can be started here"
  end)
  return
end

local prelude = ([[
  local casting = require "casting"
  local LONG = %d
  local function is_blocking(fd)
    local file = io.open("/proc/self/fdinfo/" .. fd)
    local flags = tonumber(file:read "*a":match "flags:%%s*(%%d+)", 8)
    file:close()
    return math.floor(flags / 2048) %% 2 == 0
  end
  -- Tells a shell that waits in `read <FIFO`.
  local function tell(path)
    local file = io.open(path, "w")
    file:write "go\n"
    file:close()
  end
  local function put(...)
    local all = {}
    for i = 1, select("#", ...) do all[i] = tostring((select(i, ...))) end
    assert(casting.stdout:write(table.concat(all, "\t") .. "\n"))
  end
]]):format(LONG)

-- What a program of its own writes; `how`, commands of the shell, stands around
-- its own: %s. $FIFO and $FILE there are arg[1] and arg[2] here.
local function program(source, how)
  local base = os.tmpname()
  local script, run = base .. ".lua", base .. ".run"
  local fifo, file = base .. ".fifo", base .. ".file"
  helper.spit(script, prelude .. source)
  helper.spit(run, ("exec %s %s %s %s\n"):format(helper.command(), script, fifo,
    file))
  helper.spit(base, ("mkfifo %s\nexport FIFO=%s FILE=%s\n%s\n"):format(fifo,
    fifo, file, (how:gsub("%%s", "sh " .. run))))
  local pipe = io.popen(("timeout %d sh %s 2>&1"):format(LONG / 2, base))
  local text = pipe:read "*a"
  pipe:close()
  for _, name in ipairs {base, script, run, fifo, file} do os.remove(name) end
  return text
end

describe("casting.stdin and casting.stdout", function()
  it("are streams, one for each session", function()
    assert.equal("stream: stdin\tstream: stdout\tstream: stderr\n" ..
      "true\tfalse\tfalse\nin a session\nx\ny\n", program([[
        put(casting.stdin, casting.stdout, casting.stderr)
        put(casting.stdin == casting.stdin, casting.stdin == casting.stdout,
          casting.stdout:fd() < 3)
        local session = casting.session()
        session:spawn(function()
          local casting = require "casting"
          casting.stdout:write "in a session\n"
        end):await(LONG)
        put((casting.stdin:read "l"))
        put((casting.stdin:read "l"))
      ]], "printf 'x\\ny\\n' | %s | cat"))
  end)

  it("leave the open files of pipes as they are", function()
    assert.equal("true\ttrue\nio\nline\tnil\tclosed\trest\nnil\tclosed\n" ..
      "true\ttrue\n", program([[
        assert(casting.stdin and casting.stdout)
        put(is_blocking(0), is_blocking(1))
        io.write "io\n"
        io.flush()
        put(casting.stdin:read "l", casting.stdin:read "l")
        put(casting.stdin:read())
        put(is_blocking(0), is_blocking(1))
      ]], "printf 'line\\nrest' | %s | cat"))
  end)

  it("wait for a pipe while others run, and that is no deadlock", function()
    for _, place in ipairs {"casting.spawn", "casting.session():spawn"} do
      assert.equal("told\n", program([[
        local reader = ]] .. place .. [[(function()
          return (require "casting".stdin:read "l")
        end)
        casting.spawn(function() casting.yield() tell(arg[1]) end)
        put(reader:await(LONG))
      ]], "{ read x <$FIFO; echo told; sleep 0.05; } | %s | cat"))
    end
    assert.equal("main\n", program([[put((casting.stdin:read "l"))]],
      "{ sleep 0.05; echo main; } | %s"))
  end)

  it("find the end of a pipe whose writer has gone before", function()
    assert.equal("1\tlast\tnil\tclosed\t1\n", program([[
      local i = casting.select {casting.stdin, timeout = LONG}
      local text, none, why = casting.stdin:read "l", casting.stdin:read "l"
      put(i, text, none, why, (casting.select {casting.stdin, timeout = LONG}))
    ]], "echo last | { sleep 0.1; %s; }"))
    assert.equal("1\tnil\tclosed\n", program([[
      local i = casting.select {casting.stdin, timeout = LONG}
      put(i, casting.stdin:read "l")
    ]], ": | { sleep 0.1; %s; }"))
    -- Of a FIFO that is opened after its writer has gone no event tells.
    assert.equal("1\tlast\tnil\tclosed\t1\n", program([[
      local text, none, why = casting.stdin:read "l"
      local i = casting.select {casting.stdin, timeout = LONG}
      none, why = casting.stdin:read "l"
      put(i, text, none, why, (casting.select {casting.stdin, timeout = LONG}))
    ]], "echo last >$FIFO & exec 3<$FIFO; wait; %s <&3"))
  end)

  it("are told when the reader has gone", function()
    assert.equal("nil\tclosed\n", program([[
      local file = io.open(arg[1]) -- the reader has gone
      file:close()
      local ok, why = casting.stdout:write "x"
      casting.stderr:write(tostring(ok) .. "\t" .. why .. "\n")
    ]], "{ %s; } | { exec <&-; echo >$FIFO; }"))
  end)

  it("are closed where nothing is open", function()
    assert.equal("stream (closed)\tnil\tclosed\tfalse\n", program([[
      local s = casting.stdin
      local text, why = s:read "l"
      put(s, text, why, s:close())
    ]], "%s <&-"))
    assert.equal("nil\tclosed\t0\n", program([[
      local ok, why, n = casting.stdout:write "x"
      casting.stderr:write(tostring(ok) .. "\t" .. why .. "\t" .. n .. "\n")
    ]], "%s >&-"))
  end)

  it("close what is theirs", function()
    assert.equal("true\tnil\tclosed\nof io\ntrue\nafter\n", program([[
      local s = casting.stdin
      put(s:close(), s:read "l")
      print(io.read())
      io.flush()
      local was = casting.stdout:close()
      print(was)
      print "after"
    ]], "echo of io | %s | cat"))
  end)

  it("may be sockets", function()
    local a, b = casting.net.pair()
    local script = helper.spit(os.tmpname(), prelude .. [[
      put(is_blocking(0), (casting.stdin:read "l"))
      put(("x"):rep(1000000))
      put(casting.stdin:read "l")
    ]])
    local p = assert(casting.process.spawn {"sh", "-c",
      "exec " .. helper.command() .. " " .. script, stdin = b, stdout = b})
    a:write "to a socket\n"
    assert.equal("true\tto a socket", a:read("l", LONG))
    assert.equal(("x"):rep(1000000), a:read("l", LONG))
    a:shutdown()
    assert.equal("nil\tclosed", a:read("l", LONG))
    assert.equal("exit", (p:wait(LONG)))
    os.remove(script)
  end)

  it("go on after a write that was cancelled", function()
    local text = program([[
      local writer = casting.spawn(function()
        return casting.stdout:write(("x"):rep(1000000))
      end)
      casting.yield()
      writer:cancel()
      assert(not writer:join(LONG))
      tell(arg[1])
      put "\nand on"
    ]], "%s | { read x <$FIFO; cat; }")
    assert.matches("^x+\nand on\n$", text)
    assert.is_true(#text < 1000000)
  end)

  it("are named in reports", function()
    local text = program([[
      casting.spawn(function() casting.stdin:read() end)
      casting.spawn(function() casting.stdout:write(("x"):rep(1000000)) end)
      casting.spawn(function() casting.select {casting.stdin} end)
      casting.yield()
      io.stderr:write(casting.report())
      tell(arg[1])
      os.exit(true)
    ]], "{ read x <$FIFO; } | %s | cat >/dev/null")
    assert.matches("reading from stdin", text)
    assert.matches("to read from stdin", text)
    text = program([[
      local task = casting.spawn(function()
        casting.stdout:write(("x"):rep(1000000))
      end)
      casting.yield()
      io.stderr:write(casting.report())
      tell(arg[1])
      task:await(LONG)
    ]], "%s | { read x <$FIFO; wc -c; }")
    assert.matches("writing to stdout", text)
    assert.matches("1000000", text)
  end)

  it("move as streams do, and the field stays what it was", function()
    assert.equal("line\tfalse\ttrue\n", program([[
      local ch = casting.channel(1)
      local task = casting.session():spawn(function(ch)
        return (ch:receive():read "l")
      end, ch)
      local stdin = casting.stdin
      ch:send(stdin)
      local line = task:await(LONG)
      local ok, why = pcall(function() return casting.stdin:read "l" end)
      put(line, ok, why:find("has moved", 1, true) ~= nil)
    ]], "echo line | %s"))
  end)

  it("are not to be had in a sandbox", function()
    local session = casting.session {sandbox = true}
    for _, name in ipairs {"stdin", "stdout", "stderr"} do
      local task = session:spawn("return require 'casting'." .. name)
      local ok, why = task:join(LONG)
      assert.is_false(ok)
      assert.matches("casting%." .. name .. " is not available in a sandbox",
        tostring(why))
    end
    session:close()
  end)
end)

-- Where reads are at once (a disk's cache), and where helpers make them.
local places = {{"on a disk", os.tmpname()}}
do
  local probe = io.open("/dev/shm/casting-probe", "w")
  if probe then
    probe:close()
    os.remove "/dev/shm/casting-probe"
    places[2] = {"in memory", "/dev/shm/casting-stdio-spec"}
  end
end

describe("standard streams that are files", function()
  for _, place in ipairs(places) do
    local name = place[2]
    local function with(text, source, how)
      helper.spit(name, text)
      local out = program(source, (how:gsub("FILE", name)))
      os.remove(name)
      return out
    end

    it("are read, to the end, " .. place[1], function()
      local text = ("0123456789\n"):rep(30000) .. "rest"
      assert.equal("30000\trest\tnil\tclosed\n", with(text, [[
        local n, last = 0
        for line in casting.stdin:lines() do
          if line == "0123456789" then n = n + 1 else last = line end
        end
        put(n, last, casting.stdin:read())
      ]], "%s <FILE | cat"))
      assert.equal(#text .. "\n", with(text, [[
        put(#casting.stdin:read "a")
      ]], "%s <FILE"))
      assert.equal(#text .. "\n", with(text, [[
        casting.stdin:copy(casting.stdout)
      ]], "%s <FILE | wc -c"))
    end)

    it("share their place with others, " .. place[1], function()
      local size = 300000
      local text = with(("x"):rep(size), [[
        assert(#casting.stdin:read(100000) == 100000)
        casting.stderr:write(casting.stdin:stats().read .. " ")
      ]], "{ %s; wc -c; } <FILE")
      local ours, rest = text:match "^(%d+) (%d+)%s*$"
      assert.equal(size, tonumber(ours) + tonumber(rest))
      assert.is_true(tonumber(rest) > 0)
    end)

    it("lose nothing when a reader leaves, " .. place[1], function()
      assert.equal("200000\ttrue\n", with(("x"):rep(200000), [[
        local n, left = 0, 0
        for i = 1, 20 do
          local task = casting.spawn(function()
            return casting.stdin:read(1000)
          end)
          if i % 2 == 0 then casting.yield() end
          task:cancel()
          local ok, text = task:join(LONG)
          if ok then n = n + #text else left = left + 1 end
        end
        repeat
          local text = casting.stdin:read(nil, 0)
          n = n + #(text or "")
        until text
        put(n + #casting.stdin:read "a", left > 0)
      ]], "%s <FILE | cat"))
    end)

    it("are written, behind what io has written, " .. place[1], function()
      local all = "before\nfirst\nsecond\nlate\nend\nlast\n"
      assert.equal(all, with("before\n", [[
        print "first"
        io.flush()
        put "second"
        assert(casting.stdout:write("late\n", 0))
        assert(casting.stdout:write({"e", {"nd"}, "\n"}))
        print "last"
      ]], "%s >>FILE; cat FILE"))
    end)

    it("take whole writes of many sessions, " .. place[1], function()
      assert.equal("4000\n", with("", [[
        local tasks = {}
        for i = 1, 4 do
          tasks[i] = casting.session():spawn(function(i)
            local out = require "casting".stdout
            local line = ("%d"):format(i):rep(100 * i) .. "\n"
            for _ = 1, 1000 do assert(out:write(line)) end
          end, i)
        end
        for _, task in ipairs(tasks) do task:await(LONG) end
      ]], "%s >>FILE; grep -c -e '^1\\{100\\}$' -e '^2\\{200\\}$'" ..
        " -e '^3\\{300\\}$' -e '^4\\{400\\}$' FILE"))
    end)
  end

  it("keep lists of many strings together in a pipe", function()
    assert.equal("2000\n", program([[
      local tasks = {}
      for i = 1, 2 do
        tasks[i] = casting.session():spawn(function(i)
          local out, list = require "casting".stdout, {}
          for k = 1, 200 do list[k] = i end
          list[201] = "\n"
          for _ = 1, 1000 do assert(out:write(list)) end
        end, i)
      end
      for _, task in ipairs(tasks) do task:await(LONG) end
    ]], "%s | grep -c -e '^1\\{200\\}$' -e '^2\\{200\\}$'"))
  end)

  it("copy from one to the other", function()
    helper.spit(places[1][2], ("y"):rep(3000000))
    assert.equal("3000000\n3000000\n", program([[
      local n = casting.stdin:copy(casting.stdout)
      casting.stderr:write(("%d\n"):format(n))
    ]], "%s <" .. places[1][2] .. " >$FILE; wc -c <$FILE"))
    os.remove(places[1][2])
  end)

  it("tell what the system says", function()
    assert.equal("nil\tis a directory\n", program([[
      put(casting.stdin:read "l")
    ]], "%s </"))
    if io.open("/dev/full") then
      assert.equal("nil\tno space left on device\n", program([[
        local ok, why = casting.stdout:write "x"
        casting.stderr:write(tostring(ok) .. "\t" .. why .. "\n")
      ]], "%s >/dev/full"))
    end
    assert.equal("nil\tbad file descriptor\n", program([[
      put(casting.stdin:read "l")
    ]], "%s 0>$FILE"))
  end)

  it("may be devices", function()
    assert.equal("nil\tclosed\ttrue\n", program([[
      local text, why = casting.stdin:read "l"
      casting.stderr:write(tostring(text) .. "\t" .. why .. "\t" ..
        tostring(casting.stdout:write(("x"):rep(100000))) .. "\n")
    ]], "%s </dev/null >/dev/null"))
  end)
end)

-- Programs in a terminal of their own.
describe("standard streams that are terminals", function()
  local has = io.popen "script -qec 'echo yes' /dev/null </dev/null 2>&1"
  local text = has:read "*a"
  has:close()
  if not text:match "yes" or helper.tsan() then
    return it("are read", function()
      pending "there is no program `script` to make a terminal"
    end)
  end

  -- The output, without what the terminal adds; it is typed `keys`.
  local function terminal(source, how, keys)
    local command = (how or "%s"):gsub("'", "'\\''")
    return (program(source, ("printf '%s' | script -qec '%s' /dev/null")
      :format(keys or "", command)):gsub("\r", ""))
  end

  it("are read line by line, until ^D", function()
    for _, place in ipairs {"casting.spawn", "casting.session():spawn"} do
      assert.matches("one, nil closed\ntrue true\n$", terminal([[
        local a, b, c = ]] .. place .. [[(function()
          local s = require "casting".stdin
          local line = s:read "l"
          return line, s:read "l"
        end):await(LONG)
        put(("%s, %s %s\n%s %s"):format(a, tostring(b), c,
          tostring(is_blocking(0)), tostring(is_blocking(1))))
      ]], nil, "one\\n\\004"))
    end
  end)

  -- /proc tells of the stop before the shell knows of it; until it does, its
  -- `fg` takes the program for one that runs, and does not continue it.
  it("stop a program in the background, which then goes on", function()
    for _, place in ipairs {"casting.spawn", "casting.session():spawn"} do
      assert.matches("stopped\n.*got typed\n$", terminal([[
        local line = ]] .. place .. [[(function()
          return (require "casting".stdin:read "l")
        end):await(LONG)
        put("got " .. line)
      ]], [[set -m; %s &
        until jobs >$FILE.jobs; grep -q Stopped $FILE.jobs; do sleep 0.02; done
        rm $FILE.jobs; echo stopped; fg >/dev/null]], "typed\\n"))
    end
  end)

  it("tell of an error if nobody could stop it", function()
    assert.matches("nil\tinput/output error\n", terminal([[
      put(casting.stdin:read "l")
    ]], [[set -m; trap "" TTIN; %s & wait]]))
    assert.matches("TTIN\tnil\tinterrupted system call\n", terminal([[
      local ch = casting.process.signals "TTIN"
      local text, why = casting.stdin:read "l"
      put(ch:receive(LONG), text, why)
    ]], [[set -m; %s & wait]]))
  end)

  it("end when the terminal goes away", function()
    assert.equal("reading\nnil\tclosed\tnil\tinput/output error\n", program([[
      local out = io.open(arg[2], "w")
      local task = casting.spawn(function() return casting.stdin:read "l" end)
      casting.yield()
      out:write "reading\n"
      out:flush()
      local ok, text, why = task:join(LONG)
      local written, reason = casting.stdout:write "x"
      out:write(table.concat({tostring(text), tostring(why),
        tostring(written), tostring(reason)}, "\t"), "\n")
      out:close()
    ]], [[exec 3<>$FIFO; : >$FILE
      script -qec 'trap "" HUP; %s' /dev/null <&3 >/dev/null & p=$!
      until grep -q reading $FILE; do sleep 0.02; done
      kill -KILL $p
      until grep -q error $FILE; do sleep 0.02; done
      cat $FILE]]))
  end)
end)
