-- matrix_spec.lua - each blocking call, interrupted in each way, in a task of
-- the same session and of another: nothing hangs, each gives what it should.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, unpack, LONG = helper.pack, helper.unpack, helper.LONG
local test = it

-- {name, source of what waits for ever, what it gives when `ch` is closed}.
-- The source sees c (casting), ch (a channel that nobody else uses), full (one
-- with no room, which is closed with ch) and forever (a task that sleeps).
local CLOSED = {n = 2, [2] = "closed"}
local calls = {
  {"receive", "return ch:receive()", CLOSED},
  {"receive with a timeout", "return ch:receive(1000)", CLOSED},
  {"send", "return ch:send(1)", CLOSED},
  {"send to a full channel", "return full:send(1)", CLOSED},
  {"for over a channel", "for v in ch do return v end return 'ended'",
    pack("ended")},
  {"select", "return c.select{ch, {full, 1}}", "select"},
  {"select with a timeout", "return c.select{{full, 1}, ch, timeout = 1000}",
    "select"},
  {"select of nothing", "return c.select{}"},
  {"sleep", "c.sleep(1000)"},
  {"yield in a loop", "while true do c.yield() end"},
  {"join", "return forever:join()"},
  {"join with a timeout", "return forever:join(1000)"},
  {"await", "return forever:await()"},
  {"session:wait", "return forever:session():wait(1000)"},
  {"casting.session with an init",
    "return c.session{init = function() require 'casting'.sleep(1000) end}"},
  {"receive under pcall",
    "local r = {pcall(function() return ch:receive() end)}" ..
    " if not r[1] then error(r[2], 0) end return r[2], r[3]", CLOSED},
  {"receive in a sort", "local a, b local t = {3, 2, 1}" ..
    " table.sort(t, function(x, y) if not b then a, b = ch:receive() end" ..
    " return x < y end) return a, b", CLOSED},
  {"receive in a coroutine",
    "return coroutine.wrap(function() return ch:receive() end)()", CLOSED},
  {"sleep in a shield that ends", "c.shield(c.sleep, 0.01) c.sleep(1000)"},
  {"receive under a later deadline",
    "return select(2, c.with_timeout(1000, ch.receive, ch))", CLOSED},
}

-- Starts the call in a task of the main session, or of `session`.
local function start(session, source)
  local ch, full = casting.channel(), casting.channel(1)
  full:send "full"
  local other = casting.session()
  local forever = other:spawn("require 'casting'.sleep(1e6)")
  local ready = casting.channel(1)
  local text = "local c, ch, full, forever = ... " .. source
  local function body(within)
    local c = require "casting"
    local f = (loadstring or load)(text) -- luacheck: ignore
    ready:send(true)
    if within then
      return c.with_timeout(within, f, c, ch, full, forever)
    end
    return f(c, ch, full, forever)
  end
  return {ch = ch, full = full, other = other, ready = ready,
    spawn = function(within)
      if session then return session:spawn(body, within) end
      return casting.spawn(body, within)
    end}
end

-- It has begun, and if it does not run in circles, it waits.
local function settle(it, task, source)
  assert.is_true((it.ready:receive(LONG)))
  if source:find "yield" then
    casting.sleep(0.002)
  else
    helper.until_waiting(task)
  end
end

for _, call in ipairs(calls) do
  local name, source, closed = call[1], call[2], call[3]
  for _, where in ipairs {"the same session", "another session"} do
    local own = where == "the same session"
    describe(name .. " in " .. where, function()
      local session, it
      before_each(function()
        session = not own and casting.session() or nil
        it = start(session, source)
      end)
      local function done()
        if session then assert.is_true(session:close(LONG)) end
        assert.is_true(it.other:close(LONG))
      end

      test("ends when its task is cancelled", function()
        local task = it.spawn()
        settle(it, task, source)
        assert.is_true(task:cancel "why")
        local ok, e = task:join(LONG)
        assert.is_false(ok)
        assert.is_true(casting.is_cancelled(e))
        assert.equal("why", e.reason)
        assert.equal("cancelled", task:status())
        done()
      end)

      test("ends at a deadline around it", function()
        local task = it.spawn(0.01)
        assert.same(pack(true, nil, "timeout"), pack(task:join(LONG)))
        done()
      end)

      test("ends when all of its session is cancelled", function()
        local task = it.spawn()
        settle(it, task, source)
        task:session():cancel "all"
        local ok, e = task:join(LONG)
        assert.is_false(ok)
        assert.equal("all", e.reason)
        done()
      end)

      if not own then
        test("ends when its session closes", function()
          local task = it.spawn()
          settle(it, task, source)
          assert.is_true(session:close(LONG))
          local ok, e = task:join(LONG)
          assert.is_false(ok)
          assert.is_true(casting.is_cancelled(e))
          done()
        end)
      end

      if closed then
        test("ends when its channel is closed", function()
          local task = it.spawn()
          settle(it, task, source)
          it.ch:close()
          it.full:close()
          local result = pack(task:join(LONG))
          assert.is_true(result[1])
          if closed == "select" then
            assert.is_true(result[2] == 1 or result[2] == 2)
            assert.same({n = 2, nil, "closed"},
              pack(unpack(result, 3, result.n)))
          else
            assert.same(closed, pack(unpack(result, 2, result.n)))
          end
          done()
        end)
      end
    end)
  end
end

describe("the end of the program", function()
  -- One process for many calls at once: each must let it go.
  local function program(ending)
    local parts = {[[
      local casting = require "casting"
      local load = loadstring or load
      local other = casting.session()
      local forever = other:spawn("require 'casting'.sleep(1e6)")
      local session = casting.session()
      local ready = casting.channel(1000)
      local function start(text)
        local function body()
          local c = require "casting"
          local ch, full = c.channel(), c.channel(1)
          full:send "full"
          ready:send(true)
          return (loadstring or load)( -- luacheck: ignore
            "local c, ch, full, forever = ... " .. text)(c, ch, full, forever)
        end
        casting.spawn(body)
        session:spawn(body)
      end
    ]]}
    local n = 0
    for _, call in ipairs(calls) do
      -- A hook of LuaJIT's is called in any coroutine: a main state's task that
      -- runs would meet the interrupt, not the main program.
      if not (helper.jit and call[1]:find "yield") then
        parts[#parts + 1] = ("start(%q)"):format(call[2])
        n = n + 2
      end
    end
    parts[#parts + 1] = ("for i = 1, %d do ready:receive() end"):format(n)
    parts[#parts + 1] = ending
    return table.concat(parts, "\n")
  end

  for _, way in ipairs {{"", 0}, {"os.exit(3)", 3},
    {"casting.sleep(0.01) os.exit(4, true)", 4, true},
    {"casting.spawn(os.exit, 5) casting.sleep(1000)", 5},
    {"casting.session():spawn('os.exit(6)') casting.sleep(1000)", 6}} do
    it("by '" .. way[1] .. "' ends all of them", function()
      if way[3] and helper.version == "5.1" and not helper.jit then return end
      local result = helper.run(program(way[1]))
      assert.same({way[2], "", ""}, {result.status, result.out, result.err})
    end)
  end

  it("by an error ends all of them", function()
    local result = helper.run(program "error('the end', 0)")
    assert.equal(1, result.status)
    assert.equal("", result.out)
    assert.matches("the end", result.err)
  end)

  it("by Ctrl-C ends all of them", function()
    local result = helper.run(program
      "io.stdout:write 'ready' io.stdout:flush() casting.sleep(1000)", "ready")
    assert.equal("ready", result.out)
    assert.matches("interrupted!", result.err)
    assert.is_true(result.status ~= 0 and result.status ~= 124)
  end)
end)
