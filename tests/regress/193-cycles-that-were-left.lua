-- 193: Channels of a sandbox that lead to each other are freed when its
-- sessions have closed. They were not if there were more than 4096 others
-- between them, nor if one led to the other by a task that had failed; nor were
-- tasks that have each other's handles in their results.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
local LONG = helper.LONG

-- What is left of the session in which f has run, as a sandbox around it counts
-- it. f gets a number, and a function that closes another session in there.
local function left_by(f, n)
  local outer = casting.session{sandbox = true, memory = 64e6}
  local before, after = outer:spawn(function(f, n) -- luacheck: ignore
    local c = require "casting"
    local function memory()
      collectgarbage()
      collectgarbage()
      return c.self():session():stats().memory
    end
    local function close_another()
      local s = c.session()
      s:spawn("return"):await()
      s:close()
    end
    close_another()
    local before = memory()
    f(n)
    for _ = 1, 4 do close_another() end
    local after = memory()
    -- A failure that is not reported is kept for a second.
    for _ = 1, 60 do
      if after < before + 300000 then break end
      c.sleep(0.1)
      close_another()
      after = memory()
    end
    return before, after
  end, f, n):await(LONG)
  outer:close(LONG)
  return after - before
end

local function inside(text)
  text = [[
    local c = require "casting"
    local a = c.channel(math.huge)
    for i = 1, 20 do a:send(("x"):rep(50000) .. i) end
  ]] .. text
  return function()
    local c = require "casting"
    local s = c.session()
    s:spawn(text):join()
    s:close()
  end
end

local ways = {
  ["two sessions"] = function(n)
    local c = require "casting"
    local maker = c.session()
    maker:spawn([==[
    local n, c = ..., require "casting"
    local one, two = c.session(), c.session()
    local first = one:spawn([[
      local n, c = ..., require "casting"
      local all = {}
      for i = 1, n do all[i] = c.channel(1) end
      return all
    ]], n):await()
    two:spawn([[
      local first, c = ..., require "casting"
      for i = 1, #first do
        local other = c.channel(1)
        first[i]:send(other)
        other:send(first[i])
      end
    ]], first):await()
    first = nil -- luacheck: ignore
    one:close()
    collectgarbage()
    collectgarbage()
    two:close()
    ]==], n):await()
    maker:close()
  end,
  ["a failed task"] = inside[[
    local task = c.spawn(function() error{a} end)
    task:join()
    a:send(task)
  ]],
  ["a failed task that nobody joins"] = inside[[
    local task = c.spawn(function() error{a} end)
    c.yield()
    c.yield()
    a:send(task)
  ]],
  ["tasks that only have each other"] = inside[[
    a = ("x"):rep(500000)
    local b, gate = ("y"):rep(500000), c.channel()
    local other
    local task = c.spawn(function() gate:receive() return a, other end)
    other = c.spawn(function() return b, {c.pack(task)} end)
    other:join()
    gate:close()
    task:join()
    c.channel(1):send(task)
  ]],
  ["tasks that have each other"] = inside[[
    local other
    local task = c.spawn(function() c.yield() return a, other end)
    other = c.spawn(function() return a, task end)
    task:join()
    other:join()
    a:send(task)
  ]],
}
for name, f in pairs(ways) do
  local left = left_by(f, math.ceil(10000 / helper.slow))
  assert(left < 300000, name .. ": " .. left)
end
