-- main_spec.lua - the main program: its tasks, Ctrl-C, leaving, requiring.
-- still: tasks start in the order of their spawns, and some never.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

describe("the main program's blocking calls", function()
  it("run the state's tasks", function()
    local log = {}
    local ch = casting.channel()
    local calls = {
      function() return ch:receive() end,
      function() return ch:send(1) end,
      function() return casting.select{ch} end,
      function() return casting.sleep(0.01) end,
      function() return casting.spawn(function() ch:receive() end):join() end,
    }
    local partners = {
      function() ch:send(1) end,
      function() ch:receive() end,
      function() ch:send(1) end,
      function() casting.yield() end,
      function() ch:send(1) end,
    }
    for i = 1, #calls do
      local partner = casting.spawn(function()
        log[#log + 1] = i
        partners[i]()
      end)
      calls[i]()
      assert.is_true((partner:join(LONG)))
    end
    assert.same({1, 2, 3, 4, 5}, log)
  end)

  it("feed a task that loops over the channel", function()
    local ch, out = casting.channel(), {}
    local consumer = casting.spawn(function()
      for v in ch do out[#out + 1] = v end
      return "drained"
    end)
    for i = 1, 100 do assert.is_true(ch:send(i)) end
    ch:close()
    assert.same(pack(true, "drained"), pack(consumer:join(LONG)))
    assert.equal(100, #out)
    for i = 1, 100 do assert.equal(i, out[i]) end
  end)

  it("work inside a coroutine of the main program", function()
    local ch = casting.channel()
    casting.spawn(function()
      for i = 1, 3 do ch:send(i) end
    end)
    local co = coroutine.wrap(function()
      for _ = 1, 3 do coroutine.yield(ch:receive()) end
      return casting.self() == nil
    end)
    assert.equal(1, co())
    assert.equal(2, co())
    assert.equal(3, co())
    assert.is_true(co())
  end)

  it("let tasks run that spawn tasks", function()
    local count = 0
    local function grow(depth)
      count = count + 1
      if depth == 0 then return end
      local a = casting.spawn(grow, depth - 1)
      local b = casting.spawn(grow, depth - 1)
      a:join()
      b:join()
    end
    assert.is_true((casting.spawn(grow, 8):join(LONG)))
    assert.equal(511, count)
  end)

  it("serve sessions meanwhile", function()
    local requests = casting.channel()
    local sessions, done = {}, {}
    for i = 1, 3 do
      sessions[i] = casting.session()
      done[i] = sessions[i]:spawn(function(requests)
        local casting = require "casting"
        local sum = 0
        for n = 1, 50 do
          local reply = casting.channel()
          requests:send(reply, n)
          sum = sum + reply:receive()
        end
        return sum
      end, requests)
    end
    for _ = 1, 150 do
      local reply, n = requests:receive(LONG)
      reply:send(2 * n)
    end
    for i = 1, 3 do
      assert.same(pack(true, 2550), pack(done[i]:join(LONG)))
      sessions[i]:close()
    end
  end)
end)

describe("Ctrl-C", function()
  -- `ready` is written by a task of the main state, which runs only once the
  -- main program blocks.
  local prelude = [[
    local casting = require "casting"
    local ch = casting.channel()
    casting.spawn(function()
      io.stdout:write "ready\n"
      io.stdout:flush()
      casting.sleep(1000) -- or this were a deadlock
    end)
  ]]
  local session = [[
    local s = casting.session()
    local task = s:spawn(function() ch:receive() end)
  ]]
  local calls = {
    {"receive", "ch:receive()"},
    {"receive with a timeout", "ch:receive(1000)"},
    {"send", "ch:send(1)"},
    {"a loop over a channel", "for v in ch do end"},
    {"select", "casting.select{ch, {ch, 1}}"},
    {"sleep", "casting.sleep(1000)"},
    {"join", "casting.spawn(function() ch:receive() end):join()"},
    {"a coroutine", "coroutine.wrap(function() ch:receive() end)()"},
    {"a sort's callback", "table.sort({2, 1}, function() ch:receive() end)"},
    {"receive while a session computes", "casting.session()" ..
      ":spawn(function() while true do end end) ch:receive()"},
    {"join of a session's task", session .. "task:join()"},
    {"wait for a session", session .. "s:wait()"},
  }
  -- LuaJIT's hooks are the whole state's: there it stops the task itself.
  -- ThreadSanitizer keeps signals back from a thread that only computes.
  local can_disturb = not helper.jit and not helper.tsan()
  if can_disturb then
    calls[#calls + 1] = {"receive while a task computes",
      "casting.spawn(function() while true do end end) ch:receive()"}
    calls[#calls + 1] = {"receive while a task computes and catches all",
      "local function f() while true do end end " ..
      "casting.spawn(function() while true do pcall(f) end end) ch:receive()"}
    calls[#calls + 1] = {"sleep while a task computes in callbacks",
      "casting.spawn(function() table.sort({2, 1}, function() " ..
      "while true do end end) end) casting.sleep(1000)"}
  end
  for _, call in ipairs(calls) do
    it("stops " .. call[1], function()
      local result = helper.run(prelude .. call[2] .. "\nprint 'not here'",
        "ready")
      assert.equal("ready\n", result.out)
      assert.matches("interrupted!", result.err)
      assert.equal(1, result.status)
    end)
  end

  it("is an error that pcall sees", function()
    local result = helper.run(prelude .. [[
      local ok, message = pcall(ch.receive, ch)
      print(ok, message:match "interrupted!")
      casting.spawn(function() ch:send "still works" end)
      print(ch:receive())
    ]], "ready")
    assert.equal("ready\nfalse\tinterrupted!\nstill works\n", result.out)
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)

  it("lets a task that computes go on afterwards", function()
    if not can_disturb then return end
    local result = helper.run(prelude .. [[
      local n, stop = 0, false
      local task = casting.spawn(function()
        while not stop do n = n + 1 end
        return "stopped"
      end)
      local ok, message = pcall(ch.receive, ch)
      print(ok, message:match "interrupted!")
      stop = true
      print(n > 0, task:await())
    ]], "ready")
    assert.equal("ready\nfalse\tinterrupted!\ntrue\tstopped\n", result.out)
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)
end)

describe("leaving the main program", function()
  -- Ends in time (helper.run's), as told, and says nothing.
  local function leaves(source, status, out)
    local result = helper.run('local casting = require "casting"\n' .. source)
    assert.equal("", result.err)
    assert.equal(status or 0, result.status)
    assert.equal(out or "", result.out)
  end

  it("with nothing done", function()
    leaves ""
    leaves "casting.channel() casting.session()"
  end)

  it("with tasks that never ran", function()
    leaves "for i = 1, 10 do casting.spawn(function() print(i) end) end"
  end)

  it("with tasks of the main state that wait", function()
    leaves([[
      local ch, n = casting.channel(), 0
      local function parked() n = n + 1 end
      for i = 1, 10 do
        casting.spawn(function() parked() ch:receive() end)
        casting.spawn(function() parked() ch:receive() ch:send(1) end)
        casting.spawn(function() parked() casting.sleep(1000) end)
        casting.spawn(function() parked() casting.select{ch} end)
        casting.spawn(function()
          parked()
          table.sort({2, 1}, function() ch:receive() end)
        end)
        casting.spawn(function()
          parked()
          coroutine.wrap(function() pcall(ch.receive, ch) end)()
        end)
      end
      while n < 60 do casting.yield() end
      print(n)
    ]], 0, "60\n")
  end)

  for _, kind in ipairs {
    {"wait", "ch:receive()"},
    {"sleep", "require 'casting'.sleep(1000)"},
    {"wait in place", "table.sort({2, 1}, function() ch:receive() end)"},
    {"wait in coroutines", "coroutine.wrap(function() ch:receive() end)()"},
    {"compute", "while true do end"},
    {"catch errors", "while true do pcall(ch.receive, ch) end"},
  } do
    it("with tasks of sessions that " .. kind[1], function()
      leaves(([[
        local ch, started = casting.channel(), casting.channel(math.huge)
        local body = %q
        local all = {}
        for i = 1, 2 do
          local s = casting.session()
          all[#all + 1] = s
          for j = 1, 3 do
            s:spawn("local ch, started = ...; started:send(1);" .. body,
              ch, started)
          end
        end
        for i = 1, 2 do started:receive() end
        print "leaving"
      ]]):format(kind[2]), 0, "leaving\n")
    end)
  end

  it("by an error", function()
    local result = helper.run [[
      local casting = require "casting"
      local s = casting.session()
      local ch = casting.channel()
      s:spawn("(...):receive()", ch)
      casting.spawn(function() ch:receive() end)
      casting.sleep(0.001)
      error "on purpose"
    ]]
    assert.equal(1, result.status)
    assert.matches("on purpose", result.err)
  end)

  for _, close in ipairs {"", ", true"} do
    if close == "" or helper.version > "5.1" or helper.jit then
      local prepare = [[
        local ch = casting.channel()
        local s = casting.session()
        s:spawn("(...):receive()", ch)
        s:spawn "coroutine.wrap(function() while true do end end)()"
        casting.spawn(function() ch:receive() end)
        casting.sleep(0.001)
      ]]
      local exit = ("os.exit(3%s)"):format(close)

      it("by " .. exit, function()
        leaves(prepare .. exit, 3)
      end)

      it("by " .. exit .. " in a task", function()
        leaves(prepare .. "casting.spawn(function() " .. exit ..
          " end) ch:receive()", 3)
      end)

      it("by " .. exit .. " in a coroutine of a task", function()
        leaves(prepare .. "casting.spawn(function() " ..
          "coroutine.wrap(function() " .. exit .. " end)() end) " ..
          "ch:receive()", 3)
      end)

      it("by " .. exit .. " in a session", function()
        leaves(prepare .. "casting.session():spawn('" .. exit .. "') " ..
          "ch:receive()", 3)
      end)

      it("by " .. exit .. " in a session while main blocks in place",
        function()
          leaves(prepare .. "casting.session():spawn('" .. exit .. "') " ..
            "table.sort({2, 1}, function() ch:receive() end)", 3)
        end)
    end
  end

  it("does not lose what sessions wrote", function()
    leaves([[
      local s = casting.session()
      for i = 1, 100 do s:spawn("print(...)", i) end
      s:wait()
    ]], 0, (function()
      local lines = {}
      for i = 1, 100 do lines[i] = i .. "\n" end
      return table.concat(lines)
    end)())
  end)

  it("with thousands of everything", function()
    leaves [[
      local ch = casting.channel()
      local sessions = {}
      for i = 1, 50 do
        sessions[i] = casting.session()
        for j = 1, 20 do sessions[i]:spawn("(...):receive()", ch) end
      end
      for i = 1, 5000 do
        casting.spawn(function() ch:receive() end)
        casting.after(1000 + i)
        casting.named("name " .. i)
      end
      casting.sleep(0.01)
    ]]
  end)

  it("with child processes about", function()
    leaves([[
      local s = casting.session()
      local t = s:spawn(function()
        local pipe = io.popen "echo from a child"
        local line = pipe:read "*l"
        pipe:close()
        return line
      end)
      print(t:await())
      os.execute "true"
    ]], 0, "from a child\n")
  end)
end)

describe("require 'casting'", function()
  it("can happen twice", function()
    local loaded = package.loaded.casting
    package.loaded.casting = nil
    local again = require "casting"
    assert.equal("table", type(again))
    local a, b = casting.channel(1), again.channel(1)
    a:send(b)
    assert.is_true(a:receive() == b)
    assert.same(pack(true, 1), pack(again.spawn(function()
      return 1
    end):join(LONG)))
    package.loaded.casting = loaded
    assert.is_true(require "casting" == loaded)
  end)

  it("can happen first in a coroutine", function()
    assert.equal("1 from a session\n", helper.output [[
      local co = coroutine.create(function()
        local casting = require "casting"
        local ch = casting.channel()
        casting.spawn(function() ch:send(1) end)
        coroutine.yield(ch:receive())
        error "ends this coroutine"
      end)
      local _, first = coroutine.resume(co)
      coroutine.resume(co)
      co = nil
      collectgarbage()
      collectgarbage()
      local casting = require "casting"
      local s = casting.session()
      print(first .. " " .. s:spawn("return 'from a session'"):await())
    ]])
  end)

  it("can be forgotten", function()
    assert.equal("done\n", helper.output [[
      local ch, s
      do
        local casting = require "casting"
        ch = casting.channel()
        s = casting.session()
      end
      package.loaded.casting = nil
      for i = 1, 4 do collectgarbage() end
      s:spawn("(...):send 'done'", ch)
      print(ch:receive())
    ]])
  end)

  it("happens in sessions and gives their own module", function()
    local s = casting.session()
    local same, kind = s:spawn(function()
      local a, b = require "casting", require "casting"
      return a == b, type(a.channel)
    end):await(LONG)
    assert.is_true(same)
    assert.equal("function", kind)
    s:close()
  end)
end)

describe("an idle program", function()
  it("uses no processor time", function()
    local s = casting.session()
    local gate = casting.channel()
    for _ = 1, 10 do
      s:spawn(function(gate) gate:receive() end, gate)
    end
    local began = os.clock()
    casting.channel():receive(0.5)
    local used = os.clock() - began
    gate:close()
    s:close()
    assert.is_true(used < 0.25)
  end)
end)
