-- session_storm.lua - sessions made, used, closed, dropped and closed by others
-- in the middle of their work, from many sessions at once; and a crowd of them
-- that all live at the same time (ten thousand at scale 10).
-- SPDX-License-Identifier: MIT
--
-- See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed = kit.arguments()
local random = kit.generator(seed)

-- Makes n sessions, one after another, and ends each in some way.
local function storm(n, seed)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  local ended = {}
  for i = 1, n do
    local how = random(8)
    ended[how] = (ended[how] or 0) + 1
    local s = casting.session {name = "s" .. i}
    local ch = casting.channel(random(3) - 1)
    if how == 1 then
      -- Closed at once, without a task.
      s:close()
    elseif how == 2 then
      -- Closed when its work is done.
      assert(s:spawn(function(x) return x + 1 end, i):await() == i + 1)
      s:close()
    elseif how == 3 then
      -- Closed while tasks wait in all kinds of ways.
      local tasks = {
        s:spawn("(...):receive()", ch),
        s:spawn("require 'casting'.sleep(100)"),
        s:spawn("local ch = ... pcall(ch.receive, ch)", ch),
        s:spawn([[
          local ch = ...
          table.sort({2, 1}, function() ch:receive() end)
        ]], ch),
        s:spawn([[
          local ch = ...
          coroutine.wrap(function() ch:receive() end)()
        ]], ch),
        s:spawn("local ch = ... require 'casting'.select{ch, {ch, 1}}",
          casting.channel()),
      }
      if random(2) == 1 then casting.sleep(random() * 0.002) end
      s:close()
      for j = 1, #tasks do
        local ok = tasks[j]:join(60)
        assert(ok ~= nil, "a task outlives its session")
      end
    elseif how == 4 then
      -- Dropped while it works; its answer still comes.
      casting.session():spawn("local ch, v = ... ch:send(v)", ch, i)
      if random(3) == 1 then collectgarbage() end
      local v = ch:receive()
      assert(v == i, "a dropped session's answer")
    elseif how == 5 then
      -- Closed by two others at the same time, while a third spawns.
      local casting_session = s
      local a = casting.spawn(function()
        return pcall(casting_session.close, casting_session)
      end)
      local b = casting.spawn(function()
        return pcall(casting_session.close, casting_session)
      end)
      local c = casting.spawn(function()
        for _ = 1, 10 do
          local ok, task = pcall(casting_session.spawn, casting_session,
            "return ...", i)
          if not ok then
            assert(tostring(task):find "closed", task)
            return true
          end
          local joined, v = task:join(60)
          assert(joined ~= nil, "a task that never ends")
          assert(not joined or v == i)
        end
        return true
      end)
      a:await()
      b:await()
      assert(c:await())
    elseif how == 6 then
      -- Fails, in its init or in its task.
      if random(2) == 1 then
        local ok = pcall(function()
          local bad = casting.session {init = function() error "init" end}
          bad:spawn("return 1"):await()
        end)
        assert(not ok)
      end
      assert(s:spawn("error 'on purpose'"):join() == false)
      s:close()
    elseif how == 7 then
      -- Hands its work to a session of its own.
      local v = s:spawn(function(n)
        local casting = require "casting"
        local inner = casting.session()
        local v = inner:spawn("return ... * 2", n):await()
        if n % 2 == 0 then inner:close() end
        return v
      end, i):await()
      assert(v == 2 * i)
      s:close(30)
    else
      -- Computes when it is closed; a slice ends and the close gets through,
      -- or the computation ends first.
      local task = s:spawn([[
        local x = 0
        for i = 1, 200000 do x = (x + i) % 1000 end
        return x
      ]])
      s:close()
      assert(task:join(60) ~= nil)
    end
  end
  local count = 0
  for _, times in pairs(ended) do count = count + times end
  return count
end

-- n sessions with a task each that waits, all of them woken at once.
local function crowd(n)
  local sessions, tasks, go = {}, {}, casting.channel()
  for i = 1, n do
    sessions[i] = casting.session()
    tasks[i] = sessions[i]:spawn(function(go, i) -- luacheck: ignore
      go:receive()
      return i
    end, go, i)
  end
  go:close()
  for i = 1, n do
    kit.check(kit.join(tasks[i], "one of a crowd") == i, "a wrong result")
    kit.check(sessions[i]:close(60), "one of a crowd did not close")
  end
  return n
end

local made = crowd(kit.scaled(1000, 20))
collectgarbage()
local min, max = casting.threads()
for _, threads in ipairs {1, 2, 4} do
  casting.threads(threads, threads + 2)
  local hosts, tasks = {}, {}
  for i = 1, 3 do
    hosts[i] = casting.session()
    tasks[i] = hosts[i]:spawn(storm, kit.scaled(250, 5), random(1000000))
  end
  made = made + storm(kit.scaled(250, 5), random(1000000))
  for i = 1, 3 do
    made = made + kit.join(tasks[i], "a storm")
    hosts[i]:close()
  end
  collectgarbage()
end
casting.threads(min, max)
print(("session_storm: %d sessions made and ended"):format(made))
