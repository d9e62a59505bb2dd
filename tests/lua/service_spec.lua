-- service_spec.lua - casting.service: an object with methods, in a session.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

local function error_of(f, ...)
  local ok, e = pcall(f, ...)
  if ok then error("no error was raised", 2) end
  return e
end

-- A service that counts, and can be held: `hold` waits for the channel.
local function counter(options)
  return casting.service({
    n = 0,
    add = function(self, by)
      self.n = self.n + by
      return self.n
    end,
    count = function(self) return self.n end,
    echo = function(_, ...) return ... end,
    hold = function(_, began, go)
      began:send(true)
      return go:receive()
    end,
    fail = function(_, e) error(e, 0) end,
    break_in = function() error "broken" end,
    stop_me = function(_, service) return service:stop() end,
    ask = function(_, service, ...) return service:call(...) end,
    leave = function()
      local casting = require "casting"
      casting.self():cancel "no more"
      casting.yield()
    end,
  }, options)
end

local function channels(n)
  local list = {}
  for i = 1, n do list[i] = casting.channel(1) end
  return (table.unpack or unpack)(list) -- luacheck: ignore
end

local service -- of the test that runs
local function new(options)
  service = counter(options)
  return service
end

describe("casting.service", function()
  after_each(function()
    if service then service:stop(0) end
    service = nil
  end)

  it("calls methods of an object, which keeps its state", function()
    local s = new()
    assert.same({true, 5}, {s:call("add", 5)})
    assert.same({true, 7}, {s:call("add", 2)})
    assert.same({true, 7}, {s:call "count"})
  end)

  for _, place in ipairs(helper.places) do
    it("works in " .. place[1], function()
      assert.same({true, "x", 2}, place[2](function()
        local casting = require "casting"
        local s = casting.service {say = function(_, ...) return ... end}
        local result = {s:call("say", "x", 2)}
        s:stop()
        return result
      end))
    end)
  end

  it("carries values of any kind, and any number of them", function()
    local s = new()
    local function echo(...)
      local sent, got = helper.pack(true, ...), helper.pack(s:call("echo", ...))
      assert.same(sent, got)
    end
    echo()
    echo(nil)
    echo(nil, nil, 3)
    echo(0)
    echo(-1)
    echo(2 ^ 31)
    echo(-2 ^ 31)
    echo(2 ^ 31 - 1)
    echo(2 ^ 53)
    echo(1.5)
    echo(1 / 0)
    echo(false)
    echo("", ("x"):rep(31), ("y"):rep(32), ("z"):rep(100000))
    echo({1, {2}, x = {}}, "a", nil)
    echo(s)
    local _, nan = s:call("echo", 0 / 0)
    assert.is_true(nan ~= nan)
    if helper.integers then
      local _, i, f = s:call("echo", 3, 3.0)
      assert.same({"integer", "float"}, {math.type(i), math.type(f)})
    end
  end)

  it("finds methods through metatables, and calls what has a __call", function()
    local Class = {}
    Class.__index = Class
    function Class:get() return self.v end
    service = casting.service(setmetatable({v = 4, callable = setmetatable({}, {
      __call = function(_, self) return self.v + 1 end})}, Class))
    assert.same({true, 4}, {service:call "get"})
    assert.same({true, 5}, {service:call "callable"})
  end)

  it("takes a constructor, which runs in the session", function()
    service = casting.service(function(name, n, ...)
      local session = require "casting".self():session()
      return {told = function() return name, n, session:name() end,
        extra = select("#", ...)}
    end, {args = {"a", nil, nil, n = 3}, session = {name = "home"}})
    assert.same({true, "a", nil, "home"}, {service:call "told"})
  end)

  it("takes the name of a module, which is not copied", function()
    local dir = os.tmpname()
    os.remove(dir)
    local name = dir:match "[^/\\]*$":gsub("%W", "_")
    local path = dir:match "^(.*[/\\])" .. name .. ".lua"
    helper.spit(path, "return {where = function() return 'module' end}")
    local old = package.path
    package.path = dir:match "^(.*[/\\])" .. "?.lua;" .. package.path
    local ok, s = pcall(casting.service, name)
    package.path = old
    os.remove(path)
    assert.is_true(ok, s)
    service = s
    assert.same({true, "module"}, {service:call "where"})
    assert.is_nil(package.loaded[name])
  end)

  describe("outcomes:", function()
    it("raises the error of a method, as it was", function()
      local s = new()
      assert.equal("text", error_of(s.call, s, "fail", "text"))
      assert.same({code = 7}, error_of(s.call, s, "fail", {code = 7}))
      local none = error_of(s.call, s, "fail", nil)
      assert.is_true(none == nil or none == "<no error object>") -- 5.5
      assert.same({true, 1}, {s:call("add", 1)})
    end)

    it("shows both tracebacks", function()
      local s = new()
      local t = casting.spawn(function() s:call "break_in" end)
      local ok, e = t:join()
      assert.is_false(ok)
      assert.matches("service_spec.lua:%d+: broken", e)
      local text = t:traceback()
      assert.matches("service_spec.lua:%d+: in .-service_worker", text)
      assert.matches("awaited by task %d+ of session.*service_spec.lua:%d+",
        text)
    end)

    it("raises that there is no such method", function()
      local s = new()
      assert.equal("service: there is no method 'nothing'",
        error_of(s.call, s, "nothing"))
      assert.matches("attempt to call", error_of(s.call, s, "n"))
    end)

    it("raises that a result cannot be sent, and goes on", function()
      service = casting.service {
        bad = function() return 1, coroutine.create(function() end) end,
        good = function() return "good" end}
      local e = error_of(service.call, service, "bad")
      assert.matches("cannot send a coroutine %(result 2%)", e)
      assert.same({true, "good"}, {service:call "good"})
    end)

    it("raises that an argument cannot be sent, and calls nothing", function()
      local s = new()
      assert.matches("cannot send a coroutine",
        error_of(s.call, s, "add", coroutine.create(function() end)))
      assert.matches("cannot send a coroutine",
        error_of(s.cast, s, "add", coroutine.create(function() end)))
      assert.same({true, 0}, {s:call "count"})
    end)

    it("tells of a method that was cancelled, which its caller is not",
      function()
        local s = new()
        local e = error_of(s.call, s, "leave")
        assert.equal("the method was cancelled: no more", e)
        assert.is_false(casting.is_cancelled(e))
        assert.same({true, 0}, {s:call "count"})
      end)

    it("raises at once when a method calls its own service", function()
      local s = new()
      assert.matches("call: a method calls its own service, which takes one " ..
        "call at a time", error_of(s.call, s, "ask", s, "count"))
      assert.same({true, 0}, {s:call "count"})
    end)

    it("lets methods call their own service if there are more seats",
      function()
        local s = new {concurrent = 2}
        assert.same({true, true, 0}, {s:call("ask", s, "count")})
      end)

    it("is gone when it was stopped", function()
      local s = counter()
      assert.is_true(s:stop())
      assert.same({nil, "gone"}, {s:call "count"})
      assert.same({nil, "gone"}, {s:cast "count"})
      assert.is_true(s:stop())
    end)

    it("is gone when its session is closed, also for those who wait",
      function()
        local session = casting.session()
        local s = counter {session = session}
        local began, go = channels(2)
        local first = casting.spawn(s.call, s, "hold", began, go)
        local second = casting.spawn(s.call, s, "count")
        began:receive()
        session:close()
        assert.same({true, nil, "gone"}, {first:join(LONG)})
        assert.same({true, nil, "gone"}, {second:join(LONG)})
        assert.same({nil, "gone"}, {s:call "count"})
      end)
  end)

  describe("timeouts:", function()
    it("are an option", function()
      local s = new {timeout = 0.01}
      local began, go = channels(2)
      assert.same({nil, "timeout"}, {s:call("hold", began, go)})
      go:send "late"
      began:receive()
      assert.same({true, 0}, {s:within(LONG):call "count"})
    end)

    it("are given with within, for one handle", function()
      local s = new()
      local began, go = channels(2)
      local quick = s:within(0.01)
      assert.is_true(quick == s)
      assert.same({nil, "timeout"}, {quick:call("hold", began, go)})
      assert.same({nil, "timeout"}, {quick:call "count"})
      go:send "late"
      assert.same({true, 0}, {s:call "count"})
      assert.same({true, 0}, {quick:within(1 / 0):call "count"})
      assert.same({nil, "timeout"}, {s:within(0):call("hold", began, go)})
      go:close()
    end)

    it("may come from a scope around", function()
      local s = new()
      local began, go = channels(2)
      assert.same({nil, "timeout"},
        {casting.with_timeout(0.01, s.call, s, "hold", began, go)})
      go:send(1)
      assert.same({true, 0}, {s:call "count"})
    end)

    it("take a call back that was not begun", function()
      local s = new()
      local began, go = channels(2)
      local first = casting.spawn(s.call, s, "hold", began, go)
      began:receive()
      assert.same({nil, "timeout"}, {s:within(0.01):call("add", 1)})
      go:send "done"
      assert.same({true, true, "done"}, {first:join(LONG)})
      assert.same({true, 0}, {s:call "count"})
    end)
  end)

  describe("sugar:", function()
    it("gives the results alone", function()
      local s = new()
      assert.equal(3, s.add(3))
      assert.same({n = 0}, helper.pack(s.echo()))
      assert.same({n = 2, nil, "x"}, helper.pack(s.echo(nil, "x")))
      assert.is_true(s.add == s.add)
    end)

    it("raises errors and outcomes", function()
      local s = new()
      assert.equal("text", error_of(s.fail, "text"))
      local began, go = channels(2)
      assert.matches("service_spec.lua:%d+: service: the call of 'hold' has " ..
        "no answer: timeout", error_of(function()
          s:within(0.01).hold(began, go)
          return 1
        end))
      go:send(1)
      s:stop()
      assert.matches("the call of 'count' has no answer: gone",
        error_of(s.count))
    end)

    it("is called with a dot", function()
      local s = new()
      assert.matches("a method of a service is called with a dot",
        error_of(function() return s:count() end))
    end)

    it("does not hide the handle's own methods", function()
      service = casting.service {name = function() return "method" end}
      assert.is_nil(service:name())
      assert.same({true, "method"}, {service:call "name"})
      assert.is_nil(service[1])
      assert.is_nil(service[{}])
    end)
  end)

  describe("casts:", function()
    it("are done in order with calls of the same task", function()
      local s = new()
      for _ = 1, 100 do assert.is_true(s:cast("add", 1)) end
      assert.same({true, 100}, {s:call "count"})
    end)

    it("are refused when too many wait", function()
      local s = new {capacity = 2}
      local began, go = channels(2)
      local first = casting.spawn(s.call, s, "hold", began, go)
      began:receive()
      assert.is_true(s:cast("add", 1))
      assert.is_true(s:cast("add", 1))
      assert.same({nil, "full"}, {s:cast("add", 1)})
      go:send(1)
      first:join(LONG)
      assert.same({true, 2}, {s:call "count"})
    end)

    it("report the failure of their method", function()
      local errors = casting.channel(1 / 0)
      casting.on_error(errors)
      local s = new()
      s:cast("fail", "of a cast")
      local report = errors:receive(LONG)
      casting.on_error(nil)
      assert.matches("of a cast", report.error)
      assert.same({true, 0}, {s:call "count"})
    end)
  end)

  describe("at the same time", function()
    it("does one call, in the order in which they come", function()
      local s = new()
      local began, go = channels(2)
      local first = casting.spawn(s.call, s, "hold", began, go)
      began:receive()
      local tasks, list = {}, {}
      for i = 1, 20 do
        tasks[i] = casting.spawn(function()
          local _, n = s:call("add", 1)
          list[#list + 1] = i * 100 + n
        end)
        casting.yield()
      end
      go:send(1)
      first:join(LONG)
      for i = 1, 20 do tasks[i]:await(LONG) end
      for i = 1, 20 do assert.equal(i * 101, list[i]) end
    end)

    it("does as many calls as it is told", function()
      local s = new {concurrent = 3}
      local began, go = channels(1), casting.channel()
      local tasks = {}
      for i = 1, 4 do
        tasks[i] = casting.spawn(s.call, s, "hold", began, go)
      end
      for _ = 1, 3 do assert.is_true(began:receive(LONG)) end
      assert.same({nil, "timeout"}, {began:receive(0.01)})
      for _ = 1, 4 do go:send "on" end
      for i = 1, 4 do
        assert.same({true, true, "on"}, {tasks[i]:join(LONG)})
      end
    end)
  end)

  describe("a caller that is cancelled", function()
    it("lets the method go on", function()
      local s = new()
      local began, go = channels(2)
      local t = casting.spawn(s.call, s, "hold", began, go)
      began:receive()
      t:cancel "away"
      assert.is_true(casting.is_cancelled((select(2, t:join(LONG)))))
      local after = casting.spawn(s.call, s, "count")
      assert.same({nil, "timeout"}, {after:join(0.01)})
      go:send "on"
      assert.same({true, true, 0}, {after:join(LONG)})
    end)

    it("has it cancelled with the option", function()
      local s = casting.service({
        work = function(_, began, over)
          local casting = require "casting"
          began:send(true)
          local ok, e = pcall(casting.sleep, 1000)
          over:try_send(ok, tostring(e))
          return 1
        end, ping = function() return "pong" end}, {cancel = true})
      service = s
      local began, over = channels(2)
      local t = casting.spawn(s.call, s, "work", began, over)
      began:receive()
      t:cancel "away"
      assert.is_true(casting.is_cancelled((select(2, t:join(LONG)))))
      local ok, e = over:receive(LONG)
      assert.is_false(ok)
      assert.matches("its caller has left", e)
      assert.same({true, "pong"}, {s:call "ping"})
      assert.same({nil, "timeout"}, {s:within(0.01):call("work", began, over)})
      assert.is_false((over:receive(LONG)))
      assert.same({true, "pong"}, {s:call "ping"})
    end)

    it("takes its call back, if that was not begun", function()
      for _, cancel in ipairs {false, true} do
        local s = counter {cancel = cancel}
        local began, go = channels(2)
        local first = casting.spawn(s.call, s, "hold", began, go)
        began:receive()
        local second = casting.spawn(s.call, s, "add", 1)
        casting.yield()
        second:cancel()
        second:join(LONG)
        go:send(1)
        assert.same({true, true, 1}, {first:join(LONG)})
        assert.same({true, 0}, {s:call "count"})
        s:stop()
      end
    end)
  end)

  describe("stop", function()
    it("lets what waits be done, and takes no more", function()
      local s = counter()
      local began, go = channels(2)
      local first = casting.spawn(s.call, s, "hold", began, go)
      began:receive()
      local second = casting.spawn(s.call, s, "add", 5)
      assert.is_true(s:cast("add", 1))
      casting.yield()
      local stopper = casting.spawn(s.stop, s, LONG)
      casting.yield()
      assert.same({nil, "gone"}, {s:call "count"})
      go:send "done"
      assert.same({true, true, "done"}, {first:join(LONG)})
      assert.is_true((second:join(LONG)))
      assert.same({true, true}, {stopper:join(LONG)})
    end)

    it("gives up what is left when the time is over", function()
      local s = counter()
      local began, go = channels(2)
      local first = casting.spawn(s.call, s, "hold", began, go)
      began:receive()
      local second = casting.spawn(s.call, s, "count")
      casting.yield()
      assert.same({nil, "timeout"}, {s:stop(0.01)})
      assert.same({true, nil, "gone"}, {first:join(LONG)})
      assert.same({true, nil, "gone"}, {second:join(LONG)})
    end)

    it("may be called by a method", function()
      local s = counter()
      assert.same({true, true}, {s:call("stop_me", s)})
      assert.same({nil, "gone"}, {s:call "count"})
      assert.is_true(s:stop(LONG))
    end)

    it("leaves a session that is not its own", function()
      local session = casting.session()
      local s = counter {session = session}
      s:stop()
      assert.equal(3, session:spawn("return 3"):await())
      session:close()
    end)

    it("can be watched", function()
      local s = counter()
      local own, many = s:monitor(), casting.channel(1 / 0)
      assert.equal(many, s:monitor(many))
      s:stop()
      assert.is_true((own:receive(LONG)))
      local t, ok = many:receive(LONG)
      assert.equal("done", t:status())
      assert.is_true(ok)
      assert.is_true((s:monitor():receive(LONG)))
    end)
  end)

  describe("names:", function()
    it("are found in every session", function()
      local s = new {name = "spec.found"}
      assert.equal("spec.found", s:name())
      assert.matches("^service: .* 'spec.found'$", tostring(s))
      assert.is_true(casting.named_service "spec.found" == s)
      local session = casting.session()
      assert.equal(4, session:spawn(function()
        return require("casting").named_service("spec.found").add(4)
      end):await())
      session:close()
      assert.is_nil(casting.named_service "spec.none")
      assert.is_nil(new():name())
    end)

    it("are taken once, until the service has ended", function()
      local s = counter {name = "spec.once"}
      assert.matches("another service has the name 'spec.once'",
        error_of(counter, {name = "spec.once"}))
      s:stop()
      assert.is_nil(casting.named_service "spec.once")
      new {name = "spec.once"}
      assert.is_true(casting.named_service "spec.once" == service)
    end)

    it("are free again when it did not start", function()
      assert.matches("not so", error_of(casting.service,
        function() error("not so", 0) end, {name = "spec.failed"}))
      new {name = "spec.failed"}
      assert.same({true, 0}, {service:call "count"})
    end)
  end)

  describe("as a supervisor's child", function()
    it("has a handle that survives restarts", function()
      local s = counter {child = true, name = "spec.child"}
      assert.same({nil, "gone"}, {s:call "count"})
      assert.same({nil, "gone"}, {s:monitor()})
      assert.same({nil, "gone"}, {s:stop()})
      assert.is_true(casting.named_service "spec.child" == s)
      local events = casting.channel(1 / 0)
      local sup = casting.supervisor {intensity = 10, events = events,
        children = {{id = "counter", service = s}}}
      assert.same({"started", "counter"}, {events:receive(LONG)})
      assert.same({true, 2}, {s:call("add", 2)})
      local watch = s:monitor()
      local child = sup:which_children()[1]
      child.task:cancel "killed"
      watch:receive(LONG)
      while events:receive(LONG) ~= "started" do casting.yield() end
      assert.same({true, 1}, {s:call("add", 1)})
      assert.is_true(sup:stop(LONG))
      assert.same({nil, "gone"}, {s:call "count"})
    end)

    it("is drained when the supervisor stops it", function()
      local s = counter {child = true}
      local sup = casting.supervisor {
        children = {{id = "counter", service = s}}}
      local began, go = channels(2)
      local first = casting.spawn(s.call, s, "hold", began, go)
      began:receive()
      local stopper = casting.spawn(sup.stop, sup)
      while select(2, s:cast "count") ~= "gone" do casting.sleep(0.001) end
      go:send "done"
      assert.same({true, true, "done"}, {first:join(LONG)})
      assert.is_true((stopper:join(LONG)))
    end)

    it("fails to start as others do", function()
      local s = casting.service(function() error("not so", 0) end,
        {child = true})
      assert.matches("child 'x' did not start: .*not so",
        error_of(casting.supervisor, {children = {{id = "x", service = s}}}))
    end)

    it("is served by one only", function()
      local s = new()
      assert.matches("it is served by another task",
        error_of(casting.supervisor, {children = {{id = "x", service = s}}}))
      assert.same({true, 0}, {s:call "count"})
    end)

    it("is checked", function()
      local s = new()
      assert.matches("child 'x': service must be a service, got 5",
        error_of(casting.supervisor, {children = {{id = "x", service = 5}}}))
      assert.matches("a service has neither start nor args nor supervisor",
        error_of(casting.supervisor, {children = {{id = "x", service = s,
          start = print}}}))
    end)
  end)

  describe("refuses", function()
    local function refused(text, ...)
      local e = error_of(casting.service, ...)
      assert.matches("^bad argument #[12] to 'service' %(" .. text, e)
    end

    it("what is no object", function()
      refused "object, constructor or name of a module expected, got nil"
      refused("object, constructor .* got number", 5)
      refused("object, constructor .* got channel", casting.channel())
      refused("cannot send a coroutine", {coroutine.create(function() end)})
    end)

    it("wrong options", function()
      refused("table expected, got number", {}, 5)
      refused("unknown option 'x'", {}, {x = 1})
      for _, v in ipairs {0, -1, 1.5, 0 / 0, 1 / 0, 1e9, "1"} do
        refused("concurrent must be an integer from 1 to 10000", {},
          {concurrent = v})
      end
      for _, v in ipairs {-1, 1.5, 0 / 0, "1"} do
        refused("capacity must be an integer from 0 on", {}, {capacity = v})
      end
      for _, v in ipairs {-1, 0 / 0, "1"} do
        refused("timeout must be a number of seconds", {}, {timeout = v})
      end
      refused("name must be a string", {}, {name = 5})
      refused("name is empty", {}, {name = ""})
      refused("cancel must be a boolean", {}, {cancel = 1})
      refused("child must be a boolean", {}, {child = 1})
      refused("args must be a list", {}, {args = 1})
      refused("session must be a session or a table", {}, {session = 1})
      refused("session: ", {}, {session = {memory = -1}})
      refused("a child's session is that", {}, {child = true, session = {}})
      local closed = casting.session()
      closed:close()
      refused("session: it is closed", {}, {session = closed})
    end)

    it("constructors and modules that make no object", function()
      assert.matches("the constructor has returned no object, but a nil",
        error_of(casting.service, function() end))
      assert.matches("module 'no.such.module.here' not found",
        error_of(casting.service, "no.such.module.here"))
      assert.equal("own", error_of(casting.service,
        function() error("own", 0) end))
    end)

    it("calls of other things, and names that are none", function()
      local s = new()
      for _, method in ipairs {"call", "cast", "within", "stop", "monitor",
          "name"} do
        assert.matches("service expected", error_of(s[method], {}))
        assert.matches("service expected", error_of(s[method],
          casting.channel()))
      end
      for _, method in ipairs {"call", "cast"} do
        assert.matches("name of a method expected",
          error_of(s[method], s))
        assert.matches("name of a method expected, got 5",
          error_of(s[method], s, 5))
      end
      for _, v in ipairs {-1, 0 / 0} do
        assert.matches("timeout must be", error_of(s.within, s, v))
        assert.matches("timeout must be", error_of(s.stop, s, v))
      end
      assert.matches("number expected", error_of(s.within, s))
    end)
  end)

  it("can be called by a sandbox, which has none of its own", function()
    local s = new()
    local box = casting.session {sandbox = true}
    local t = box:spawn(function(s)
      local casting = require "casting"
      return pcall(casting.service, {}), pcall(s.stop, s), s.add(3),
        pcall(casting.named_service, "x")
    end, s)
    local made, stopped, sum, found = t:await(LONG)
    assert.same({false, false, 3, false}, {made, stopped, sum, found})
    box:close()
  end)

  it("goes with the handle into callbacks that cannot yield", function()
    local s = new()
    local t = casting.spawn(function()
      local list = {3, 1, 2}
      table.sort(list, function(a, b)
        s:call("add", 1)
        return a < b
      end)
      return list, s.echo(("x"):gsub("x", function() return s.echo "y" end))
    end)
    local list, text = t:await(LONG)
    assert.same({1, 2, 3}, list)
    assert.equal("y", text)
  end)
end)
