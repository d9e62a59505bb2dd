-- finalizers.lua - finalizers that use casting, in the middle of everything.
-- SPDX-License-Identifier: MIT
--
-- The collector runs all the time, and what it finds does operations of the
-- task that happens to run: sends, receives, spawns, selects, waits. Meanwhile
-- that task does the same, and must not notice. See lib/kit.lua for the
-- arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

-- Sets one of the collector's parameters, which 5.5 spells differently.
local function tune(name, value)
  if _VERSION > "Lua 5.4" then return collectgarbage("param", name, value) end
  return collectgarbage("set" .. name, value)
end

local seed = kit.arguments()
local random = kit.generator(seed)

-- What comes in comes back, and the handles of both sides.
local function echo(inbox, outbox)
  for what in inbox do outbox:send(what) end
end

local function work(n, seed, there, back, generator)
  local casting = require "casting"
  local random = generator(seed)
  local side = casting.channel(64)
  local ran, bad = 0, nil

  local function value(i)
    return { name = "value " .. i, list = { i, { "deep " .. i } },
      long = ("long " .. i):rep(900) }
  end
  local function check(v, i, what)
    if type(v) ~= "table" or v.name ~= "value " .. i or v.list[1] ~= i or
      v.list[2][1] ~= "deep " .. i or v.long ~= ("long " .. i):rep(900) then
      error(what .. ": another value than was sent", 0)
    end
  end

  -- What finalizers do.
  local asides = {
    function(i) side:try_send("aside " .. i, i) end,
    function() side:try_receive() end,
    function(i) side:try_send(value(i), casting.channel(), casting.self()) end,
    function(i) check(casting.pack(value(i)):unpack(), i, "aside, unpack") end,
    function(i) casting.select { { side, "select " .. i }, timeout = 0 } end,
    function() casting.select { side, timeout = 0 } end,
    function(i) casting.spawn(function(x) return "spawned " .. x end, i) end,
    function(i) casting.transferable(value(i)) end,
    function() side:receive(0.0001) end,
    function() casting.sleep(0) end,
    function() casting.named("finalizers", 1) end,
    function(i)
      local ch = casting.channel(1)
      ch:send(value(i), ch)
      local v, same = ch:receive()
      check(v, i, "aside, channel")
      if same ~= ch then error("aside: another handle", 0) end
    end,
  }
  local function aside(i)
    ran = ran + 1
    local ok, e = pcall(asides[random(#asides)], i)
    -- Between tasks some of this cannot be.
    if not ok and not tostring(e):find "not in a task" and
        not tostring(e):find "has been closed" then
      bad = bad or tostring(e)
    end
  end
  local proxy = rawget(_G, "newproxy") -- tables have no __gc in 5.1
  local function litter(i)
    if proxy then
      getmetatable(proxy(true)).__gc = function() aside(i) end
    else
      setmetatable({}, { __gc = function() aside(i) end })
    end
  end

  -- What the task does.
  local doings = {
    function(i)
      there:send(value(i))
      check(back:receive(), i, "echo")
    end,
    function(i)
      local ch = casting.channel(1)
      ch:send("first " .. i, "second " .. i, "third " .. i)
      local a, b, c = ch:receive()
      assert(a == "first " .. i and b == "second " .. i and c == "third " .. i)
    end,
    function(i)
      local ch = casting.channel(1)
      ch:send(casting.channel(), ch, casting.self(), casting.pack(i))
      local new, same, me, packed = ch:receive()
      assert(new:try_send(1) == nil and same == ch)
      assert(me == casting.self() and packed:unpack() == i)
    end,
    function(i)
      local t = casting.spawn(function(...) return ... end, value(i), "x" .. i)
      local v, x = t:await()
      check(v, i, "spawn")
      assert(x == "x" .. i)
    end,
    function(i)
      local t = casting.spawn(function(v) error(v, 0) end, "failed " .. i)
      local ok, e = t:join()
      assert(not ok and e == "failed " .. i)
    end,
    function(i)
      local t = casting.spawn(function() return value(i) end)
      local ok, v = t:monitor():receive()
      assert(ok == true)
      check(v, i, "monitor")
    end,
    function(i)
      local a, b = casting.channel(1), casting.channel(1)
      local at, sent = casting.select { { a, value(i), "more " .. i }, b }
      assert(at == 1 and sent == true)
      local got, v, more = casting.select { b, a }
      assert(got == 2 and more == "more " .. i)
      check(v, i, "select")
    end,
    function(i)
      check(casting.self():session():spawn(
        function(v) return v end, value(i)):await(), i, "session:spawn")
    end,
  }

  -- On a session's own task, or in a coroutine that C does not let yield.
  for i = 1, n do
    for _ = 1, 3 do litter(i) end
    local ok, e = true, nil
    local doing = doings[random(#doings)]
    if random(4) == 1 then
      table.sort({ 2, 1 }, function()
        if doing then ok, e = pcall(doing, i) end
        doing = nil
        return false
      end)
    else
      ok, e = pcall(doing, i)
    end
    if not ok then error(("step %d: %s"):format(i, tostring(e)), 0) end
    if bad then error("in a finalizer: " .. bad, 0) end
  end
  return ran
end

local function eager(f, ...)
  tune("pause", 1)
  tune("stepmul", 1000)
  return f(...)
end

local tasks = {}
for i = 1, 3 do
  local there, back = casting.channel(i % 2), casting.channel()
  local mirror, session = casting.session(), casting.session()
  mirror:spawn(echo, there, back)
  tasks[i] = session:spawn(eager, work, kit.scaled(6000, 200), random(1e6),
    there, back, kit.generator)
end
local ran = 0
for i = 1, #tasks do ran = ran + kit.join(tasks[i], "session " .. i) end
kit.check(ran > 100, "only %d finalizers ran", ran)
print(("finalizers: %d"):format(ran))
