-- 104: debug.setlocal on the coroutine of a waiting task could take what the
-- task waited for from the stack of the function that waits; it was freed, and
-- used when the wait ended.
-- SPDX-License-Identifier: MIT

local casting = require "casting"

local session = casting.session()

-- Ways to wait: each returns how to end the wait, if not by a deadline.
local ways = {
  function()
    local ch = casting.channel()
    return function() return ch:receive() end, function() ch:close() end
  end,
  function()
    return function() return casting.channel():receive(0.02) end
  end,
  function()
    return function() return casting.channel():send {} end
  end,
  function()
    return function()
      return casting.select {casting.channel(), {casting.channel(1), 1},
        casting.channel(), timeout = 0.02}
    end
  end,
  function()
    local a, b = casting.channel(), casting.channel()
    return function()
      return casting.select {a, {b, 1}, casting.channel()}
    end, function()
      b:close()
      a, b = nil, nil
      collectgarbage()
    end
  end,
  function()
    return function()
      return casting.spawn(function() casting.sleep(0.02) return {} end):join()
    end
  end,
  function()
    return function()
      return session:spawn(function() require "casting".sleep(0.02) end):await()
    end
  end,
  function()
    return function()
      return session:spawn(function()
        require "casting".sleep(0.02)
        error {}
      end):await()
    end
  end,
  function()
    return function()
      return casting.run(function() casting.sleep(0.02) error {} end)
    end
  end,
  function()
    return function()
      return casting.session {init = function()
        require "casting".sleep(0.02)
        error "on purpose"
      end}
    end
  end,
  function()
    return function() return casting.sleep(0.02) end
  end,
  function()
    return function()
      return casting.session():wait(), casting.session():close()
    end
  end,
  function()
    local waits = session:spawn(function() require "casting".sleep(0.02) end)
    return function() return waits:traceback(), casting.report() end
  end,
  function()
    return function()
      return casting.session {init = function()
        require "casting".sleep(0.02)
      end}:name()
    end
  end,
  function()
    return function()
      return casting.with_timeout(0.02, function()
        return casting.shield(function() casting.sleep(0.01) return 1 end)
      end)
    end
  end,
  function()
    return function()
      return casting.run(function() casting.sleep(0.02) return {} end)
    end
  end,
  function()
    return function()
      return casting.all {
        function() casting.sleep(0.01) return {} end,
        function() return {} end,
      }
    end
  end,
  function()
    return function()
      table.sort({3, 2, 1}, function(a, b) casting.sleep(0.01) return a < b end)
    end
  end,
  function()
    local f = coroutine.wrap(function() return casting.sleep(0.02) end)
    return function() return f() end
  end,
}

-- Puts `junk` everywhere on the stack of a coroutine.
local function spoil(co, junk)
  for level = 0, 20 do
    local ok = pcall(debug.getinfo, co, level, "l") -- an error beyond the end
    if not ok or not debug.getinfo(co, level, "l") then break end
    for i = 1, 50 do
      if not debug.setlocal(co, level, i, junk) then break end
    end
  end
end

local junks = {false, {}, "text", coroutine.create(function() end), io.stdout,
  casting.channel()}
local witness = casting.spawn(function()
  for _ = 1, 5 do casting.sleep(0.01) end
  return "unharmed"
end)
local tasks = {}
for _, way in ipairs(ways) do
  for k = 1, #junks + 1 do
    local co
    local wait, finish = way()
    local task = casting.spawn(function()
      co = coroutine.running()
      return wait()
    end)
    wait = nil -- luacheck: ignore
    casting.yield()
    if task:status() == "waiting" then spoil(co, junks[k]) end
    collectgarbage()
    if finish then finish() end
    tasks[#tasks + 1] = task
  end
  collectgarbage()
end
casting.on_error(casting.channel(1000)) -- what becomes of them is their affair
for _, task in ipairs(tasks) do
  if task:join(0.05) == nil then task:cancel() end
  collectgarbage()
  task:join(20)
end
local _, said = witness:join(20)
assert(said == "unharmed")
session:close()
