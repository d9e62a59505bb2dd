-- deadlock_spec.lua - deadlocks are named, and casting.report tells who waits.
-- still: what a report tells of has not moved on meanwhile.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

local TITLE = "deadlock: all tasks are waiting"

-- The error of f(), which must be a deadlock.
local function deadlock(f, ...)
  local ok, e = pcall(f, ...)
  assert.is_false(ok)
  e = tostring(e)
  assert.matches(TITLE .. "\n\nmain program: ", e, 1, true)
  return e
end

describe("a deadlock", function()
  local function calls(ch)
    return {
      receive = function() ch:receive() end,
      send = function() ch:send(1) end,
      ["for"] = function() for _ in ch do end end,
      select = function() casting.select {ch, {ch, 1}} end,
      sleep = function() casting.sleep(math.huge) end,
      join = function() casting.spawn(function() ch:receive() end):join() end,
      await = function() casting.spawn(function() ch:send(1) end):await() end,
      run = function() casting.run(function() ch:receive() end) end,
      wait = function()
        local s = casting.session()
        s:spawn(function() ch:receive() end)
        s:wait()
      end,
      sort = function()
        table.sort({2, 1}, function() return ch:receive() end)
      end,
      coroutine = function() coroutine.wrap(function() ch:receive() end)() end,
    }
  end

  for name in pairs(calls(casting.channel())) do
    it("is an error of the main program that waits in " .. name, function()
      local ch = casting.channel()
      local e = deadlock(calls(ch)[name])
      ch:close()
      casting.run() -- until the tasks have ended
      assert.matches("deadlock_spec.lua:%d+: ", e)
      assert.matches("stack traceback:\n\t", e, 1, true)
    end)
  end

  it("is one beside tickers that nobody listens to", function()
    local keep = {casting.every(0.001), casting.every(1e-9)}
    casting.session():spawn(function() keep[1]:len() end):join()
    deadlock(function() casting.channel():receive() end)
    assert.equal(1, keep[1]:len())
  end)

  it("names each task, its session, what it waits for, and where", function()
    local here, there = casting.channel(), casting.channel(3)
    local session = casting.session {name = "the depths"}
    local remote = session:spawn(function()
      local function inmost() there:receive() end
      inmost()
    end)
    local joiner = casting.spawn(function() remote:join() end)
    local sender = casting.spawn(function() here:send(1) end)
    local chooser = casting.spawn(function()
      casting.select {there, {here, 1}, false}
    end)
    local e = deadlock(function() casting.channel():receive() end)
    assert.matches("main program: waiting to receive from channel: ", e, 1,
      true)
    assert.matches("of session 'the depths': waiting to receive from " ..
      tostring(there) .. " for %d+%.%d s\nstack traceback:\n.*inmost", e)
    assert.matches("of session 'main': waiting for the end of task %d+ of " ..
      "session 'the depths' for ", e)
    assert.matches("waiting to send to " .. tostring(here), e, 1, true)
    assert.matches(("waiting in select, to receive from %s, to send to %s, "
      .. "nothing for "):format(tostring(there), tostring(here)), e, 1, true)
    here:close()
    there:close()
    for _, t in ipairs {remote, joiner, sender, chooser} do t:join(LONG) end
    session:close()
  end)

  it("is told again, and no more once something can go on", function()
    local ch = casting.channel()
    local gate = casting.channel()
    casting.spawn(function()
      gate:receive()
      casting.sleep(0.15) -- long enough to be found dead, were it that
      ch:send "at last"
    end)
    for _ = 1, 3 do deadlock(ch.receive, ch) end
    gate:send(true)
    assert.equal("at last", ch:receive())
  end)

  it("is none while a task sleeps, computes, or is stuck in C", function()
    local session = casting.session()
    for _, source in ipairs {
      "require 'casting'.sleep(0.15)",
      "local c = require 'casting' local t = c.now() + 0.15 " ..
        "while c.now() < t do end",
      "os.execute 'sleep 0.15'",
      "require 'casting'.blocking(os.execute, 'sleep 0.15')",
      "local c = require 'casting' c.after(0.15):receive()",
      "local c = require 'casting' c.channel():receive(0.15)",
      "local c = require 'casting' c.with_timeout(0.15, function() " ..
        "c.channel():receive() end)",
    } do
      local ch = casting.channel()
      session:spawn(source .. "; (...):send(1)", ch)
      assert.equal(1, ch:receive(), source)
      casting.spawn((loadstring or load)(source .. "; (...):send(2)"), ch)
      assert.equal(2, ch:receive(), source)
    end
    session:close()
  end)

  it("is found behind a timeout that has been left", function()
    local session, ch = casting.session(), casting.channel()
    session:spawn(function()
      local c = require "casting"
      ch:receive(1000)
      c.with_timeout(1000, ch.receive, ch)
      ch:receive()
    end)
    ch:send(1)
    ch:send(2)
    deadlock(function() casting.channel():receive() end)
    session:close()
  end)

  it("cancels a scope's tasks", function()
    local ch, ended = casting.channel(), 0
    deadlock(casting.scope, function(scope)
      for _ = 1, 3 do
        scope:spawn(function()
          local ok, err = pcall(ch.receive, ch)
          assert(not ok and casting.is_cancelled(err))
          ended = ended + 1
        end)
      end
      ch:receive()
    end)
    assert.equal(3, ended)
  end)

  it("ends a program", function()
    if not helper.has_children() then pending "no other program can be run" end
    local result = helper.run [[
      local casting = require "casting"
      local session = casting.session {name = "stuck"}
      session:spawn(function(ch) ch:receive() end, casting.channel())
      io.stdout:write "begun"
      io.stdout:flush()
      casting.channel():receive()
    ]]
    assert.equal("begun", result.out)
    assert.equal(1, result.status)
    assert.matches(TITLE, result.err, 1, true)
    assert.matches("session 'stuck': waiting to receive", result.err, 1, true)
  end)
end)

describe("casting.report", function()
  it("tells what each task does", function()
    local session = casting.session {name = "reported"}
    local ch = casting.channel()
    local task = session:spawn(function() ch:receive() end)
    local sleeper = casting.spawn(function() casting.sleep(LONG) end)
    local fresh
    helper.until_waiting(task)
    helper.until_waiting(sleeper)
    fresh = casting.spawn(function() end)
    local text = casting.report()
    assert.matches("^main program: running\nstack traceback:\n", text)
    assert.matches("sleeping for %d+%.%d s\n", text)
    assert.matches("session 'main': not begun yet\n", text)
    assert.matches("'reported': waiting to receive from " .. tostring(ch), text,
      1, true)
    sleeper:cancel()
    sleeper:join(LONG)
    fresh:join(LONG)
    -- From a task of another session.
    text = session:spawn(function() return require "casting".report() end)
      :await(LONG)
    assert.matches("^main program: waiting for the end of task", text)
    assert.matches("'reported': running\nstack traceback:\n", text, 1, true)
    assert.matches("'reported': waiting to receive", text, 1, true)
    ch:close()
    session:close()
  end)

  it("describes no more tasks than asked for", function()
    local ch = casting.channel()
    local tasks = {}
    for i = 1, 150 do
      tasks[i] = casting.spawn(function() ch:receive() end)
    end
    casting.yield()
    for _, limit in ipairs {0, 1, 10, 100, false} do
      local text = casting.report(limit or nil)
      local n = select(2, text:gsub("waiting to receive from", ""))
      assert.equal(limit or 100, n)
      assert.matches(("session 'main': %d more tasks\n"):format(150 - n), text)
    end
    assert.equal(150, select(2, casting.report(1e9):gsub("waiting to rec", "")))
    ch:close()
    for _, task in ipairs(tasks) do task:join(LONG) end
  end)

  it("lists no more sessions than asked for", function()
    local ch = casting.channel()
    local sessions = {}
    for i = 1, 12 do
      sessions[i] = casting.session {name = "many " .. i}
      for _ = 1, 3 do sessions[i]:spawn(function(ch) ch:receive() end, ch) end
    end
    local text
    repeat -- until all of them wait
      text = casting.report(1e9)
    until select(2, text:gsub("waiting to receive from", "")) == 36
    text = casting.report(4)
    assert.equal(4, select(2, text:gsub("waiting to receive from", "")))
    assert.equal(4, select(2, text:gsub("session 'many %d+': %d more", "")))
    assert.matches("\n%d+ more sessions with %d+ tasks", text)
    text = casting.report(0)
    assert.matches("\n12 more sessions with 36 tasks", text)
    assert.equal(nil, text:find "many")
    ch:close()
    for _, session in ipairs(sessions) do session:close() end
  end)

  it("says who does not answer", function()
    local go = casting.channel()
    local session = casting.session {name = "in C"}
    local task = session:spawn(function()
      go:send(true)
      os.execute "sleep 1.5"
    end)
    go:receive()
    assert.matches("session 'in C': busy, or closed\n", casting.report(), 1,
      true)
    task:join(LONG)
    session:close()
  end)

  it("is written to stderr on SIGQUIT, if so wished", function()
    if not helper.has_children() then pending "no other program can be run" end
    local script, flag = os.tmpname(), os.tmpname()
    helper.spit(script, ([[
      local casting = require "casting"
      local session = casting.session {name = "asked"}
      session:spawn(function(ch) ch:receive() end, casting.channel())
      local waits = "session 'asked': waiting to receive"
      repeat
        casting.sleep(0.01)
      until casting.report():find(waits, 1, true)
      os.execute "(sleep 0.1; kill -QUIT $PPID) &" -- ignored meanwhile
      local function there()
        local file = io.open %q
        return file and file:close()
      end
      while there() do casting.sleep(0.01) end
    ]]):format(flag))
    local pipe = io.popen(("CASTING_REPORT_ON_QUIT=1 timeout %d %s %s 2>&1")
      :format(math.ceil(helper.LONG), helper.command(), script))
    local text = ""
    for line in pipe:lines() do
      text = text .. line .. "\n"
      if line:find("session 'asked': waiting to receive", 1, true) then
        os.remove(flag)
      end
    end
    pipe:close()
    os.remove(script)
    assert.is_false(os.remove(flag) or false)
    assert.matches("\nmain program: ", text, 1, true)
  end)

  it("wants a number of tasks", function()
    helper.misuse(function() casting.report(-1) end, "report",
      "non-negative")
    helper.misuse(function() casting.report(0 / 0) end, "report")
    helper.misuse(function() casting.report "many" end, "report", "number")
  end)
end)
