-- scope_spec.lua - scopes, all and race: no task outlives who has started it.
-- still: children begin before their parent is cancelled.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

local function forever()
  casting.sleep(1000)
end

-- Calls f(...), which must raise: returns the error.
local function error_of(f, ...)
  local ok, e = pcall(f, ...)
  if ok then error("no error was raised", 2) end
  return e
end

-- The same in a task of its own, so that it can be cancelled.
local function in_task(f, ...)
  return casting.spawn(f, ...)
end

for _, place in ipairs(helper.places) do
  local title, run = place[1], place[2]

  describe("casting.scope in " .. title, function()
    it("returns what the body returns", function()
      assert.same(pack(1, nil, "three", nil), pack(run(function()
        return require("casting").scope(function() return 1, nil, "three", nil
        end)
      end)))
      assert.same(pack(), pack(run(function()
        return require("casting").scope(function() end)
      end)))
    end)

    it("waits for every child", function()
      assert.same(pack("body", 3), pack(run(function()
        local casting = require "casting"
        local n = 0
        local body = casting.scope(function(scope)
          for i = 1, 3 do
            scope:spawn(function(seconds)
              casting.sleep(seconds)
              n = n + 1
            end, i / 1000)
          end
          return "body"
        end)
        return body, n
      end)))
    end)

    it("raises the first failure and cancels the others", function()
      local e, caught, after = run(function()
        local casting = require "casting"
        local caught, after
        local ok, e = pcall(casting.scope, function(scope)
          scope:spawn(function()
            casting.sleep(0.005)
            error("the first", 0)
          end)
          scope:spawn(function()
            local _, e = pcall(function() casting.sleep(1000) end)
            caught = e
            error(e)
          end)
          casting.sleep(1000)
          after = true
        end)
        return not ok and e, caught, after
      end)
      assert.equal("the first", e.error)
      assert.matches("^the first\nstack traceback:\n", e.traceback)
      assert.equal("failed", e.task:status())
      assert.is_nil(e.others)
      assert.equal(e.traceback, tostring(e))
      assert.is_true(casting.is_cancelled(caught))
      assert.matches("failed: the first$", caught.reason)
      assert.is_nil(after)
    end)
  end)
end

describe("casting.scope", function()
  it("calls the body with the scope, in a task of this session", function()
    local me, shared = casting.self(), {}
    local got, task = casting.scope(function(scope)
      shared.scope = scope
      return scope, casting.self()
    end)
    assert.is_true(got == shared.scope)
    assert.is_true(task ~= me)
    assert.equal("main", task:session():name())
    assert.matches("^scope of 0 tasks %(ended%)$", tostring(got))
  end)

  it("gives its children's tasks", function()
    casting.scope(function(scope)
      local task = scope:spawn(function(...) return select("#", ...), ... end,
        nil, 2, nil)
      assert.same(pack(3, nil, 2, nil), pack(task:await()))
    end)
  end)

  it("has children in other sessions", function()
    local session = casting.session()
    local name
    casting.scope(function(scope)
      local task = scope:spawn_in(session, function(...)
        return require("casting").self():session():name(), ...
      end, 1, {2})
      name = session:name()
      assert.same(pack(name, 1, {2}), pack(task:await()))
      assert.equal("text", scope:spawn_in(session, "return ...", "text")
        :await())
    end)
    local e = error_of(casting.scope, function(scope)
      scope:spawn_in(session, "error('over there')")
      casting.sleep(1000)
    end)
    assert.matches("over there", e.error)
    assert.matches("over there\nstack traceback:\n", tostring(e))
    local child
    e = error_of(casting.scope, function(scope)
      child = scope:spawn_in(session, "require('casting').sleep(1000)")
      casting.yield()
      error({code = 9})
    end)
    assert.equal(9, e.error.code)
    assert.equal("cancelled", child:status())
  end)

  it("waits for children that children spawn", function()
    local order = {}
    casting.scope(function(scope)
      scope:spawn(function()
        casting.yield()
        scope:spawn(function()
          casting.yield()
          order[#order + 1] = "grandchild"
          scope:spawn(function() order[#order + 1] = "its child" end)
        end)
        order[#order + 1] = "child"
      end)
    end)
    assert.same({"child", "grandchild", "its child"}, order)
  end)

  it("can lie in a scope", function()
    local log = {}
    local result = casting.scope(function(outer)
      outer:spawn(function() log[#log + 1] = "outer child" end)
      local inner = casting.scope(function(inner)
        inner:spawn(function()
          casting.sleep(0.005)
          log[#log + 1] = "inner child"
        end)
        return "inner"
      end)
      log[#log + 1] = "after"
      return inner
    end)
    assert.equal("inner", result)
    assert.same({"outer child", "inner child", "after"}, log)
  end)

  it("passes the first error through nested scopes unchanged", function()
    local e = error_of(casting.scope, function()
      casting.scope(function(inner)
        inner:spawn(function() error({deep = true}) end)
        forever()
      end)
    end)
    assert.is_true(e.error.deep)
    assert.is_nil(e.others)
  end)

  it("attaches the failures that follow", function()
    local e = error_of(casting.scope, function(scope)
      for i = 1, 3 do
        scope:spawn(function()
          local ok = pcall(forever)
          if not ok then error("clean-up " .. i, 0) end
        end)
      end
      casting.yield()
      error({first = true})
    end)
    assert.is_true(e.error.first)
    local messages = {}
    for i, other in ipairs(e.others) do messages[i] = other.error end
    table.sort(messages)
    assert.same({"clean-up 1", "clean-up 2", "clean-up 3"}, messages)
    for i = 1, 3 do
      assert.matches("and failure " .. i + 1 .. ": clean%-up %d\nstack",
        tostring(e))
    end
  end)

  it("shows one failure once, whoever awaited it", function()
    local e = error_of(casting.scope, function(scope)
      local bad = scope:spawn(function() error("once", 0) end)
      bad:await()
    end)
    assert.equal("once", e.error)
    assert.is_nil(e.others)
  end)

  it("keeps failures apart that look alike", function()
    local e = error_of(casting.scope, function(scope)
      for _ = 1, 2 do
        scope:spawn(function() error("alike", 0) end)
      end
    end)
    assert.equal(1, #e.others)
  end)

  it("raises nothing for a child that was cancelled alone", function()
    local status
    assert.equal("fine", casting.scope(function(scope)
      local child = scope:spawn(forever)
      casting.yield()
      child:cancel()
      status = pack(child:join())
      return "fine"
    end))
    assert.is_false(status[1])
  end)

  it("is cancelled with its body", function()
    local child
    local e = error_of(casting.scope, function(scope)
      child = scope:spawn(forever)
      casting.self():cancel("no more")
      casting.sleep(1000)
    end)
    assert.is_true(casting.is_cancelled(e))
    assert.equal("no more", e.reason)
    assert.equal("cancelled", child:status())
  end)

  it("does not cancel the caller", function()
    pcall(casting.scope, function() error "x" end)
    casting.sleep(0.001)
    local task = in_task(function()
      pcall(casting.scope, function() error "x" end)
      casting.yield()
      return "goes on"
    end)
    assert.same(pack(true, "goes on"), pack(task:join(LONG)))
  end)

  it("with fail_fast = false lets the others end", function()
    local done = 0
    local e = error_of(casting.scope, function(scope)
      scope:spawn(function() error("early", 0) end)
      for _ = 1, 3 do
        scope:spawn(function()
          casting.sleep(0.005)
          done = done + 1
        end)
      end
      scope:spawn(function()
        casting.sleep(0.005)
        error("late", 0)
      end)
      casting.yield()
      done = done + 1
    end, {fail_fast = false})
    assert.equal(4, done)
    assert.equal("early", e.error)
    assert.equal("late", e.others[1].error)
  end)

  it("has children that can be ended by scope:cancel", function()
    local children, first, again = {}, nil, nil
    local result = casting.scope(function(scope)
      for i = 1, 3 do children[i] = scope:spawn(forever) end
      casting.yield()
      first, again = scope:cancel("enough"), scope:cancel()
      helper.misuse(function() scope:spawn(forever) end, "spawn",
        "the scope is being cancelled: enough")
      return "result"
    end)
    assert.equal("result", result)
    assert.is_true(first)
    assert.is_false(again)
    for i = 1, 3 do
      local _, e = children[i]:join()
      assert.equal("enough", e.reason)
    end
  end)

  it("cancels children when the caller is cancelled, and waits", function()
    local children, cleaned, over = {}, 0, nil
    local session = casting.session()
    local parent = in_task(function()
      local ok, e = pcall(casting.scope, function(scope)
        for i = 1, 3 do
          children[i] = scope:spawn(function()
            local _, e = pcall(forever)
            cleaned = cleaned + 1
            error(e)
          end)
        end
        children[4] = scope:spawn_in(session,
          "require('casting').sleep(1000)")
        forever()
      end)
      over = cleaned
      error(ok or e, 0)
    end)
    helper.until_waiting(parent)
    helper.until_true(function()
      return #children == 4 and children[4]:status() == "waiting"
    end)
    parent:cancel("the parent goes")
    local ok, e = parent:join(LONG)
    assert.is_false(ok)
    assert.equal("cancelled", parent:status())
    assert.equal("the parent goes", e.reason)
    assert.equal(3, over)
    for i = 1, 4 do
      local _, reason = children[i]:join(LONG)
      assert.equal("the parent goes", reason.reason)
    end
  end)

  it("tells errors of clean-up when the caller was cancelled", function()
    local parent = in_task(casting.scope, function(scope)
      scope:spawn(function()
        pcall(forever)
        error("clean-up", 0)
      end)
      forever()
    end)
    helper.until_waiting(parent)
    casting.yield()
    parent:cancel("the parent goes")
    local ok, e = parent:join(LONG)
    assert.is_false(ok)
    assert.equal("clean-up", e.error)
    assert.is_true(casting.is_cancelled(e.cancelled))
    assert.matches("while it was cancelled: the parent goes", tostring(e))
  end)

  it("ends with its session", function()
    local session = casting.session()
    local started = casting.channel()
    local task = session:spawn(function(started)
      local casting = require "casting"
      casting.scope(function(scope)
        for _ = 1, 5 do
          scope:spawn(function()
            started:send(true)
            casting.sleep(1000)
          end)
        end
        casting.sleep(1000)
      end)
    end, started)
    for _ = 1, 5 do started:receive() end
    assert.is_true(session:close(LONG))
    assert.equal("cancelled", task:status())
  end)

  it("takes back what a thousand children have used", function()
    local sum = 0
    casting.scope(function(scope)
      for i = 1, 1000 do
        scope:spawn(function() sum = sum + i end)
      end
    end)
    assert.equal(500500, sum)
    local e = error_of(casting.scope, function(scope)
      for i = 1, 1000 do
        scope:spawn(function()
          if i == 500 then error("it", 0) end
          forever()
        end)
      end
    end)
    assert.equal("it", e.error)
  end)

  it("cannot be used after its end", function()
    local scope
    casting.scope(function(s) scope = s end)
    local session = casting.session()
    helper.misuse(function() scope:spawn(forever) end, "spawn",
      "the scope has ended", "scope_spec")
    helper.misuse(function() scope:spawn_in(session, forever) end, "spawn_in",
      "the scope has ended")
    assert.is_false(scope:cancel())
    pcall(casting.scope, function(s)
      scope = s
      error "x"
    end)
    helper.misuse(function() scope:spawn(forever) end, "has ended")
  end)

  it("refuses children while it fails", function()
    local message
    error_of(casting.scope, function(scope)
      scope:spawn(function()
        pcall(forever)
        local _
        _, message = pcall(scope.spawn, scope, forever)
      end)
      casting.yield()
      error("why", 0)
    end)
    assert.matches("spawn: the scope is being cancelled: .*failed: why$",
      message)
  end)

  it("does not bind tasks that it has not started", function()
    local outside
    casting.scope(function() outside = casting.spawn(forever) end)
    assert.equal("waiting", (casting.yield() or outside):status())
    outside:cancel()
    assert.is_false((outside:join(LONG)))
  end)

  it("cannot leave its session", function()
    local session = casting.session()
    local ch = casting.channel(1)
    casting.scope(function(scope)
      helper.misuse(function() ch:send(scope) end,
        "a scope cannot leave its session")
      helper.misuse(function()
        session:spawn(function() return scope end)
      end, "upvalue 'scope'", "a scope cannot leave its session")
    end)
  end)

  it("crosses by name, and its errors as what they are", function()
    local scope, all = casting.scope, casting.all
    local session = casting.session()
    local task = session:spawn(function()
      assert(scope == require("casting").scope)
      return all {function() return scope(function() return "there" end) end}
    end)
    assert.equal("there", task:await(LONG))
    local ok, e = session:spawn(function()
      scope(function(s)
        s:spawn(function() error({code = 5}) end)
        error({code = 6})
      end)
    end):join(LONG)
    assert.is_false(ok)
    assert.equal(6, e.error.code)
    assert.equal(5, e.others[1].error.code)
    assert.matches("and failure 2: ", tostring(e))
    -- A further scope here knows it for what it is.
    local again = error_of(casting.scope, function() error(e) end)
    assert.is_true(rawequal(again, e))
  end)

  it("works in a session without libraries", function()
    local session = casting.session {libs = {}}
    assert.same(pack(7, 8), pack(session:spawn(function()
      local casting = require "casting"
      return casting.scope(function(scope)
        return casting.all {scope:spawn(function() return 7 end),
          function() return 8 end}
      end)
    end):await(LONG)))
  end)

  it("is reported with everything, if nobody catches it", function()
    local child = helper.run [[
      local casting = require "casting"
      local task = casting.spawn(casting.scope, function(scope)
        scope:spawn(function()
          pcall(casting.sleep, 1000)
          error("second", 0)
        end)
        casting.yield()
        error("first", 0)
      end)
      while task:status() ~= "failed" do casting.sleep(0.001) end
    ]]
    assert.equal(0, child.status)
    assert.matches("first\nstack traceback", child.err)
    assert.matches("and failure 2: second", child.err)
  end)

  it("says what is wrong with its arguments, and where", function()
    helper.misuse(function() casting.scope() end, "scope_spec", "#1",
      "'scope'", "function expected, got nil")
    helper.misuse(function() casting.scope("x") end, "got string")
    helper.misuse(function() casting.scope(forever, 5) end, "#2",
      "table expected, got number")
    helper.misuse(function() casting.scope(forever, {x = 1}) end, "scope_spec",
      "unknown option 'x'")
    helper.misuse(function() casting.scope(forever, {fail_fast = 1}) end,
      "fail_fast must be a boolean")
    casting.scope(function(scope)
      helper.misuse(function() scope:spawn() end, "scope_spec", "'spawn'",
        "function expected, got nil")
      helper.misuse(function() scope.spawn(forever) end, "scope expected")
      helper.misuse(function() scope:spawn_in(forever) end, "'spawn_in'",
        "session expected, got function")
      helper.misuse(function() scope:cancel({}) end, "'cancel'",
        "string expected, got table")
    end)
  end)
end)

describe("casting.all", function()
  it("returns the first result of each, in order", function()
    local session = casting.session()
    local a = casting.spawn(function()
      casting.sleep(0.01)
      return "a", "dropped"
    end)
    local b = session:spawn("return nil")
    local c = casting.spawn(function() return {} end)
    local results = pack(casting.all {a, b, c, function() return "d" end, a})
    assert.equal(5, results.n)
    assert.equal("a", results[1])
    assert.is_nil(results[2])
    assert.is_true(rawequal(results[3], (c:await())))
    assert.equal("d", results[4])
    assert.equal("a", results[5])
    assert.equal(0, select("#", casting.all {}))
  end)

  it("takes tasks that have ended", function()
    local a = casting.spawn(function() return 1 end)
    a:join(LONG)
    assert.equal(1, casting.all {a})
  end)

  it("raises the first failure and cancels the others", function()
    local other = casting.spawn(forever)
    local e = error_of(casting.all, {other, function()
      casting.yield()
      error({code = 3})
    end})
    assert.equal(3, e.error.code)
    assert.equal("cancelled", other:status())
  end)

  it("raises the cancellation of one", function()
    local one, other = casting.spawn(forever), casting.spawn(forever)
    one:cancel("why")
    local e = error_of(casting.all, {one, other})
    assert.is_true(casting.is_cancelled(e))
    assert.equal("why", e.reason)
    assert.equal("cancelled", other:status())
  end)

  it("cancels its tasks when the caller is cancelled", function()
    local a, b = casting.spawn(forever), casting.spawn(forever)
    local parent = in_task(casting.all, {a, b})
    helper.until_waiting(parent)
    parent:cancel("goes")
    assert.is_false((parent:join(LONG)))
    for _, task in ipairs {a, b} do
      local _, e = task:join(LONG)
      assert.equal("goes", e.reason)
    end
  end)

  it("says what is wrong with its argument", function()
    helper.misuse(function() casting.all() end, "scope_spec", "'all'",
      "table expected, got nil")
    helper.misuse(function() casting.all {forever, 5} end, "scope_spec",
      "item 2", "task or function expected, got number")
    helper.misuse(function() casting.all {n = 1} end, "item 1", "got nil")
    local task
    task = in_task(function()
      helper.misuse(function() casting.all {task} end, "cannot wait for itself")
    end)
    assert.same(pack(true), pack(task:join(LONG)))
  end)
end)

describe("casting.race", function()
  it("gives the one that ends first, and cancels the others", function()
    local session = casting.session()
    local slow, far = casting.spawn(forever),
      session:spawn("require('casting').sleep(1000)")
    assert.same(pack(2, "won", nil, 3), pack(casting.race {slow, function()
      casting.sleep(0.005)
      return "won", nil, 3
    end, far}))
    assert.equal("cancelled", slow:status())
    assert.equal("cancelled", far:status())
    local _, e = slow:join()
    assert.equal("task 2 of a race has won", e.reason)
  end)

  it("takes one that has ended before", function()
    local done = casting.spawn(function() return "early" end)
    done:join(LONG)
    assert.same(pack(2, "early"), pack(casting.race {forever, done}))
  end)

  it("raises the winner's error, or its cancellation", function()
    local e = error_of(casting.race, {forever, function() error("x", 0) end})
    assert.equal("x", e.error)
    local other = casting.spawn(forever)
    other:cancel("why")
    e = error_of(casting.race, {forever, other})
    assert.equal("why", e.reason)
  end)

  it("reports what the losers fail with as nobody's", function()
    local child = helper.run [[
      local casting = require "casting"
      print(casting.race {function() return "won" end, function()
        pcall(casting.sleep, 1000)
        error "clean-up of a loser"
      end})
    ]]
    assert.equal(0, child.status)
    assert.equal("1\twon\n", child.out)
    assert.matches("failed: .*clean%-up of a loser", child.err)
  end)

  it("cancels its tasks when the caller is cancelled", function()
    local a = casting.spawn(forever)
    local parent = in_task(casting.race, {a})
    helper.until_waiting(parent)
    parent:cancel("goes")
    assert.is_false((parent:join(LONG)))
    local _, e = a:join(LONG)
    assert.equal("goes", e.reason)
  end)

  it("says what is wrong with its argument", function()
    helper.misuse(function() casting.race {} end, "scope_spec", "'race'",
      "empty")
    helper.misuse(function() casting.race(5) end, "'race'", "table expected")
    helper.misuse(function() casting.race {"x"} end, "item 1")
  end)
end)
