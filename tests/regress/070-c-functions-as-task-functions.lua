-- A C function that yields, or waits, as a task's function: on 5.1 the task
-- crashed when it was resumed after coroutine.yield, and on 5.1 and LuaJIT each
-- one that waited kept a C stack. So did a tail call on LuaJIT, which leaves
-- nothing but the C function.
-- SPDX-License-Identifier: MIT
package.path = "./tests/lua/?.lua;" .. package.path

local function body()
  local casting = require "casting"
  local helper = require "helper"
  local pack, LONG = helper.pack, helper.LONG
  local yield = coroutine.yield

  local function expect(what, got, ...)
    local want = pack(...)
    for i = 1, math.max(got.n, want.n) do
      if got[i] ~= want[i] then
        error(("%s: result %d is %s, not %s"):format(what, i, tostring(got[i]),
          tostring(want[i])), 2)
      end
    end
  end
  local function outcome(...)
    return pack(casting.spawn(...):join(LONG))
  end

  -- 1. Yields, alone and with values, which nobody gets.
  for _ = 1, 3 do -- a coroutine that has yielded last is not used again
    expect("yield", outcome(yield), true)
    expect("yield of values", outcome(yield, 1, nil, {}), true)
    expect("casting.yield", outcome(casting.yield), true)
    expect("no yield", outcome(math.max, 3, 4), true, 4)
    expect("a function", outcome(function(...) return ... end, 1), true, 1)
  end

  -- 2. Waits, with each kind of outcome.
  local ch = casting.channel()
  local receive, send = ch.receive, ch.send
  expect("sleep", outcome(casting.sleep, 0.001), true)
  expect("timeout", outcome(receive, ch, 0.001), true, nil, "timeout")
  expect("tail call", outcome(function() return ch:receive(0.001) end), true,
    nil, "timeout")
  expect("select", outcome(casting.select, {ch, timeout = 0.001}), true, nil,
    "timeout")
  local tasks = {}
  for i = 1, 4 do tasks[i] = casting.spawn(receive, ch) end
  ch:send(1, nil, "three")
  ch:send(("long"):rep(5000))
  ch:send({7, {8}}, true)
  expect("values", pack(tasks[1]:join(LONG)), true, 1, nil, "three")
  expect("a text", pack(tasks[2]:join(LONG)), true, ("long"):rep(5000))
  local got = pack(tasks[3]:join(LONG))
  assert(got[1] and got[2][1] == 7 and got[2][2][1] == 8 and got[3] == true)
  local sender = casting.spawn(send, ch, "sent")
  expect("received", pack(tasks[4]:join(LONG)), true, "sent")
  expect("sent", pack(sender:join(LONG)), true, true)
  tasks[1] = casting.spawn(receive, ch)
  casting.yield()
  ch:close()
  expect("closed", pack(tasks[1]:join(LONG)), true, nil, "closed")

  -- Errors that a wait brings.
  ch = casting.channel()
  local failing = casting.spawn(function() error({code = 5}) end)
  local awaiting = casting.spawn(failing.await, failing)
  local ok, err = awaiting:join(LONG)
  assert(ok == false and err.code == 5 and awaiting:status() == "failed")
  assert(awaiting:traceback():match "%[C%]")
  assert(outcome(failing.join, failing)[2] == false)
  local cancelled = casting.spawn(receive, ch)
  casting.yield()
  assert(cancelled:status() == "waiting")
  assert(cancelled:traceback():match "%[C%]")
  cancelled:cancel("enough")
  ok, err = cancelled:join(LONG)
  assert(ok == false and casting.is_cancelled(err))
  assert(cancelled:status() == "cancelled")

  -- 3. Everywhere else that a function is taken.
  expect("all", pack(casting.all {yield, yield}), nil, nil)
  expect("race", pack(casting.race {yield}), 1)
  local no_pcall = _VERSION == "Lua 5.1" and not helper.jit -- that lets yield
  assert(pcall(casting.map, {1, 2}, yield) == not no_pcall)
  assert(casting.map({0, 0.001}, casting.sleep, {sessions = 2}).n == 2)
  casting.scope(function(scope)
    expect("scope", pack(scope:spawn(yield):join(LONG)), true)
  end)
  local supervisor = casting.supervisor {
    children = {{id = "c", start = yield, restart = "temporary"}},
  }
  assert(supervisor:stop(LONG))
  local session = casting.session{init = yield}
  expect("session", pack(session:spawn(yield):join(LONG)), true)
  expect("sleep", pack(session:spawn(casting.sleep, 0):join(LONG)), true)
  assert(session:close(LONG))

  -- 4. A coroutine of the user's, where 5.1 takes Lua functions only.
  local made, co = pcall(coroutine.wrap, yield)
  if made then
    assert(not no_pcall)
    assert(co(1) == 1 and co(2) == 2)
  else
    assert(co:match "Lua function expected")
  end

  -- 5. No C stack for each: that would be a mapping or two.
  local function mappings()
    local file = io.open "/proc/self/maps"
    if not file then return 0 end
    local n = 0
    for _ in file:lines() do n = n + 1 end
    file:close()
    return n
  end
  local MANY = 300
  local functions = {
    receive,
    function() return ch:receive() end,
    function() return (ch:receive()) end,
  }
  for i, f in ipairs(functions) do
    local before = mappings()
    for k = 1, MANY do tasks[k] = casting.spawn(f, ch) end
    casting.yield()
    assert(tasks[MANY]:status() == "waiting")
    local more = mappings() - before
    if more > MANY / 2 then error(i .. ": " .. more .. " mappings more") end
    for k = 1, MANY do tasks[k]:cancel() end
    for k = 1, MANY do tasks[k]:join(LONG) end
  end
  return "through"
end

local casting = require "casting"
body()
assert(select(2, casting.spawn(body):join()) == "through")
local session = casting.session()
local ok, how = session:spawn(body):join()
assert(ok and how == "through", how)
assert(session:close())
