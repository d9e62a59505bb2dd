-- 065: a finalizer that was to wait raised an error where a task ends or
-- begins, which Lua lets through before 5.4: the task's results were lost, and
-- it had failed with "not enough memory". One that did what does not wait took
-- the results away on 5.1; and finalizers that spawned, while the state made
-- room for more coroutines, had those of their tasks collected.
-- still: its finalizers are those that wait.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

-- Sets one of the collector's parameters, which 5.5 spells differently.
local function tune(name, value)
  if _VERSION > "Lua 5.4" then return collectgarbage("param", name, value) end
  return collectgarbage("set" .. name, value)
end

local function work(n)
  local casting = require "casting"
  local ran, side = 0, casting.channel(math.huge)
  local function finalized(f)
    if newproxy then
      local p = newproxy(true)
      getmetatable(p).__gc = f
      return p
    end
    return setmetatable({}, {__gc = f})
  end
  local kinds = {
    function() casting.yield() end,
    function() casting.sleep(0) end,
    function() side:try_send("aside", {}) end,
    function() side:try_receive() end,
    function()
      for i = 1, 3 do
        casting.spawn(function(v) casting.yield() return v, {} end, i)
      end
    end,
  }
  local function litter(i)
    for k = 1, 3 do
      finalized(function()
        ran = ran + 1
        kinds[(i + k) % #kinds + 1]()
      end)
    end
  end
  tune("pause", 1)
  tune("stepmul", 1000)
  local tasks = {}
  for i = 1, n do
    tasks[i] = casting.spawn(function(v)
      litter(i)
      if i % 3 == 0 then casting.yield() end
      litter(i)
      if i % 4 == 0 then return v, i, "text" end
      if i % 4 == 1 then return i, true end
      if i % 4 == 2 then error({i, v}) end
      error("failed " .. i, 0)
    end, {"value", i})
    if i % 7 == 0 then casting.yield() end
    litter(i)
  end
  for i = 1, n do
    local ok, a, b, c
    repeat
      -- Of what finalizers raise before 5.4 the joiner gets its part, too.
      local fine, r = pcall(function() return {tasks[i]:join()} end)
      ok, a, b, c = fine, r[1], r[2], r[3]
      if fine then ok, a, b, c = r[1], r[2], r[3], r[4] end
    until fine
    local kind = i % 4
    if kind == 0 then
      assert(ok and a[1] == "value" and a[2] == i and b == i and c == "text")
    elseif kind == 1 then
      assert(ok and a == i and b == true)
    elseif kind == 2 then
      assert(not ok and a[1] == i and a[2][2] == i, tostring(a))
    else
      assert(not ok and a == "failed " .. i, tostring(a))
    end
  end
  return ran
end

casting.on_error(casting.channel(math.huge))
local ran = work(300)
ran = ran + casting.spawn(work, 300):await()
for _ = 1, 3 do ran = ran + casting.session():spawn(work, 300):await() end
assert(ran > 100, ran)
