-- told_spec.lua - who is told of the end of a task takes nothing of what moves.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local netkit = require "netkit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG
local buffer = require "buffer" -- examples/buffer.c

-- What moves: makes one, and tells whether one is still the session's own.
local kinds = {
  {"a stream", netkit.tcp, function(v) return (v:stats()) ~= nil end},
  {"a udp socket", function()
    return assert(require "casting.net".udp("127.0.0.1", 0))
  end, function(v) return v:name() == "127.0.0.1" end},
  {"userdata of a C module", function() return buffer.new(1) end,
    function(v) return v:get(1) == 0 end},
}

for _, kind in ipairs(kinds) do
  local title, make, is_here = kind[1], kind[2], kind[3]

  describe("the end of a task with " .. title, function()
    local v
    before_each(function() v = make() end)

    -- Is it the very value, and has it its content?
    local function check(got)
      assert.is_true(rawequal(v, got))
      assert.is_true(is_here(v))
    end
    local function give() return v end
    local function fail() error {conn = v} end

    it("leaves it to all, race and scope", function()
      check((casting.all {give}))
      check(casting.all {function() return {conn = v} end}.conn)
      check(casting.all {function() return function() return v end end}())
      check(select(2, casting.race {give}))
      check(casting.scope(give))
      check(casting.scope(function(scope)
        local task = scope:spawn(give)
        check(task:await(LONG))
        return task:await(LONG)
      end))
    end)

    it("leaves it to a failure", function()
      local ok, e = pcall(casting.all, {fail})
      assert.is_false(ok)
      check(e.error.conn)
      ok, e = pcall(casting.scope, fail)
      assert.is_false(ok)
      check(e.error.conn)
    end)

    it("leaves it to monitors, and to who joins after them", function()
      local ends = casting.channel(1 / 0)
      local task = casting.spawn(give)
      local before = task:monitor()
      task:monitor(ends)
      check(select(2, before:receive(LONG)))
      check(select(3, ends:receive(LONG)))
      check(select(2, task:monitor():receive(LONG)))
      check(task:await(LONG))
      task = casting.spawn(give)
      task:join(LONG)
      check(select(2, task:monitor():receive(LONG)))
      check(task:await(LONG))
      task = casting.spawn(fail)
      check(select(2, task:monitor():receive(LONG)).conn)
      check(select(2, task:join(LONG)).conn)
    end)

    it("leaves it to a monitor when the task's handle is gone", function()
      local first = casting.spawn(give):monitor()
      collectgarbage()
      collectgarbage()
      casting.yield()
      casting.yield()
      collectgarbage()
      collectgarbage()
      check(select(2, first:receive(LONG)))
    end)

    it("brings it by a channel of many when nobody can join", function()
      local ends = casting.channel(1 / 0)
      casting.spawn(make):monitor(ends)
      collectgarbage()
      collectgarbage()
      local _, ok, got = ends:receive(LONG)
      assert.is_true(ok)
      assert.is_true(is_here(got))
    end)

    it("is described to monitors of another session", function()
      local session = netkit.session()
      local task = casting.spawn(give)
      local monitor = task:monitor()
      local ok, why = session:spawn(function(monitor) -- luacheck: ignore
        return monitor:receive()
      end, monitor):await(LONG)
      assert.is_false(ok)
      assert.matches("cannot send", why)
      assert.matches("it moves", why)
      check(task:await(LONG))
      session:close()
    end)

    it("is described to casting.on_error", function()
      local reports = casting.channel(1 / 0)
      casting.on_error(reports)
      casting.spawn(fail)
      casting.yield()
      collectgarbage()
      collectgarbage()
      assert.equal("string", type(reports:receive(LONG).error))
      assert.is_true(is_here(v))
      local task = casting.spawn(fail)
      assert.equal("string", type(reports:receive(LONG).error))
      casting.on_error(nil)
      check(select(2, task:join(LONG)).conn)
    end)

    it("goes to another session that has the task", function()
      local session = netkit.session()
      local task = casting.spawn(give)
      task:monitor()
      local other = session:spawn(function(task) -- luacheck: ignore
        local ok, got = task:join()
        return ok, type(got)
      end, task)
      assert.same(pack(true, "userdata"), pack(other:await(LONG)))
      local here, whole = pcall(is_here, v)
      assert.is_false(here and whole)
      session:close()
    end)
  end)
end

describe("listener:serve with a function that keeps its stream", function()
  local function hand_out(stream)
    local how = stream:read("l", LONG)
    if how == "return" then return stream end
    if how == "function" then return function() return stream end end
    error({conn = stream}, 0)
  end

  local function check(options)
    local reports = casting.channel(1 / 0)
    casting.on_error(reports)
    local net = require "casting.net"
    local listener = assert(net.listen("127.0.0.1", 0))
    local server = casting.spawn(function()
      return listener:serve(hand_out, options)
    end)
    for _, how in ipairs {"return", "function", "error"} do
      local client = assert(net.connect(listener:name()))
      client:write(how .. "\n")
      assert.same(pack(nil, "closed"), pack(client:read("l", LONG)))
      client:close()
    end
    listener:close()
    assert.same(pack(true, true), pack(server:join(LONG)))
    casting.on_error(nil)
  end

  it("closes the connection", function() check() end)
  it("closes it in sessions", function() check {sessions = 2} end)
end)
