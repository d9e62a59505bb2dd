-- program_spec.lua - programs that sessions start: os.execute and io.popen.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

if not helper.has_children() then
  describe("programs", function()
    pending "no other program can be started here"
  end)
  return
end

-- The results of f in the main program and in a session, which are to be equal:
-- returns them. Files, which differ, are told by their type.
local function both(f, ...)
  local s = casting.session()
  local function told(...)
    local list = {n = select("#", ...), ...}
    for i = 1, list.n do
      list[i] = io.type(list[i]) or list[i]
    end
    return list
  end
  local here = told(f(...))
  local there = told(s:spawn(f, ...):await(LONG))
  s:close()
  assert.same(here, there)
  return there
end

describe("os.execute in a session", function()
  it("has the results of the main program's", function()
    for _, command in ipairs {
      "true", "false", "exit 3", "exit 255", "kill -s KILL $$", "nowhere-to-be",
      "", " ", ":", "echo 'a b' \"c\" >/dev/null", "exit 127",
    } do
      both(os.execute, command .. " 2>/dev/null")
    end
    both(os.execute)
    both(os.execute, nil)
  end)

  it("has its errors", function()
    both(pcall, os.execute, {})
    both(pcall, os.execute, true)
  end)

  it("lets signals reach the programs", function()
    for _, signal in ipairs {
      "HUP", "INT", "QUIT", "TERM", "PIPE", "ALRM", "USR1", "USR2", "CHLD",
      "CONT", "VTALRM", "XCPU", "IO",
    } do
      both(os.execute, "ulimit -c 0; kill -s " .. signal .. " $$")
    end
  end)

  it("lets a shell wait for a child that was killed", function()
    local status = both(os.execute,
      "sleep 1000 & job=$!; kill $job; wait $job 2>/dev/null; test $? = 143")
    assert.is_true(status[1] == true or status[1] == 0)
  end)

  it("lets a shell's traps run", function()
    both(os.execute, "trap 'exit 5' USR1; kill -s USR1 $$; sleep 10; exit 6")
    both(os.execute, "trap 'exit 7' CHLD; sleep 0.01 & wait; exit 6")
  end)

  it("lets timeout(1) end a program", function()
    local s, began = casting.session(), casting.now()
    s:spawn(os.execute, "timeout 0.2 sleep 1000"):await(LONG)
    assert.is_true(casting.now() - began < LONG / 2)
    s:close()
  end)

  it("works in all places, many at a time", function()
    local tasks = {}
    for i = 1, 4 do
      local s = casting.session()
      for j = 1, 5 do
        tasks[#tasks + 1] = s:spawn(function(n)
          local results
          table.sort({2, 1}, function()
            results = results or {os.execute("exit " .. n)}
          end)
          return results[3] or results[1] / 256
        end, 5 * i + j)
      end
    end
    for i = 1, #tasks do
      assert.equal(i + 5, tasks[i]:await(LONG))
    end
  end)
end)

describe("io.popen in a session", function()
  it("gives a file that can be read", function()
    both(function()
      local file = io.popen "echo one; echo two; echo 3; printf rest"
      local result = {io.type(file), file:read "*l", file:read "*l",
        file:read "*n", file:read(1), file:read "*a", file:read "*l"}
      local line = {file:close()}
      return io.type(file), #result, table.concat(result, ","),
        (table.unpack or unpack)(line)
    end)
  end)

  it("gives a file that can be written", function()
    local path = os.tmpname()
    for _, how in ipairs {"file:close()", "io.close(file)"} do
      both(function(path, closer)
        local file = io.popen("cat >" .. path, "w")
        file:write("written by ", closer, "\n")
        file:flush()
        file:write "more"
        local result
        if closer == "file:close()" then
          result = {file:close()}
        else
          result = {io.close(file)}
        end
        local back = io.open(path)
        local text = back:read "*a"
        back:close()
        return text, (table.unpack or unpack)(result)
      end, path, how)
    end
    os.remove(path)
  end)

  it("gives a file like others", function()
    both(function()
      local pipe, file = io.popen "echo x", io.open "/dev/null"
      local same = getmetatable(pipe) == getmetatable(file)
      local kinds = {io.type(pipe), tostring(pipe):match "^file %(",
        type(pipe), type(pipe.lines), type(pipe.setvbuf)}
      local line = pipe:lines()()
      file:close()
      pipe:close()
      return same, table.concat(kinds, ","), line, io.type(pipe),
        tostring(pipe)
    end)
  end)

  it("has the main program's results of close", function()
    for _, command in ipairs {
      "true", "exit 3", "kill -s TERM $$", "nowhere-to-be", "exit 255",
    } do
      for _, mode in ipairs {"r", "w"} do
        both(function(...)
          return io.popen(...):close()
        end, command .. " 2>/dev/null", mode)
      end
    end
  end)

  it("can be the default input and output", function()
    local path = os.tmpname()
    both(function(path)
      io.input(io.popen "echo line 1; echo line 2")
      local text = io.read "*l" .. io.read "*a"
      io.close(io.input())
      io.input(io.stdin)
      local old = io.output()
      io.output(io.popen("cat >" .. path, "w"))
      io.write "by io.write"
      local result = {io.close()}
      local ok = pcall(io.write, "x")
      io.output(old)
      local back = io.open(path)
      text = text .. back:read "*a"
      back:close()
      return text, ok, (table.unpack or unpack)(result)
    end, path)
    os.remove(path)
  end)

  it("has the main program's errors", function()
    local function message(f, ...)
      local ok, e = pcall(f, ...)
      return ok, type(e) == "string" and e or type(e)
    end
    for _, args in ipairs {
      {}, {{}}, {"true", "x"}, {"true", "rw"}, {"true", ""}, {"true", {}},
      {"true", "r+"}, {true},
    } do
      both(function(message, list)
        return message(io.popen, (table.unpack or unpack)(list))
      end, message, args)
    end
    both(function(message)
      local file = io.popen "true"
      file:close()
      return message(file.close, file), message(file.read, file),
        message(io.close, file)
    end, message)
    both(function(message)
      local file = io.open "/dev/null"
      return message(io.close, {}), message(file.close),
        message(file.close, io.stderr), file:close()
    end, message)
  end)

  it("has a file closed that is collected, and its program awaited", function()
    both(function()
      local path = os.tmpname()
      do
        local file = io.popen("cat >/dev/null; echo ended >" .. path, "w")
        file:write "x"
      end
      collectgarbage()
      collectgarbage()
      local back = io.open(path)
      local text = back:read "*a"
      back:close()
      os.remove(path)
      return text
    end)
  end)

  it("has files closed at the end of the session", function()
    local path = os.tmpname()
    local s = casting.session()
    s:spawn(function(path)
      local file = io.popen("cat >/dev/null; echo ended >" .. path, "w")
      file:write "x"
      rawset(_G, "kept", file)
    end, path):await(LONG)
    assert.is_true(s:close(LONG))
    assert.equal("ended\n", helper.slurp(path))
    os.remove(path)
  end)

  it("is closed though a later program still runs", function()
    local gate = os.tmpname()
    local begun = gate .. ".begun"
    local a, b = casting.session(), casting.session()
    local result, late = a:spawn(function(gate, begun, b)
      local file = io.popen("cat", "w")
      local late = b:spawn(os.execute, "echo >" .. begun ..
        "; while test -e " .. gate .. "; do sleep 0.01; done")
      -- Until it runs: then it could have got the pipe's other end.
      local pipe = io.popen("while ! test -e " .. begun .. "; do :; done")
      pipe:close()
      return file:close(), late
    end, gate, begun, b):await(LONG)
    assert.is_true(result)
    assert.equal("waiting", ({running = "waiting", waiting = "waiting"})
      [late:status()])
    os.remove(begun)
    os.remove(gate)
    late:await(LONG)
    a:close()
    b:close()
  end)

  it("can read what is more than a pipe holds", function()
    both(function()
      local file = io.popen "head -c 300000 /dev/zero"
      local text = file:read "*a"
      file:close()
      return #text
    end)
  end)

  it("crosses by name", function()
    local s = casting.session()
    local popen, execute, close = io.popen, os.execute, io.close
    assert.is_true((s:spawn(function()
      return popen == io.popen and execute == os.execute and
        close == io.close
    end):await(LONG)))
    local back = pack(s:spawn "return io.popen, os.execute, io.close"
      :await(LONG))
    assert.same(pack(io.popen, os.execute, io.close), back)
    s:close()
  end)

  it("is not there without its library", function()
    local s = casting.session {libs = {"string"}}
    assert.same(pack(nil, nil), pack(s:spawn "return io, os":await(LONG)))
    s:close()
    s = casting.session {libs = {"os"}}
    assert.same(pack(nil, "function"),
      pack(s:spawn "return io, type(os.execute)":await(LONG)))
    s:close()
    s = casting.session {libs = {"io"}}
    assert.equal("x", s:spawn "return io.popen 'echo x':read '*l'":await(LONG))
    s:close()
  end)
end)

-- What a program has of signals: "Blk 0000000000000000 Ign 0000000000000000".
-- (Shells may start others without the mask that they have themselves.)
local function signals()
  local pipe = io.popen "exec cat /proc/self/status"
  local text = pipe:read "*a"
  pipe:close()
  return "Blk " .. text:match "SigBlk:%s*(%x+)" ..
    " Ign " .. text:match "SigIgn:%s*(%x+)"
end

describe("the signals of a session's programs", function()
  it("are those of the main program's", function()
    both(signals)
  end)

  if not pcall(require, "processes") then
    pending "can be changed: the module for that is not built here"
    return
  end

  it("follow what the main program blocks and ignores", function()
    helper.output [[
      local P = require "processes"
      local casting = require "casting"
      local function signals()
        local pipe = io.popen "exec cat /proc/self/status"
        local text = pipe:read "*a"
        pipe:close()
        return text:match "SigBlk:%s*%x+%s*SigIgn:%s*%x+"
      end
      local s = casting.session()
      local function check()
        local here, there = signals(), s:spawn(signals):await()
        if here ~= there then error(here .. there) end
        return here
      end
      local first = check()
      for _, number in ipairs {1, 2, 3, 10, 13, 15, 17, 40} do
        P.block(number, true)
        assert(check() ~= first, number)
        P.block(number, false)
        P.ignore(number, true)
        check() -- a shell may change it, for CHLD
        P.ignore(number, false)
        check()
      end
    ]]
  end)

  it("are not those of a program that the main one waits for", function()
    helper.output [[
      local casting = require "casting"
      local gate = os.tmpname()
      local s = casting.session()
      local task = s:spawn(function(gate)
        local function ignored(status)
          local file = io.open(status)
          local mask = file:read "*a":match "SigIgn:%s*(%x+)"
          file:close()
          return tonumber(mask:sub(-1), 16)
        end
        -- SIGINT is 2, the second bit; SIGQUIT the third.
        while ignored "/proc/self/status" < 6 do end
        local file = io.popen "exec cat /proc/self/status"
        local mask = file:read "*a":match "SigIgn:%s*(%x+)"
        file:close()
        os.remove(gate)
        return tonumber(mask:sub(-1), 16) % 8
      end, gate)
      os.execute("while test -e " .. gate .. "; do sleep 0.01; done")
      assert(task:await() < 2)
    ]]
  end)

  it("are a forked child's, too, if nobody has changed them", function()
    if helper.emulated() then pending(helper.EMULATED) end
    assert.equal("exit 0\nexit 0\n", helper.output [[
      local P, casting = require "processes", require "casting"
      io.stdout:setvbuf "no"
      P.block(10, true)
      local mask = P.mask()
      local s = casting.session()
      for _, blocked in ipairs {false, 11} do
        print(table.concat({s:spawn(function(mask, blocked)
          local P = require "processes"
          if blocked then P.block(blocked, true) end
          local mine = P.mask()
          assert(mine ~= mask)
          local pid = P.fork()
          if pid > 0 then return P.wait(pid, 20) end
          P.exit(P.mask() == (blocked and mine or mask) and 0 or 1)
        end, mask, blocked):await()}, " "))
      end
    ]])
  end)
end)

describe("Ctrl-C while a session waits for a program", function()
  for name, call in pairs {
    ["os.execute"] = "os.execute(command)",
    ["io.popen"] = "io.popen(command):close()",
  } do
    it("in " .. name .. " interrupts the main program", function()
      local result = helper.run(([[
        local casting = require "casting"
        local s, ch = casting.session(), casting.channel()
        s:spawn(function(ch)
          local command = "echo ready >&2; sleep 1; echo through >&2"
          ch:send(true)
          %s
          ch:send "not interrupted"
        end, ch)
        ch:receive()
        print "ready"
        io.stdout:flush()
        casting.sleep(0.1) -- the signal may come now, or below
        print(ch:receive())
      ]]):format(call), "ready")
      assert.equal("ready\n", result.out)
      assert.matches("interrupted!", result.err)
      assert.equal(1, result.status)
    end)
  end
end)
