-- stream_spec.lua - casting.stream: items through functions, many at once.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

local function range(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

-- An iterator over 1, 2 ..., and how far it has been called.
local function counter(n)
  local seen = {at = 0}
  return function()
    if n and seen.at == n then return nil end
    seen.at = seen.at + 1
    return seen.at
  end, seen
end

local function twice(x) return 2 * x end

local function error_of(f, ...)
  local ok, e = pcall(f, ...)
  if ok then error("no error was raised", 2) end
  return e
end

describe("casting.stream", function()
  it("does nothing before it runs", function()
    local called = false
    local pipeline = casting.stream(function() called = true end)
      :map(twice):filter(twice):batch(2):take(3)
    assert.is_false(called)
    assert.same({}, pipeline:collect())
    assert.is_true(called)
    assert.equal("pipeline of table:map:take",
      tostring(casting.stream({}):map(twice):take(1)))
  end)

  it("takes lists, with n, and leaves nil out", function()
    assert.same({1, 2, 3}, casting.stream({1, 2, 3}):collect())
    assert.same({1, 3}, casting.stream({1, nil, 3, 4, n = 3}):collect())
    assert.same({}, casting.stream({}):map(twice):collect())
    local pipeline = casting.stream({1, 2}):map(twice, {sessions = 1})
    assert.same({2, 4}, pipeline:collect())
    assert.same({2, 4}, pipeline:collect())
  end)

  it("takes iterators as a for does", function()
    assert.same(range(5), casting.stream((counter(5))):collect())
    local pairs_of = casting.stream(ipairs {"a", "b"}):collect()
    assert.same({{1, "a", n = 2}, {2, "b", n = 2}}, pairs_of)
    local ended = 0
    local iterator = counter(2)
    casting.stream(function()
      local item = iterator()
      if item == nil then ended = ended + 1 end
      return item
    end):map(twice, {sessions = 1}):batch(9):collect()
    assert.equal(1, ended)
  end)

  it("closes what an iterator has to close", function()
    local closed = 0
    local closing = {close = function()
      casting.yield()
      closed = closed + 1
    end}
    local pipeline = casting.stream(function() return 1 end, nil, nil, closing)
    assert.same({1, 1}, pipeline:take(2):collect())
    assert.equal(1, closed)
    pcall(function()
      casting.stream(error, nil, nil, closing):map(twice):collect()
    end)
    assert.equal(2, closed)
  end)

  it("takes files and directories", function()
    local fs = require "casting.fs"
    local lines = 0
    for _ in io.lines("README.md") do lines = lines + 1 end
    assert.equal(lines, casting.stream(fs.lines("README.md"))
      :map(function(line) return #line end):each(function() end))
    local names = casting.stream(fs.walk("docs", {depth = 1}))
      :filter(function(entry) return entry[2] == "file" end)
      :map(function(entry) return entry[1] end, {sessions = 1}):collect()
    assert.is_true(#names > 3)
    assert.is_truthy(names[1]:find("docs/", 1, true))
  end)

  it("takes a channel, and no more than it needs", function()
    local ch = casting.channel(100)
    ch:send_all(range(100))
    assert.same({1, 2, 3}, casting.stream(ch):take(3):collect())
    assert.equal(97, #ch)
    assert.same({{4, 5}, {6, 7}}, casting.stream(ch):batch(2):take(2):collect())
    assert.equal(93, #ch)
    ch:close()
    local all = casting.stream(ch):map(twice, {sessions = 2}):collect()
    assert.equal(93, #all)
    assert.equal(16, all[1])
    assert.equal(200, all[93])
    local several = casting.channel(2)
    several:send(1, nil, 3)
    several:close()
    assert.same({{n = 3, 1, nil, 3}}, casting.stream(several):collect())
  end)

  it("gives results while a channel has nothing more", function()
    local ch = casting.channel()
    local seen = casting.channel(9)
    local task = casting.spawn(function()
      return casting.stream(ch):map(twice, {sessions = 1}):into(seen)
    end)
    for i = 1, 20 do
      ch:send(i)
      assert.equal(2 * i, seen:receive(LONG))
    end
    ch:close()
    assert.equal(20, task:await(LONG))
  end)
end)

describe("pipeline:map", function()
  it("keeps the order of the items, unless told not to", function()
    local slow = function(x)
      if x % 7 == 0 then require("casting").sleep(0.0005) end
      return x
    end
    assert.same(range(300),
      casting.stream(range(300)):map(slow, {sessions = 3}):collect())
    local all = casting.stream(range(300)):map(slow,
      {sessions = 2, tasks = 3, ordered = false, batch = 4}):collect()
    table.sort(all)
    assert.same(range(300), all)
    local first = casting.stream({1, 2}):map(function(x)
      if x == 1 then require("casting").sleep(0.05) end
      return x
    end, {sessions = 2, ordered = false}):take(1):collect()
    assert.same({2}, first)
  end)

  for _, place in ipairs(helper.places) do
    it("works in " .. place[1], function()
      assert.same({2, 4, 6}, place[2](function()
        return require("casting").stream({1, 2, 3})
          :map(function(x) return 2 * x end):collect()
      end))
    end)
  end

  it("leaves out what becomes nil, and keeps false", function()
    assert.same({1, false, 3}, casting.stream({1, 2, 3, 4}):map(function(x)
      if x == 2 then return false end
      if x < 4 then return x end
    end, {sessions = 2}):collect())
  end)

  it("gives f the number, and lets it report", function()
    local done = {}
    local all = casting.stream({"a", "b", "c"}):map(function(x, i, report)
      report(x, i)
      report()
      return x .. i
    end, {sessions = 1, batch = 2, progress = function(...)
      done[#done + 1] = pack(...)
    end}):collect()
    assert.same({"a1", "b2", "c3"}, all)
    assert.same({pack(0, 1, "a", 1), pack(0, 1), pack(0, 2, "b", 2),
      pack(0, 2), pack(2), pack(2, 3, "c", 3), pack(2, 3), pack(3)}, done)
  end)

  it("takes no more than its window", function()
    local source, seen = counter()
    local go = casting.channel()
    local most = 0
    local pipeline = casting.stream(source):map(function(x)
      go:receive()
      return x
    end, {sessions = 0, tasks = 2, window = 5}):take(20)
    local task = casting.spawn(function()
      return pipeline:each(function(_, i)
        most = math.max(most, seen.at - i)
      end)
    end)
    for _ = 1, 30 do casting.yield() end
    assert.equal(5, seen.at)
    go:close()
    assert.equal(20, task:await(LONG))
    assert.is_true(most <= 5)
  end)

  it("waits for a slow end", function()
    local source, seen = counter()
    local ahead = 0
    casting.stream(source):map(twice, {sessions = 2, window = 8}):take(50)
      :each(function(_, i)
        casting.sleep(0.0001)
        ahead = math.max(ahead, seen.at - i)
      end)
    assert.is_true(ahead <= 8)
  end)

  it("may follow another one, and be of this session", function()
    local n = 0
    local sum = casting.stream(range(200)):map(twice, {sessions = 1})
      :filter(function(x) return x % 4 == 0 end)
      :map(function(x)
        n = n + 1
        casting.yield()
        return x / 4
      end, {sessions = 0, tasks = 10, ordered = false})
      :map(function(x) return x end, {sessions = 2, ordered = false})
      :fold(function(sum, x) return sum + x end, 0)
    assert.equal(5050, sum)
    assert.equal(100, n)
  end)

  it("uses sessions that are given, and leaves them open", function()
    local session = casting.session {name = "mine"}
    session:spawn(function() counted = 0 end):await(LONG) -- luacheck: ignore
    local all = casting.stream(range(50)):map(function()
      counted = counted + 1 -- luacheck: ignore
      return require("casting").self():session():name() ..
        counted -- luacheck: ignore
    end, {sessions = {session}}):collect()
    assert.equal("mine50", all[50])
    assert.is_true(session:wait(LONG))
    session:close()
    assert.is_truthy(tostring(error_of(function()
      casting.stream({1}):map(twice, {sessions = {session}})
    end)):find("item 1 is closed", 1, true))
  end)
end)

describe("the other stages", function()
  it("filter, batch and take", function()
    local numbers = {}
    local lists = casting.stream(range(10)):filter(function(x, i)
      numbers[i] = x
      return x % 2 == 1
    end):batch(2):collect()
    assert.same({{1, 3}, {5, 7}, {9}}, lists)
    assert.same(range(10), numbers)
    local source, seen = counter()
    assert.same(range(3), casting.stream(source):take(3):collect())
    assert.equal(3, seen.at)
    assert.same({}, casting.stream(source):take(0):collect())
    assert.equal(3, seen.at)
    assert.equal(0, casting.stream(range(3)):take(0):each(error))
  end)

  it("each, fold and into", function()
    local got = {}
    assert.equal(3, casting.stream({7, 8, 9}):each(function(item, i)
      got[i] = item
    end))
    assert.same({7, 8, 9}, got)
    assert.equal("0a1b2", casting.stream({"a", "b"}):fold(
      function(text, item, i) return text .. item .. i end, "0"))
    local ch = casting.channel(5)
    assert.equal(3, casting.stream(range(3)):into(ch))
    assert.is_false(ch:closed())
    assert.same(range(3), ch:receive_many(9))
    ch:close()
    assert.equal(0, casting.stream((counter())):map(twice):into(ch))
  end)
end)

describe("a pipeline that fails", function()
  it("says which item it was", function()
    local e = error_of(function()
      casting.stream(range(100)):map(function(x)
        if x == 42 then error "no good" end
        return x
      end, {sessions = 2}):collect()
    end)
    assert.equal(42, e.index)
    assert.is_truthy(tostring(e.error):find "no good")
    assert.is_truthy(tostring(e):find "item 42")
    assert.is_truthy(e.traceback:find "in task %d+ of session 'stream %d'")
    e = error_of(function()
      casting.stream(range(9)):filter(function(x) return x > 3 end)
        :each(function(x, i) if i == 2 then error({x}) end end)
    end)
    assert.equal(2, e.index)
    assert.same({5}, e.error)
    e = error_of(function()
      casting.stream(range(9)):filter(function(x) return x + {} end)
        :map(twice, {sessions = 1}):collect()
    end)
    assert.equal(1, e.index)
  end)

  it("raises errors of the source as they are", function()
    local mine = {}
    for _, sessions in ipairs {0, 1, 2} do
      local at = 0
      assert.equal(mine, error_of(function()
        casting.stream(function()
          at = at + 1
          if at == 30 then error(mine) end
          return at
        end):map(twice, {sessions = sessions}):map(twice, {sessions = 1})
          :each(function() end)
      end))
    end
    assert.equal(mine, error_of(function()
      casting.stream(error, mine):collect()
    end))
  end)

  it("says which item or result cannot cross", function()
    local co = coroutine.create(function() end)
    local e = error_of(function()
      casting.stream({1, 2, co, 4}):map(twice, {sessions = 1, batch = 2})
        :collect()
    end)
    assert.equal(3, e.index)
    assert.is_truthy(tostring(e.error):find "cannot send a coroutine")
    e = error_of(function()
      casting.stream({1, 2, 3}):map(function(x)
        return x < 3 and x or coroutine.create(function() end)
      end, {sessions = 1, batch = 3}):collect()
    end)
    assert.equal(3, e.index)
    assert.is_truthy(tostring(e.error):find "cannot send a coroutine")
    e = error_of(function()
      casting.stream({1}):map(function()
        error(coroutine.create(function() end))
      end, {sessions = 1}):collect()
    end)
    assert.is_truthy(tostring(e.error):find "thread")
    e = error_of(function()
      casting.stream({1, co}):into(casting.channel(9))
    end)
    assert.equal(2, e.index)
  end)

  it("leaves nothing behind", function()
    for _ = 1, 5 do
      pcall(function()
        casting.stream((counter())):map(function(x)
          if x == 20 then error "stop" end
          return x
        end, {sessions = 3, tasks = 2}):map(twice):each(function() end)
      end)
      casting.stream((counter())):map(twice, {sessions = 2}):take(5):collect()
    end
    assert.is_nil(casting.report():find "stream %d")
  end)

  it("is cancelled, and cancels its work", function()
    local began, ended = casting.channel(99), casting.channel(99)
    local task = casting.spawn(function()
      casting.stream((counter())):map(function()
        began:send(true)
        local ok, e = pcall(require("casting").sleep, 100)
        ended:try_send(true)
        if not ok then error(e, 0) end
      end, {sessions = 2}):collect()
    end)
    assert.is_true(began:receive(LONG))
    assert.is_true(began:receive(LONG))
    task:cancel("enough")
    assert.is_false((task:join(LONG)))
    assert.equal("cancelled", task:status())
    assert.equal(2, #ended)
    assert.same(pack(nil, "timeout"), pack(casting.with_timeout(0.02,
      function()
        casting.stream(casting.channel()):map(twice):collect()
      end)))
  end)

  it("says so if its sessions are closed", function()
    local session = casting.session()
    local started = casting.channel(1)
    local task = casting.spawn(function()
      return casting.stream((counter())):map(function()
        started:try_send(true)
        require("casting").sleep(100)
      end, {sessions = {session}}):map(twice, {sessions = 1}):collect()
    end)
    assert.is_true(started:receive(LONG))
    session:close(LONG)
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.matches("stream: a worker was stopped: cancelled", tostring(e))
  end)

  it("refuses what it cannot use, where that is given", function()
    local s = casting.stream({})
    helper.misuse(function() casting.stream() end, "stream_spec", "#1",
      "'stream'", "list, iterator or channel expected, got nil")
    helper.misuse(function() casting.stream({n = -1}) end, "its n must be")
    helper.misuse(function() s:map() end, "stream_spec", "#1", "'map'",
      "function expected, got nil")
    helper.misuse(function() s:map(twice, 5) end, "#2", "'map'")
    helper.misuse(function() s:map(twice, {session = 1}) end,
      "unknown option 'session'")
    helper.misuse(function() s:map(twice, {sessions = -1}) end, "sessions")
    helper.misuse(function() s:map(twice, {window = 0}) end, "window")
    helper.misuse(function() s:map(twice, {batch = 1.5}) end, "batch")
    helper.misuse(function() s:map(twice, {tasks = "x"}) end, "tasks")
    helper.misuse(function() s:map(twice, {ordered = 1}) end, "ordered")
    helper.misuse(function() s:map(twice, {progress = 1}) end, "progress")
    local co = coroutine.create(function() end)
    helper.misuse(function() s:map(function() return co end) end, "coroutine")
    assert.has_no.errors(function()
      s:map(function() return co end, {sessions = 0})
    end)
    helper.misuse(function() s:filter(1) end, "#1", "'filter'")
    helper.misuse(function() s:batch(0) end, "#1", "'batch'", "from 1 on")
    helper.misuse(function() s:take(-1) end, "#1", "'take'", "from 0 on")
    helper.misuse(function() s:each() end, "#1", "'each'")
    helper.misuse(function() s:fold() end, "#1", "'fold'")
    helper.misuse(function() s:into({}) end, "#1", "'into'")
    helper.misuse(function() s.map({}, twice) end, "pipeline expected")
    helper.misuse(function() s.collect() end, "pipeline expected")
    helper.misuse(function() casting.channel(1):send(s) end,
      "a pipeline cannot leave its session")
  end)
end)
