-- parkmod_spec.lua - a C module whose calls suspend the calling task only.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

-- Built with the unit tests (examples/c/parkmod.c), if liblua is installed.
local there, parkmod = pcall(require, "parkmod")
if not there then
  describe("parkmod", function() pending "is not built here" end)
  return
end

local function prime(n)
  return select(2, casting.spawn(parkmod.work, n):join(LONG))
end

describe("examples/c/parkmod.c", function()
  it("computes elsewhere", function()
    assert.equal(2, prime(1))
    assert.equal(7919, prime(1000))
    assert.equal(7919, parkmod.work(1000)) -- the main program waits as well
  end)

  it("lets other tasks run", function()
    local ticks, finished = 0, false
    local clock = casting.spawn(function()
      while not finished do ticks = ticks + 1 casting.yield() end
    end)
    assert.equal(17389, prime(2000))
    finished = true
    clock:join(LONG)
    assert.is_true(ticks > 1)
  end)

  it("works in sessions, many at a time", function()
    local s, tasks = casting.session(), {}
    for i = 1, 20 do
      tasks[i] = s:spawn(function(n) return (require "parkmod".work(n)) end, i)
    end
    assert.equal(71, tasks[20]:await(LONG))
    for i = 1, 20 do tasks[i]:await(LONG) end
    s:close()
  end)

  it("works where the VM cannot yield", function()
    local sum = 0
    casting.spawn(function()
      table.sort({1, 2}, function() sum = sum + parkmod.work(4) end)
    end):await(LONG)
    assert.equal(0, sum % 7)
    assert.is_true(sum > 0)
    local co = casting.spawn(function()
      return coroutine.wrap(function() return pcall(parkmod.work, 3) end)()
    end)
    assert.same(pack(true, true, 5), pack(co:join(LONG)))
  end)

  it("reads a pipe when there is something", function()
    local r, w = parkmod.pipe()
    local t = casting.spawn(function() return parkmod.read(r, 2) end)
    helper.until_waiting(t)
    parkmod.write(w, "hello")
    assert.same(pack(true, "he"), pack(t:join(LONG)))
    assert.equal("llo", parkmod.read(r, 100))
    parkmod.close(w)
    assert.equal("", casting.run(parkmod.read, r, 10)) -- the end
    parkmod.close(r)
  end)

  it("gives up at its timeout, or when cancelled", function()
    local r, w = parkmod.pipe()
    assert.same(pack(nil, "timeout"), pack(parkmod.read(r, 10, 0.002)))
    assert.same(pack(nil, "timeout"), pack(casting.run(parkmod.read, r, 10, 0)))
    local t = casting.spawn(function() parkmod.read(r, 10) end)
    helper.until_waiting(t)
    t:cancel "enough"
    local ok, err = t:join(LONG)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(err))
    parkmod.close(r)
    parkmod.close(w)
  end)

  it("unwinds with its session", function()
    local s = casting.session()
    local r, w = parkmod.pipe()
    local t = s:spawn(function(fd) require "parkmod".read(fd, 10) end, r)
    helper.until_waiting(t)
    assert.is_true(s:close(LONG))
    assert.equal("cancelled", t:status())
    parkmod.close(r)
    parkmod.close(w)
  end)
end)
