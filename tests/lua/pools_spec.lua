-- pools_spec.lua - casting.pool: things that are costly to make, lent to tasks.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, misuse, LONG = helper.pack, helper.misuse, helper.LONG

-- A pool of tables, and what has become of them.
local function counted(size, options)
  options = options or {}
  local log = {made = 0, closed = {}}
  options.size = size
  options.make = options.make or function()
    log.made = log.made + 1
    return {number = log.made}
  end
  options.close = function(item)
    casting.yield()
    log.closed[#log.closed + 1] = item.number
  end
  return casting.pool(options), log
end

for _, place in ipairs(helper.places) do
  local title, run = place[1], place[2]

  describe("a pool in " .. title, function()
    it("lends what it has, and makes what it lacks", function()
      assert.same(pack(2, 5, 2, 2, 0), pack(run(function()
        local casting = require "casting"
        local made, sum = 0, 0
        local pool = casting.pool {size = 2, make = function()
          made = made + 1
          return {made}
        end}
        casting.scope(function(scope)
          for _ = 1, 5 do
            scope:spawn(pool.with, pool, function(item)
              casting.yield()
              sum = sum + 1
              return item
            end)
          end
        end)
        local stats = pool:stats()
        return made, sum, stats.size, stats.idle, stats.used
      end)))
    end)
  end)
end

describe("casting.pool", function()
  it("uses again what was used last", function()
    local pool, log = counted(3)
    local a, b = pool:take(), pool:take()
    assert.equal(1, a.item.number)
    assert.equal(2, b.item.number)
    assert.is_true(a:release())
    assert.is_false(a:release())
    assert.is_false(a:discard())
    assert.is_true(b:release())
    assert.equal(2, pool:with(function(item) return item.number end))
    assert.equal(2, log.made)
    assert.equal("pool of 3 (0 in use)", tostring(pool))
  end)

  it("lets wait who comes when all are out", function()
    local pool = counted(1)
    local lease = pool:take()
    assert.same(pack(nil, "timeout"), pack(pool:take(0)))
    assert.same(pack(nil, "timeout"), pack(pool:take(0.01)))
    local order = {}
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = casting.spawn(pool.with, pool, function(item)
        order[#order + 1] = i
        casting.yield()
        return item.number
      end)
    end
    casting.yield()
    lease:release()
    for i = 1, 3 do assert.equal(1, tasks[i]:await(LONG)) end
    assert.same({1, 2, 3}, order)
  end)

  it("closes what was in a call that failed", function()
    local pool, log = counted(1)
    local ok, e = pcall(pool.with, pool, function(item) error(item) end)
    assert.is_false(ok)
    assert.equal(1, e.number)
    assert.same({1}, log.closed)
    assert.equal(2, pool:with(function(item) return item.number end))
    local lease = pool:take()
    lease:discard()
    assert.same({1, 2}, log.closed)
    local task = casting.spawn(pool.with, pool, function()
      casting.sleep(100)
    end)
    casting.yield()
    task:cancel()
    task:join(LONG)
    assert.same({1, 2, 3}, log.closed)
    assert.equal(0, pool:stats().used)
  end)

  it("looks whether they are still good", function()
    local good, checked = {true, false}, {}
    local pool, log = counted(3, {check = function(item)
      checked[#checked + 1] = item.number
      if item.number == 3 then error "no" end
      return good[item.number]
    end})
    local a, b, c = pool:take(), pool:take(), pool:take()
    for _, lease in ipairs {a, b, c} do lease:release() end
    assert.equal(1, pool:take().item.number)
    assert.same({3, 2, 1}, checked)
    assert.same({3, 2}, log.closed)
    assert.equal(4, pool:take().item.number)
  end)

  it("keeps nothing that was idle for long", function()
    local pool, log = counted(2, {idle = 0})
    pool:take():release()
    casting.sleep(0.001)
    assert.equal(2, pool:take().item.number)
    assert.same({1}, log.closed)
  end)

  it("closes what tasks had that ended", function()
    local pool, log = counted(2)
    local kept = pool:take()
    casting.spawn(function() pool:take() end):join(LONG)
    casting.spawn(function() pool:take() error "x" end):join(LONG)
    assert.equal(1, pool:stats().used)
    assert.equal(4, pool:take(0).item.number)
    assert.same({2, 3}, log.closed)
    assert.is_true(kept:release())
  end)

  it("says why nothing could be made", function()
    local answers = {{nil, "refused", 3}, {}, {"ok"}}
    local n = 0
    local pool = casting.pool {size = 1, make = function()
      n = n + 1
      if n == 1 then error("broken", 0) end
      return helper.unpack(answers[n - 1], 1, 3)
    end}
    assert.same(pack(false, "broken"), pack(pcall(pool.take, pool)))
    assert.same(pack(nil, "refused", 3), pack(pool:take()))
    assert.is_nil((pool:take()))
    assert.equal("ok", pool:take(0).item)
  end)

  it("makes nothing for who is cancelled", function()
    local pool, log = counted(1, {make = function() casting.sleep(100) end})
    local task = casting.spawn(pool.take, pool)
    casting.yield()
    task:cancel()
    assert.is_false((task:join(LONG)))
    assert.equal(0, pool:stats().used)
    assert.same({}, log.closed)
  end)

  it("is closed", function()
    local pool, log = counted(3)
    local a, b = pool:take(), pool:take()
    b:release()
    assert.is_true(pool:close())
    assert.is_false(pool:close())
    assert.same({2}, log.closed)
    assert.same(pack(nil, "closed"), pack(pool:take()))
    assert.same(pack(nil, "closed"), pack(pool:with(error)))
    a:release()
    assert.same({2, 1}, log.closed)
  end)

  it("lends sessions, too", function()
    local pool = casting.pool {size = 2, make = casting.session}
    local session
    assert.equal(5, pool:with(function(item)
      session = item
      return item:spawn(function() return 5 end):await(LONG)
    end))
    pool:close()
    assert.is_false((pcall(session.spawn, session, print)))
  end)

  it("gives leases back at the end of a block", function()
    if helper.version < "5.4" then return end
    local pool, log = counted(1)
    local chunk = assert(load [[
      local pool = ...
      do local lease <close> = pool:take() end
      assert(pool:stats().idle == 1)
      pcall(function()
        local lease <close> = pool:take()
        error "x"
      end)
      assert(pool:stats().idle == 0 and pool:stats().used == 0)
      local own <close> = pool
    ]])
    chunk(pool)
    assert.same({1}, log.closed)
    assert.same(pack(nil, "closed"), pack(pool:take()))
  end)

  it("stays in its session", function()
    local pool = counted(1)
    local lease, ch = pool:take(), casting.channel(1)
    misuse(function() ch:send(pool) end, "a pool cannot leave its session")
    misuse(function() ch:send(lease) end, "a lease cannot leave its session")
  end)

  it("is named by errors", function()
    local function bad(options, word)
      misuse(function() casting.pool(options) end, "#1 to 'pool'", word)
    end
    bad(nil, "table expected, got nil")
    bad({}, "make must be a function, got nil")
    bad({make = 5, size = 1}, "make must be a function, got 5")
    for _, size in ipairs {0, 1.5, -1, 0 / 0, "3", math.huge} do
      bad({make = print, size = size}, "size must be an integer from 1")
    end
    bad({make = print, size = 1, idle = -1}, "idle must be a number of seconds")
    bad({make = print, size = 1, check = 1}, "check must be a function")
    bad({make = print, size = 1, close = {}}, "close must be a function")
    bad({make = print, size = 1, max = 1}, "unknown option 'max'")
    local pool = counted(1)
    misuse(function() pool:take(-1) end, "#1 to 'take'", "timeout")
    misuse(function() pool:with(1) end, "#1 to 'with'", "function expected")
    misuse(function() pool.take(pool:take()) end, "pool expected")
    misuse(function() pool.close {} end, "pool expected, got table")
    misuse(function() counted(1):take().release(pool) end, "lease expected")
  end)
end)
