-- host_spec.lua - the main state's tasks: where they run, and what drives them.
-- still: nothing runs between two calls of poll.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

-- The kernel's number of the thread that calls, where it tells.
local function thread()
  local f = io.open "/proc/thread-self/stat"
  if not f then return 0 end
  local line = f:read "*l"
  f:close()
  return tonumber(line:match "^%d+")
end

describe("casting.run", function()
  it("returns what the function returns", function()
    local function same(...) return ... end
    assert.same(pack(1, nil, "x"), pack(casting.run(same, 1, nil, "x")))
    assert.same(pack(), pack(casting.run(function() end)))
  end)

  it("runs it as a task, beside others", function()
    local log = {}
    local other = casting.spawn(function()
      for i = 1, 3 do log[#log + 1] = i casting.yield() end
    end)
    assert.is_true(casting.run(function()
      other:join()
      return casting.self() ~= nil
    end))
    assert.same({1, 2, 3}, log)
  end)

  it("raises its error", function()
    local e = {}
    local ok, got = pcall(casting.run, function() error(e) end)
    assert.is_false(ok)
    assert.equal(e, got)
  end)

  it("works in tasks and sessions", function()
    local s = casting.session()
    assert.equal(3, s:spawn(function()
      local casting = require "casting"
      return casting.run(function(a, b) return a + b end, 1, 2)
    end):await(LONG))
    s:close()
    assert.equal(5, casting.run(casting.run, function() return 5 end))
  end)

  it("without a function waits for all tasks", function()
    local n = 0
    for i = 1, 5 do
      casting.spawn(function() casting.sleep(i / 1000) n = n + 1 end)
    end
    assert.same(pack(), pack(casting.run()))
    assert.equal(5, n)
    helper.misuse(function() casting.run(casting.run) end,
      "run: a task cannot wait for its own session")
  end)

  it("names what is wrong", function()
    helper.misuse(function() casting.run(5) end, "bad argument #1 to 'run'")
  end)
end)

describe("casting.poll", function()
  it("runs what is ready, once", function()
    assert.is_false(casting.poll())
    local n = 0
    local t = casting.spawn(function()
      for _ = 1, 3 do n = n + 1 casting.yield() end
    end)
    assert.is_true(casting.poll())
    assert.equal(1, n)
    assert.is_true(casting.poll(0))
    assert.equal(2, n)
    while t:status() ~= "done" do assert.is_true(casting.poll(LONG)) end
    assert.equal(3, n)
    assert.is_false(casting.poll(0))
  end)

  it("waits for something, at most so long", function()
    assert.is_false(casting.poll(0.002))
    local ch = casting.channel()
    local s = casting.session()
    local got
    local t = casting.spawn(function() got = ch:receive() end)
    casting.poll()
    s:spawn(function(c) c:send("there") end, ch)
    while t:status() ~= "done" do casting.poll(LONG) end
    assert.equal("there", got)
    local done
    casting.spawn(function() casting.sleep(0.003) done = true end)
    while not done do casting.poll(LONG) end
    s:close()
  end)

  it("is for the main program", function()
    local ok, err = casting.spawn(casting.poll):join(LONG)
    assert.is_false(ok)
    assert.matches("poll: only the main program can do that", err)
    local s = casting.session()
    ok, err = s:spawn("require'casting'.fd()"):join(LONG)
    assert.is_false(ok)
    assert.matches("fd: only the main program can do that", err)
    s:close()
    helper.misuse(function() casting.poll(-1) end, "bad argument #1 to 'poll'")
  end)
end)

describe("the main state's tasks", function()
  it("run on the main thread, also when they block in place", function()
    local main, ch, s = thread(), casting.channel(), casting.session()
    local tasks = {}
    for i = 1, 8 do
      tasks[i] = casting.spawn(function()
        local seen = {[thread()] = true}
        table.sort({1, 2, 3}, function(a, b)
          ch:receive()
          seen[thread()] = true
          return a < b
        end)
        ch:receive()
        seen[thread()] = true
        return seen
      end)
    end
    local feeder = s:spawn(function(c)
      while c:send(1) do end
    end, ch)
    for i = 1, 8 do
      assert.same({[main] = true}, tasks[i]:await(LONG))
    end
    ch:close()
    feeder:join(LONG)
    s:close()
  end)
end)

describe("casting.fd", function()
  -- In a process of its own: once asked for, the descriptor stays.
  it("lets a loop of one's own drive the tasks", function()
    local out = helper.output([[
      local casting = require "casting"
      local fd = casting.fd()
      assert(fd == casting.fd() and fd >= 0)
      assert(casting.poll() == false)
      local ch, n = casting.channel(), 0
      local t = casting.spawn(function() for v in ch do n = n + v end end)
      assert(casting.poll() == true)
      ch:try_send(5)
      assert(casting.poll() == true and n == 5)
      local s = casting.session()
      s:spawn(function(c) for i = 1, 10 do c:send(i) end end, ch):await()
      while n < 60 do casting.poll(1) end
      casting.spawn(function() casting.sleep(0.002) ch:close() end)
      assert(t:join() == true)   -- blocking calls go on working
      ch = casting.channel(1)
      assert(ch:send(1) and ch:receive() == 1)
      casting.spawn(error, "seen")
      casting.run(casting.yield)
      s:close()
      print "fine"
    ]])
    assert.matches("fine", out)
  end)
end)

describe("a program that closes a descriptor of casting's own", function()
  it("is told so, and does not compute for ever", function()
    if not (helper.has_children() and pcall(require, "processes")) then
      return pending "its module is not built here"
    end
    for _, wait in ipairs {"casting.sleep(1)", "casting.sleep(1000)",
      "casting.channel():receive()"} do
      local result = helper.start([[
        local casting = require "casting"
        require("processes").close(casting.fd())
        ]] .. wait, nil, nil, 20)()
      assert.not_equal(124, result.status)
      assert.truthy(result.err:find("has closed a descriptor of casting's own",
        1, true))
    end
  end)
end)
