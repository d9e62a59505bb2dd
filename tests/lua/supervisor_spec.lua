-- supervisor_spec.lua - supervisors: start, restart, strategies, stop.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

-- Children say who they are into a channel, then do as they are told by what
-- they receive from a channel of their own: "crash", "return", "cancel".
local function child(id, log, orders)
  local casting = require "casting"
  log:send("start " .. id)
  local order = orders:receive()
  if order == "crash" then error(id .. " crashes", 0) end
  if order == "cancel" then
    casting.self():cancel("by itself")
    casting.yield()
  end
  return order
end

-- As child; tells when it is asked to end.
local function polite(id, log, orders)
  local casting = require "casting"
  log:send("start " .. id)
  local ok, e = pcall(function() return (orders:receive()) end)
  if ok then error(id .. " crashes", 0) end
  casting.shield(function() log:send("end " .. id .. ": " .. e.reason) end)
  error(e, 0)
end

-- A supervisor's children, by their ids, and what they log.
local function family(f, ids, more)
  local log, orders, list = casting.channel(math.huge), {}, {}
  for i, id in ipairs(ids) do
    orders[id] = casting.channel(math.huge)
    list[i] = {id = id, start = f, args = {id, log, orders[id]}}
    for k, v in pairs(more or {}) do list[i][k] = v end
  end
  return list, orders, log
end

local function expect(log, ...)
  for i = 1, select("#", ...) do
    local wanted = select(i, ...)
    local got, why = log:receive(LONG)
    if got ~= wanted then
      error(("got %s instead of %s"):format(tostring(got or why), wanted), 2)
    end
  end
end

local function silence(log)
  local got = log:try_receive()
  if got ~= nil then error("there is more: " .. tostring(got), 2) end
end

-- What events come, as words, until `last` is among them.
local function events_until(events, last)
  local list = {}
  repeat
    local event, id = events:receive(LONG)
    if event == nil then error("no event " .. last, 2) end
    list[#list + 1] = event .. " " .. id
  until list[#list] == last
  return list
end

local function statuses(sup)
  local list = {}
  for i, c in ipairs(sup:which_children()) do
    list[i] = c.id .. " " .. c.status
  end
  return table.concat(list, ", ")
end

describe("casting.supervisor", function()
  it("starts its children in order, and stops them in reverse", function()
    local children, _, log = family(polite, {"a", "b", "c"})
    local sup = casting.supervisor {children = children}
    helper.until_true(function() return #log == 3 end)
    assert.equal("a running, b running, c running", statuses(sup))
    local started = {}
    for i = 1, 3 do started[i] = log:receive() end
    table.sort(started)
    assert.same({"start a", "start b", "start c"}, started)
    assert.same(pack(true), pack(sup:stop(LONG)))
    expect(log, "end c: shutdown", "end b: shutdown", "end a: shutdown")
    silence(log)
    assert.same(pack(true), pack(sup:wait(LONG)))
  end)

  it("waits for init before the next child starts", function()
    local log = casting.channel(math.huge)
    local function spec(id)
      return {id = id, start = function() require("casting").sleep(1000) end,
        session = {init = function() log:send(id) end}}
    end
    local sup = casting.supervisor {children = {spec "a", spec "b", spec "c"}}
    expect(log, "a", "b", "c")
    sup:stop(LONG)
  end)

  it("runs each child in a fresh session of its name", function()
    local seen = casting.channel(math.huge)
    local sup = casting.supervisor {intensity = 10, children = {{id = "worker",
      start = function(seen)
        _G.mark = (_G.mark or 0) + 1 -- a global of the session
        local casting = require "casting"
        seen:send(_G.mark, casting.self():session():name(), casting.self())
        error("again", 0)
      end, args = {seen}}}, events = casting.channel(1)}
    local sessions = {}
    for _ = 1, 5 do
      local mark, name, task = seen:receive(LONG)
      assert.equal(1, mark)
      assert.equal("worker", name)
      assert.is_nil(sessions[task:session()])
      sessions[task:session()] = true
    end
    sup:stop(LONG)
  end)

  it("gives children their arguments, nil too, each time anew", function()
    local seen = casting.channel(math.huge)
    local sup = casting.supervisor {intensity = 10, children = {{id = 1,
      start = "local t, n, seen = ...; seen:send(#t, n, select('#', ...)); " ..
        "t[2] = 2; error('again', 0)",
      args = {{1}, nil, seen, nil, n = 4}}}, events = casting.channel(1)}
    for _ = 1, 3 do
      assert.same(pack(1, nil, 4), pack(seen:receive(LONG)))
    end
    sup:stop(LONG)
  end)

  it("closes what a child leaves in its session", function()
    local seen = casting.channel(math.huge)
    local sup = casting.supervisor {intensity = 1, children = {{id = 1,
      start = function(seen)
        local casting = require "casting"
        seen:send(casting.spawn(function() casting.sleep(1000) end))
        casting.sleep(0.001)
        error("again", 0)
      end, args = {seen}}}, events = casting.channel(1)}
    assert.is_false((sup:wait(LONG)))
    for _ = 1, 2 do
      local ok, e = seen:receive(LONG):join(LONG)
      assert.is_false(ok)
      assert.is_true(casting.is_cancelled(e))
    end
  end)

  it("fails if a child does not start, and stops the others", function()
    local children, _, log = family(polite, {"a", "b"})
    local both = casting.channel()
    children[3] = {id = "bad", start = function() end,
      session = {init = function()
        both:receive() -- else the others might be stopped before they begin
        error("no way", 0)
      end}}
    local starts = casting.spawn(function()
      for _ = 1, 2 do log:receive(LONG) end
      both:close()
    end)
    local ok, e = pcall(casting.supervisor, {name = "top",
      children = children})
    assert.is_false(ok)
    assert.matches("supervisor 'top': child 'bad' did not start: .*no way", e)
    starts:await()
    expect(log, "end b: shutdown", "end a: shutdown")
  end)

  it("fails if a child cannot cross", function()
    local co = coroutine.create(function() end)
    helper.misuse(function()
      casting.supervisor {children = {{id = "x", start = function()
        return co
      end}}}
    end, "cannot send a coroutine")
    helper.misuse(function()
      casting.supervisor {children = {{id = "x", start = print,
        args = {co}}}}
    end, "cannot send a coroutine")
  end)

  -- -- restart types --------------------------------------------------------

  local ends = {"return", "crash", "cancel"}
  local restarted = {permanent = {"return", "crash", "cancel"},
    transient = {"crash", "cancel"}, temporary = {}}
  for restart, list in pairs(restarted) do
    local yes = {}
    for _, how in ipairs(list) do yes[how] = true end
    for _, how in ipairs(ends) do
      it(("%s a %s child that does a %s"):format(
        yes[how] and "restarts" or "does not restart", restart, how),
        function()
          local events = casting.channel(math.huge)
          local children, orders, log = family(child, {"a", "b"},
            {restart = restart})
          local sup = casting.supervisor {children = children,
            events = events}
          assert.is_true(#{events_until(events, "started b")} == 1)
          helper.until_true(function() return #log == 2 end)
          orders.b:send(how)
          if yes[how] then
            events_until(events, "started b")
            helper.until_true(function() return #log == 3 end)
            assert.equal("a running, b running", statuses(sup))
          else
            events_until(events, ({["return"] = "ended b",
              crash = "failed b", cancel = "cancelled b"})[how])
            assert.equal(restart == "temporary" and "a running" or
              "a running, b stopped", statuses(sup))
          end
          sup:stop(LONG)
        end)
    end
  end

  it("takes a cancellation with 'shutdown' as a normal end", function()
    local events = casting.channel(math.huge)
    local sup = casting.supervisor {events = events, children = {{id = "a",
      restart = "transient", start = function()
        require("casting").sleep(1000)
      end}}}
    events_until(events, "started a")
    sup:which_children()[1].task:cancel("shutdown")
    events_until(events, "cancelled a")
    assert.equal("a stopped", statuses(sup))
    sup:stop(LONG)
  end)

  -- -- strategies -----------------------------------------------------------

  local strategies = {
    one_for_one = {"failed b", "started b"},
    one_for_all = {"failed b", "stopped d", "stopped c", "stopped a",
      "started a", "started b", "started c", "started d"},
    rest_for_one = {"failed b", "stopped d", "stopped c", "started b",
      "started c", "started d"},
  }
  for strategy, wanted in pairs(strategies) do
    it("restarts as " .. strategy .. " says", function()
      local events = casting.channel(math.huge)
      local children, orders, log = family(child, {"a", "b", "c", "d"})
      local sup = casting.supervisor {children = children, events = events,
        strategy = strategy, intensity = 2}
      events_until(events, "started d")
      for round = 1, 2 do
        helper.until_true(function() return #log >= 4 end)
        while #log > 0 do log:receive() end
        orders.b:send("crash")
        assert.same(wanted, events_until(events, wanted[#wanted]))
        local n = strategy == "one_for_one" and 1 or
          strategy == "one_for_all" and 4 or 3
        helper.until_true(function() return #log == n end)
        if round == 1 then for _ = 1, 4 - n do log:send("filler") end end
      end
      sup:stop(LONG)
    end)
  end

  it("forgets temporary children when others are restarted", function()
    local events = casting.channel(math.huge)
    local children, orders = family(child, {"a", "b", "c"})
    children[3].restart = "temporary"
    local sup = casting.supervisor {children = children, events = events,
      strategy = "one_for_all"}
    events_until(events, "started c")
    orders.a:send("crash")
    assert.same({"failed a", "stopped c", "stopped b", "started a",
      "started b"}, events_until(events, "started b"))
    assert.equal("a running, b running", statuses(sup))
    sup:stop(LONG)
  end)

  -- -- intensity ------------------------------------------------------------

  for intensity = 0, 3 do
    it(("gives up after %d restarts"):format(intensity), function()
      local events = casting.channel(math.huge)
      local children, orders, log = family(polite, {"a", "b"})
      local both = casting.channel()
      children[3] = {id = "bad", args = {both}, start = function(ready)
        ready:receive() -- else the others might be stopped before they begin
        error("always", 0)
      end}
      local sup = casting.supervisor {name = "top", children = children,
        events = events, intensity = intensity, period = 1000}
      for _ = 1, 2 do log:receive(LONG) end
      both:close()
      local ok, e = sup:wait(LONG)
      assert.is_false(ok)
      assert.matches("supervisor 'top': more than " .. intensity ..
        " restarts? in 1000 seconds; the last for child 'bad': always", e)
      local starts = 0
      for _, event in ipairs(events_until(events, "stopped a")) do
        if event == "started bad" then starts = starts + 1 end
      end
      assert.equal(1 + intensity, starts)
      expect(log, "end b: shutdown", "end a: shutdown")
      assert.same(pack(nil, "noproc"), pack(sup:which_children()))
      assert(orders)
    end)
  end

  it("counts only the restarts of the period", function()
    local events = casting.channel(math.huge)
    local children, orders = family(child, {"a"})
    local sup = casting.supervisor {children = children, events = events,
      intensity = 1, period = 0.01}
    for _ = 1, 5 do
      events_until(events, "started a")
      casting.sleep(0.015)
      orders.a:send("crash")
    end
    events_until(events, "started a")
    sup:stop(LONG)
  end)

  it("counts starts that fail as restarts", function()
    -- The second start and all after it fail.
    local once = casting.channel(1)
    once:send(true)
    local events = casting.channel(math.huge)
    local sup = casting.supervisor {events = events, intensity = 4,
      children = {{id = "a", start = function() error("crash", 0) end,
        session = {init = function()
          if not once:try_receive() then error("no start", 0) end
        end}}}}
    local ok, e = sup:wait(LONG)
    assert.is_false(ok)
    assert.matches("more than 4 restarts .*no start", e)
    local failed = 0
    for _, event in ipairs(events_until(events, "gave up a")) do
      if event == "not started a" then failed = failed + 1 end
    end
    assert.equal(4, failed)
  end)

  it("survives a child that always crashes, with the intensity for it",
    function()
      local n = casting.channel(math.huge)
      local sup = casting.supervisor {intensity = 1e9, period = 1,
        events = casting.channel(0), children = {{id = "a",
          start = function(n) n:send(1) error("always", 0) end,
          args = {n}}}}
      for _ = 1, 50 do assert.equal(1, n:receive(LONG)) end
      assert.equal(1, sup:count_children().specs)
      assert.same(pack(true), pack(sup:stop(LONG)))
    end)

  -- -- shutdown -------------------------------------------------------------

  it("kills a child that does not end in time", function()
    local events = casting.channel(math.huge)
    local up = casting.channel(1)
    local sup = casting.supervisor {events = events, children = {{id = "deaf",
      shutdown = 0.01, start = function(up)
        local casting = require "casting"
        up:send(true)
        casting.shield(function() casting.sleep(0.2) end)
        while true do pcall(casting.sleep, 0.01) end
      end, args = {up}}}}
    assert.is_true(up:receive(LONG))
    assert.same(pack(true), pack(sup:stop(LONG)))
    assert.same({"started deaf", "killed deaf", "stopped deaf"},
      events_until(events, "stopped deaf"))
  end)

  it("reports what children fail with while they end", function()
    local events = casting.channel(math.huge)
    local sup = casting.supervisor {events = events, children = {{id = "a",
      start = function()
        pcall(require("casting").sleep, 1000)
        error("clean-up", 0)
      end}}}
    events_until(events, "started a")
    helper.until_true(function()
      return sup:which_children()[1].task:status() == "waiting"
    end)
    sup:stop(LONG)
    assert.same(pack("failed", "a", "clean-up"), pack(events:receive(LONG)))
  end)

  it("stops its children when it is cancelled", function()
    local children, _, log = family(polite, {"a", "b"})
    local sup = casting.supervisor {children = children}
    for _ = 1, 2 do log:receive(LONG) end
    sup.task:cancel("enough")
    local ok, e = sup:wait(LONG)
    assert.is_false(ok)
    assert.equal("enough", e.reason)
    expect(log, "end b: shutdown", "end a: shutdown")
  end)

  it("ends with the task that has made it", function()
    local children, _, log = family(polite, {"a", "b"})
    local session = casting.session()
    local sup = session:spawn(function(children, log)
      local casting = require "casting"
      local sup = casting.supervisor {children = children}
      while #log < 2 do casting.sleep(0.001) end
      return sup
    end, children, log):await(LONG)
    assert.same(pack(true), pack(sup:wait(LONG)))
    for _ = 1, 2 do log:receive(LONG) end
    expect(log, "end b: shutdown", "end a: shutdown")
  end)

  it("does not, if it is detached", function()
    local children = family(polite, {"a"})
    local sup = casting.spawn(function()
      return casting.supervisor {children = children, detached = true}
    end):await(LONG)
    assert.equal("a running", statuses(sup))
    assert.same(pack(nil, "timeout"), pack(sup:wait(0.01)))
    sup:stop(LONG)
  end)

  it("stops all when the program ends", function()
    local child = helper.run [[
      local casting = require "casting"
      casting.supervisor {children = {
        {id = "a", start = function() require("casting").sleep(1000) end},
        {id = "n", supervisor = {children = {
          {id = "b", start = function() require("casting").sleep(1000) end},
        }}},
      }}
    ]]
    assert.equal(0, child.status)
    assert.equal("", child.err)
    assert.is_true(child.seconds < helper.LONG / 2)
  end)

  it("reports failures on stderr if nobody listens to events", function()
    local child = helper.run [[
      local casting = require "casting"
      local sup = casting.supervisor {children = {
        {id = "a", start = function() error("crash " .. 1) end},
      }}
      print(sup:wait())
    ]]
    assert.equal(0, child.status)
    assert.matches("more than 1 restart in 5 seconds", child.out)
    local _, n = child.err:gsub("session 'a' failed: [^\n]*crash 1\n", "")
    assert.equal(2, n)
  end)

  -- -- auto_shutdown --------------------------------------------------------

  it("ends with any significant child, or with all", function()
    for _, auto in ipairs {"any_significant", "all_significant"} do
      local events = casting.channel(math.huge)
      local children, orders = family(child, {"a", "b", "c"},
        {restart = "temporary", significant = true})
      children[1].significant, children[1].restart = nil, "transient"
      local sup = casting.supervisor {children = children, events = events,
        auto_shutdown = auto}
      events_until(events, "started c")
      orders.a:send("return")
      events_until(events, "ended a")
      assert.equal("a stopped, b running, c running", statuses(sup))
      orders.b:send("return")
      if auto == "all_significant" then
        events_until(events, "ended b")
        assert.equal("a stopped, c running", statuses(sup))
        orders.c:send("crash")
      end
      assert.same(pack(true), pack(sup:wait(LONG)))
    end
  end)

  -- -- nesting --------------------------------------------------------------

  it("supervises supervisors", function()
    local events, inner_events = casting.channel(math.huge),
      casting.channel(math.huge)
    local children, orders, log = family(polite, {"x", "y"})
    local sup = casting.supervisor {events = events, children = {
      {id = "inner", supervisor = {name = "inner", children = children,
        events = inner_events, intensity = 0}},
      {id = "a", start = function() require("casting").sleep(1000) end},
    }}
    assert.same({"started inner", "started a"},
      events_until(events, "started a"))
    for _ = 1, 2 do log:receive(LONG) end
    local inner = sup:which_children()[1]
    assert.equal("supervisor", inner.type)
    assert.equal("x running, y running", statuses(inner.supervisor))
    -- Too much for the inner one: the outer one restarts it.
    orders.x:send("crash")
    events_until(inner_events, "gave up x")
    expect(log, "end y: shutdown")
    assert.same({"failed inner", "started inner"},
      events_until(events, "started inner"))
    assert.same(pack(nil, "noproc"), pack(inner.supervisor:count_children()))
    assert.equal("x running, y running",
      statuses(sup:which_children()[1].supervisor))
    for _ = 1, 2 do log:receive(LONG) end
    assert.same({specs = 2, active = 2, supervisors = 1, workers = 1},
      sup:count_children())
    sup:stop(LONG)
    expect(log, "end y: shutdown", "end x: shutdown")
  end)

  it("does not start if a nested one does not", function()
    local ok, e = pcall(casting.supervisor, {name = "outer", children = {
      {id = "inner", supervisor = {name = "inner", children = {
        {id = "x", start = print, session = {init = function()
          error("no way", 0)
        end}}}}}}})
    assert.is_false(ok)
    assert.matches("supervisor 'outer': child 'inner' did not start: " ..
      "supervisor 'inner': child 'x' did not start: .*no way", e)
  end)

  -- -- requests -------------------------------------------------------------

  it("starts, stops, restarts and deletes children on request", function()
    local children, orders, log = family(child, {"a", "b", "t"})
    local sup = casting.supervisor {children = {children[1]},
      events = casting.channel(1)}
    expect(log, "start a")
    local task = sup:start_child(children[2])
    assert.equal("b", task:session():name())
    expect(log, "start b")
    assert.same(pack(nil, "already_started"), pack(sup:start_child(children[2])
    ))
    assert.same(pack(nil, "running"), pack(sup:restart_child "b"))
    assert.same(pack(nil, "running"), pack(sup:delete_child "b"))
    assert.is_true(sup:terminate_child "b")
    assert.equal("cancelled", task:status())
    assert.equal("a running, b stopped", statuses(sup))
    assert.same(pack(nil, "already_present"), pack(sup:start_child(children[2])
    ))
    assert.is_true(sup:terminate_child "b")
    local again = sup:restart_child "b"
    expect(log, "start b")
    assert.is_true(again ~= task)
    assert.is_true(sup:terminate_child "b")
    assert.is_true(sup:delete_child "b")
    assert.equal("a running", statuses(sup))
    for _, op in ipairs {"terminate_child", "restart_child", "delete_child"} do
      assert.same(pack(nil, "not_found"), pack(sup[op](sup, "b")))
    end
    children[3].restart = "temporary"
    sup:start_child(children[3])
    assert.is_true(sup:terminate_child "t")
    assert.equal("a running", statuses(sup))
    local no, word, why = sup:start_child {id = "n", start = print,
      session = {init = function() error("no way", 0) end}}
    assert.is_nil(no)
    assert.equal("not_started", word)
    assert.matches("no way", why)
    assert.equal("a running", statuses(sup))
    assert.same({specs = 1, active = 1, supervisors = 0, workers = 1},
      sup:count_children())
    sup:stop(LONG)
    assert(orders)
  end)

  it("stops children that were added last first", function()
    local children, _, log = family(polite, {"a", "b", "c"})
    local sup = casting.supervisor {}
    for i = 1, 3 do sup:start_child(children[i]) end
    for _ = 1, 3 do log:receive(LONG) end
    sup:stop(LONG)
    expect(log, "end c: shutdown", "end b: shutdown", "end a: shutdown")
  end)

  it("answers from every session, and after its end", function()
    local children = family(child, {"a"})
    local sup = casting.supervisor {children = children}
    local session = casting.session()
    local specs, same = session:spawn(function(sup)
      return sup:count_children().specs, sup
    end, sup):await(LONG)
    assert.equal(1, specs)
    assert.is_true(same == sup)
    assert.equal(tostring(sup), tostring(same))
    assert.matches("^supervisor: task %d+$", tostring(sup))
    assert.same(pack(true), pack(sup:stop(LONG)))
    assert.same(pack(true), pack(sup:stop(LONG)))
    for _, op in ipairs {"which_children", "count_children"} do
      assert.same(pack(nil, "noproc"), pack(sup[op](sup)))
    end
    for _, op in ipairs {"terminate_child", "restart_child", "delete_child"} do
      assert.same(pack(nil, "noproc"), pack(sup[op](sup, "a")))
    end
    assert.same(pack(nil, "noproc"), pack(sup:start_child(children[1])))
  end)

  it("does not keep who asks waiting when it dies", function()
    for _ = 1, 20 do
      local sup = casting.supervisor {intensity = 0,
        events = casting.channel(1), children = {{id = 1, start = function()
          error("crash", 0)
        end}}}
      local tasks = {}
      for k = 1, 5 do
        tasks[k] = casting.spawn(function()
          while sup:count_children() do casting.yield() end
          return (select(2, sup:count_children()))
        end)
      end
      for k = 1, 5 do
        assert.same(pack(true, "noproc"), pack(tasks[k]:join(LONG)))
      end
      assert.is_false((sup:wait(LONG)))
    end
  end)

  it("can be asked by its own children", function()
    local reply = casting.channel(1)
    local sups = casting.channel(1)
    local sup = casting.supervisor {children = {{id = "a", start = function()
      reply:send(sups:receive():count_children().active)
      require("casting").sleep(1000)
    end}}}
    sups:send(sup)
    assert.equal(1, reply:receive(LONG))
    sup:stop(LONG)
  end)

  it("is closed at the end of its block", function()
    if helper.version < "5.4" then return pending "needs Lua 5.4" end
    assert.same(pack(nil, "noproc"), pack(load([[
      local casting = require "casting"
      local kept
      do
        local sup <close> = casting.supervisor {}
        kept = sup
      end
      return kept:count_children()
    ]])()))
  end)

  -- -- misuse ---------------------------------------------------------------

  it("says what is wrong with its argument, and where", function()
    local function start() end
    local bad = {
      {nil, "table of options expected, got nil"},
      {{strategy = "x"}, "strategy must be one of one_for_one"},
      {{intensity = -1}, "intensity must be a number, 0 or more, got -1"},
      {{intensity = 0 / 0}, "intensity"},
      {{intensity = "1"}, "intensity"},
      {{period = 0}, "period must be more than 0"},
      {{period = -1}, "period"},
      {{period = 0 / 0}, "period"},
      {{auto_shutdown = true}, "auto_shutdown must be one of never"},
      {{name = 5}, "name must be a string"},
      {{events = 5}, "events must be a channel"},
      {{colour = 5}, "unknown field 'colour'"},
      {{children = 5}, "children must be a list"},
      {{children = {5}}, "a child must be a table, got 5"},
      {{children = {{start = start}}}, "id must be a string or a number"},
      {{children = {{id = "x"}}}, "child 'x': start must be a function"},
      {{children = {{id = "x", start = start, x = 1}}}, "unknown field 'x'"},
      {{children = {{id = "x", start = start, args = 1}}}, "args must be"},
      {{children = {{id = "x", start = start, restart = "y"}}},
        "restart must be one of permanent"},
      {{children = {{id = "x", start = start, shutdown = -1}}}, "shutdown"},
      {{children = {{id = "x", start = start, shutdown = 0 / 0}}},
        "shutdown"},
      {{children = {{id = "x", start = start, session = 1}}}, "session must"},
      {{children = {{id = "x", start = start, significant = true}}},
        "a permanent child cannot be significant"},
      {{children = {{id = "x", start = start, significant = true,
        restart = "temporary"}}}, "significant means nothing"},
      {{children = {{id = "x", start = start}, {id = "x", start = start}}},
        "two children have the id 'x'"},
      {{children = {{id = "x", start = start, supervisor = {}}}},
        "neither start nor args"},
      {{children = {{id = "x", supervisor = "y"}}},
        "child 'x': supervisor must be a table of options, got a string"},
      {{children = {{id = "x", supervisor = {period = 0}}}},
        "child 'x': period must be more than 0"},
    }
    for _, case in ipairs(bad) do
      helper.misuse(function() casting.supervisor(case[1]) end,
        "supervisor_spec", "bad argument #1 to 'supervisor'", case[2])
    end
    local sup = casting.supervisor {}
    helper.misuse(function() sup:start_child {} end, "supervisor_spec",
      "'start_child'", "id must be")
    helper.misuse(function() sup:terminate_child() end, "supervisor_spec",
      "'terminate_child'", "id expected")
    helper.misuse(function() sup:restart_child {} end, "'restart_child'")
    helper.misuse(function() sup:delete_child(true) end, "'delete_child'")
    helper.misuse(function() sup.which_children() end, "'which_children'",
      "supervisor expected, got nil")
    helper.misuse(function() sup.count_children(5) end, "'count_children'")
    helper.misuse(function() sup:stop(-1) end, "'stop'", "zero or more")
    helper.misuse(function() sup:stop(0 / 0) end, "'stop'")
    sup:stop(LONG)
  end)
end)
