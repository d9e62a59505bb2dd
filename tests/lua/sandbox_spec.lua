-- sandbox_spec.lua - sessions that are not trusted.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, unpack, LONG = helper.pack, helper.unpack, helper.LONG

-- What f returns, called in a new sandbox.
local function inside(options, f, ...)
  options.sandbox = true
  local session = casting.session(options)
  local result = pack(session:spawn(f, ...):await(LONG))
  session:close(LONG)
  return unpack(result, 1, result.n)
end

-- Sorted, in one text.
local function words(list)
  table.sort(list)
  return table.concat(list, " ")
end

describe("the options of a sandbox", function()
  it("are checked", function()
    local function bad(options, ...)
      helper.misuse(function() casting.session(options) end, ...)
    end
    bad({sandbox = 1}, "sandbox must be a boolean, got 1")
    bad({sandbox = true, libs = "all"}, "libs must be a list in a sandbox")
    bad({sandbox = true, libs = {"string", "nothing"}}, "unknown library")
    bad({modules = {"a"}}, "modules: only a sandbox has this option")
    bad({sandbox = true, modules = "a"}, "modules must be a list of names")
    bad({sandbox = true, modules = {1}}, "a name must be a string, got 1")
    bad({sandbox = true, modules = {""}}, "a name must be a string")
    bad({sandbox = true, modules = {"a\0b"}}, "a name must be a string")
    casting.session{sandbox = false}:close(LONG)
  end)

  it("are those of what a sandbox makes, or less", function()
    local result = inside({libs = {"string", "math"}, modules = {"a", "b"}},
      function()
        local c = require "casting"
        local function try(options)
          local ok, e = pcall(c.session, options)
          if ok then e:close() end
          return ok and "made" or (tostring(e):gsub("^.-%((.*)%)$", "%1"))
        end
        local inner = c.session()
        local libs, found = inner:spawn(function()
          return {_G.string ~= nil, _G.math ~= nil, _G.table ~= nil},
            select(2, pcall(require, "x")):match "may load ([^\n]*)"
        end):await()
        return {try {libs = {"string"}, modules = {"b"}}, try {},
          try {sandbox = true}, try {sandbox = false}, try {libs = {"os"}},
          try {libs = {"casting.net"}}, try {modules = {"a", "c"}},
          try {libs = "all"}, libs, found}
      end)
    assert.equal("made", result[1])
    assert.equal("made", result[2])
    assert.equal("made", result[3])
    assert.matches("what a sandbox makes is one", result[4])
    assert.matches("has no library 'os'", result[5])
    assert.matches("has no library 'casting.net'", result[6])
    assert.matches("may not load 'c'", result[7])
    assert.matches("must be a list", result[8])
    assert.same({true, true, false}, result[9])
    assert.equal("casting, a, b and nothing else", result[10])
  end)
end)

describe("the libraries of a sandbox", function()
  local function globals()
    local names, os_names = {}, {}
    for k in pairs(_G) do names[#names + 1] = k end
    for k in pairs(_G.os or {}) do os_names[#os_names + 1] = k end
    return names, os_names
  end

  it("are harmless ones by default", function()
    local names, os_names = inside({}, globals)
    local has = {}
    for _, k in ipairs(names) do has[k] = true end
    for _, k in ipairs {"string", "table", "math", "coroutine", "os", "load",
      "require", "package", "pcall"} do
      assert.is_true(has[k], k)
    end
    for _, k in ipairs {"io", "debug", "ffi", "jit", "dofile", "loadfile",
      "module", "newproxy"} do
      assert.is_nil(has[k], k)
    end
    for _, k in ipairs {"utf8", "bit32", "bit"} do
      -- A Lua 5.3 may have a bit32 of its own for compatibility.
      if k ~= "bit32" then assert.equal(_G[k] ~= nil, has[k] == true, k) end
    end
    assert.equal("clock date difftime time", words(os_names))
    -- No function that is not known to be harmless, such as those that are
    -- there for compatibility.
    for _, k in ipairs(names) do
      assert.is_true((" assert collectgarbage error gcinfo getfenv " ..
        "getmetatable ipairs load loadstring next pairs pcall print " ..
        "rawequal rawget rawlen rawset require select setfenv " ..
        "setmetatable tonumber tostring type unpack warn xpcall _G " ..
        "_VERSION package os string table math coroutine utf8 bit32 bit ")
        :find(" " .. k .. " ", 1, true) ~= nil, k)
    end
    assert.same({"loaded"}, inside({}, function()
      local keys = {}
      for k in pairs(package) do keys[#keys + 1] = k end
      return keys
    end))
    assert.is_true(inside({}, function()
      return require "os" == os and require "package" == package and
        os.time() > 0 and type(os.date("*t")) == "table"
    end))
  end)

  it("are those that are named", function()
    local names, os_names = inside({libs = {"string", "os"}}, globals)
    local has = {}
    for _, k in ipairs(names) do has[k] = true end
    assert.is_true(has.string and has.os)
    assert.is_nil(has.math or has.table or has.io)
    assert.is_true(#os_names > 4)
    names = inside({libs = {}}, globals)
    for _, k in ipairs(names) do
      assert.is_true(k ~= "os" and k ~= "string" and k ~= "math", k)
    end
  end)

  it("load text only", function()
    local result = inside({}, function()
      local f = load or loadstring -- luacheck: ignore
      local binary = string.dump(function() return 1 end)
      local pieces = {binary:sub(1, 1), binary:sub(2)}
      local function next_piece()
        return table.remove(pieces, 1)
      end
      local results = {}
      local function try(...)
        local ok, chunk, e = pcall(...)
        results[#results + 1] = ok and chunk ~= nil and "loaded" or
          tostring(e or chunk)
      end
      local loads = _G.loadstring or f
      try(loads, binary)
      try(loads, binary, "x", "b")
      try(loads, binary, "x", "bt")
      try(f, next_piece)
      try(loads, "\27Lua")
      try(loads, "return 1")
      local texts = {"return ", "2"}
      try(f, function() return table.remove(texts, 1) end)
      try(loads, "x x")
      return results, loads("return 1")(), f(function() return nil end) ~= nil
    end)
    for i = 1, 5 do
      assert.is_true(result[i] ~= "loaded", i)
      assert.matches("attempt to load", result[i])
    end
    assert.equal("loaded", result[6])
    assert.equal("loaded", result[7])
    assert.is_true(result[8] ~= "loaded")
    assert.equal(7, inside({}, function()
      local f = load or loadstring -- luacheck: ignore
      if _VERSION == "Lua 5.1" then return 7 end
      return f("return x", "name", "t", {x = 7})()
    end))
  end)

  it("make no finalizers", function()
    local ok, e = inside({}, function()
      local ok, e = pcall(setmetatable, {}, {__gc = function() end})
      return ok, not ok and e
    end)
    if _VERSION == "Lua 5.1" then
      assert.is_true(ok) -- Lua itself does nothing with it
    else
      assert.is_false(ok)
      assert.matches("a sandbox has no finalizers", e)
    end
    assert.is_true(inside({}, function()
      local mt = {__index = {x = 1}}
      return setmetatable({}, mt).x == 1 and
        getmetatable(setmetatable({}, nil)) == nil
    end))
  end)

  it("do not give environments away", function()
    if not setfenv then return end
    local result = inside({}, function()
      local c = require "casting"
      local r = {getfenv(print) == _G, getfenv(require) == _G,
        getfenv(c.with_timeout) == _G, getfenv(c.scope) == _G,
        getfenv() == _G, getfenv(1) == _G, pcall(getfenv, 0),
        pcall(setfenv, 0, {}), pcall(setfenv, print, {}),
        pcall(setfenv, c.with_timeout, {})}
      -- The library's own functions, which call these.
      local seen, n, own = true, 0, {[_G] = true}
      local function look()
        for level = 1, 20 do
          local ok, env = pcall(getfenv, level)
          if ok then
            seen, n = seen and own[env] ~= nil, n + 1
            local t = setmetatable({}, {__index = _G})
            own[t] = true
            pcall(setfenv, level, t)
          end
        end
      end
      c.scope(look)
      c.with_timeout(100, look)
      c.shield(look)
      c.map({1}, function() return 1 end, {sessions = 1, progress = look})
      c.map(function() look() end, function() end, {sessions = 1})
      r.seen, r.n = seen, n
      local mine = setfenv(function() return y end, {y = 3}) -- luacheck: ignore
      r.mine = mine() == 3 and getfenv(mine).y == 3
      return r
    end)
    for i = 1, 6 do assert.is_true(result[i], i) end
    assert.is_false(result[7])
    assert.is_false(result[8])
    assert.is_true(result.seen and result.mine and result.n > 0)
  end)
end)

describe("require in a sandbox", function()
  it("finds what is listed, from where the maker would load it", function()
    local base = os.tmpname()
    os.remove(base)
    local dir = base:match "^(.*)/"
    local name = base:match "([^/]*)$"
    helper.spit(dir .. "/" .. name .. ".lua", "return {name = ..., n = 0}")
    helper.spit(dir .. "/" .. name .. "_other.lua", "return 'other'")
    local path = package.path
    package.path = dir .. "/?.lua;" .. path
    package.preload.sandbox_preloaded = function() return "preloaded" end
    package.preload.sandbox_unlisted = function() return "unlisted" end
    local session = casting.session{sandbox = true,
      modules = {name, "sandbox_preloaded"}}
    package.path = path
    package.preload.sandbox_preloaded = nil
    package.preload.sandbox_unlisted = nil
    local result = session:spawn(function(n)
      local r = {require(n).n, require "sandbox_preloaded",
        rawequal(require(n), package.loaded[n])}
      for _, other in ipairs {n .. "_other", "sandbox_unlisted", "../" .. n,
        "io", "debug", "casting.net", "ffi", "jit.util", "table.new"} do
        r[#r + 1] = tostring(select(2, pcall(require, other)))
      end
      return r
    end, name):await(LONG)
    assert.same({0, "preloaded", true}, {unpack(result, 1, 3)})
    for i = 4, #result do
      assert.matches("not found", result[i])
      assert.matches("this sandbox may load casting, " ..
        name:gsub("%p", "%%%0") .. ", sandbox_preloaded and nothing else",
        result[i])
    end
    -- Whatever it does to package, and what it makes finds the same.
    local again = session:spawn(function(n)
      package.path, package.cpath = "/tmp/?.lua;/?", "/?.so"
      package.preload = {evil = function() return 1 end}
      for _, k in ipairs {"searchers", "loaders"} do
        rawset(package, k, {function() return function() return 1 end end})
      end
      local inner = require "casting".session {modules = {n}}
      package.loaded[n] = nil
      return {pcall(require, "evil")}, require(n).n,
        inner:spawn(function(m)
          return require(m).n .. tostring(pcall(require, "sandbox_preloaded"))
        end, n):await()
    end, name)
    local evil, n, inner = again:await(LONG)
    assert.is_false(evil[1])
    assert.equal(0, n)
    assert.equal("0false", inner)
    session:close(LONG)
    os.remove(dir .. "/" .. name .. ".lua")
    os.remove(dir .. "/" .. name .. "_other.lua")
  end)
end)

describe("casting in a sandbox", function()
  it("has nothing that reaches the process", function()
    local result = inside({}, function()
      local c = require "casting"
      local r = {}
      for i, name in ipairs {"named", "threads", "blocking", "on_error", "poll",
        "fd"} do
        r[i] = name .. ": " .. tostring(select(2, pcall(c[name], "x")))
      end
      r[#r + 1] = "net: " .. tostring(select(2, pcall(function()
        return c.net
      end)))
      return r
    end)
    for _, line in ipairs(result) do
      local name = line:match "^(%a[%a_]*): "
      assert.matches("casting%." .. name .. " is not available in a sandbox",
        line)
    end
    assert.equal(7, #result)
  end)

  it("has casting.net if that is named", function()
    assert.is_true(inside({libs = {"casting.net"}}, function()
      local c = require "casting"
      local a, b = c.net.pair()
      a:write "x"
      return b:read(1) == "x" and require "casting.net" == c.net and
        pcall(c.session, {libs = {}})
    end))
    -- A stream that is given to a sandbox works there.
    local session = casting.session{sandbox = true}
    local a, b = casting.net.pair()
    local task = session:spawn(function(s) return s:read(2) end, a)
    b:write "hi"
    assert.equal("hi", task:await(LONG))
    -- But the functions do not come with a message.
    local ok, e = session:spawn(function(...) return ... end,
      casting.net.connect):join(LONG)
    assert.is_false(ok)
    assert.matches("net", tostring(e))
    session:close(LONG)
    b:close()
  end)

  it("has the rest", function()
    local result = inside({}, function()
      local c = require "casting"
      local ch, r = c.channel(2), {}
      ch:send(1, "two", {3})
      r.sent = select(3, ch:receive())[1]
      r.after = type(c.after(0):receive())
      r.every = type(c.every(0.001):receive())
      r.select = c.select {c.channel(), {ch, "x"}}
      r.timeout = select(2, c.with_timeout(0.001, function() c.sleep(10) end))
      r.all = {c.all {function() return 1 end, function() return 2 end}}
      r.race = {c.race {function() return 7 end}}
      r.map = c.map({1, 2, 3}, function(x) return x * x end, {sessions = 2})
      r.map.n = nil
      r.scope = c.scope(function(s)
        return s:spawn(function() return "in scope" end):await()
      end)
      r.packed = c.pack("a", {1}):unpack()
      r.transferable = {c.transferable(1), (c.transferable(print))}
      r.run = c.run(function() return "run" end)
      local s = c.session {name = "inner"}
      r.own = s:spawn(function(f, x) return f(x) end,
        function(x) return x + 1 end, 41):await()
      r.stats = s:stats().name
      r.closed = s:close()
      local sup = c.supervisor {children = {
        {id = "a", start = function() require "casting".sleep(1000) end},
        {id = "sub", supervisor = {children = {}}}}}
      r.counts = sup:count_children().active
      local list = sup:which_children()
      r.sub = tostring(list[2].supervisor):match "^supervisor"
      r.subcount = list[2].supervisor:count_children().specs
      list[1].task:cancel()
      r.start = select(2, pcall(sup.start_child, sup, {id = "b",
        restart = "temporary", start = function() end}))
      r.text = type(sup:start_child {id = "c", start = "return 1",
        restart = "temporary"})
      r.stopped = sup:stop()
      return r
    end)
    assert.equal(3, result.sent)
    assert.equal("number", result.after)
    assert.equal("number", result.every)
    assert.equal(2, result.select)
    assert.equal("timeout", result.timeout)
    assert.same({1, 2}, result.all)
    assert.same({1, 7}, result.race)
    assert.same({1, 4, 9}, result.map)
    assert.equal("in scope", result.scope)
    assert.equal("a", result.packed)
    assert.same({true}, {result.transferable[1]})
    assert.is_nil(result.transferable[2])
    assert.equal("run", result.run)
    assert.equal(42, result.own)
    assert.equal("inner", result.stats)
    assert.is_true(result.closed)
    assert.equal(2, result.counts)
    assert.equal("supervisor", result.sub)
    assert.equal(0, result.subcount)
    assert.equal("userdata", type(result.start))
    assert.equal("userdata", result.text)
    assert.is_true(result.stopped)
  end)

  it("reports of its own sessions only", function()
    local other = casting.session{name = "the other one"}
    local gate = casting.channel()
    other:spawn(function() gate:receive() end)
    local report = inside({name = "the reporter"}, function()
      local c = require "casting"
      local s = c.session{name = "an inner one"}
      local go = c.channel()
      s:spawn(function() go:receive() end)
      local text
      repeat text = c.report() until text:find("receive from", 1, true)
      go:close()
      return text
    end)
    assert.matches("an inner one", report)
    assert.matches("the reporter", report)
    assert.is_nil(report:find("the other one", 1, true))
    assert.is_nil(report:find("main program", 1, true))
    gate:close()
    other:close(LONG)
  end)
end)

describe("the authority of a sandbox", function()
  it("ends at what it has made", function()
    local other, gate = casting.session{name = "other"}, casting.channel()
    local theirs = other:spawn(function() return gate:receive() end)
    local done = other:spawn(function() return 1, {2} end)
    done:join(LONG)
    local me = casting.spawn(function() return casting.self():session() end)
      :await(LONG)
    local session = casting.session{sandbox = true, name = "box"}
    local sibling = casting.session{sandbox = true, name = "sibling"}
    local result = session:spawn(function(s, t, d, main, sib)
      local c, r = require "casting", {}
      local function try(f, ...)
        local ok, e = pcall(f, ...)
        r[#r + 1] = not ok and tostring(e) or "done"
      end
      for _, target in ipairs {s, main, sib} do
        try(target.spawn, target, function() end)
        try(target.wait, target, 0)
        try(target.close, target, 0)
        try(target.cancel, target)
        try(target.tasks, target)
        try(target.stats, target)
      end
      try(t.cancel, t)
      try(t.traceback, t)
      try(t.link, t)
      try(t.unlink, t)
      try(t.session, t)
      try(c.self().link, c.self(), t)
      try(c.all, {t})
      try(c.race, {t})
      try(c.map, {1}, function() end, {sessions = {s}})
      local can = {s:name(), t:name():match "^task", t:status(), d:status(),
        select(2, d:join()), (d:await()), select(2, d:monitor():receive()),
        tostring(s):match "^session", t:join(0) == nil, s == s}
      return r, can
    end, other, theirs, done, me, sibling)
    local refused, can = result:await(LONG)
    assert.equal(27, #refused)
    for i, e in ipairs(refused) do
      assert.is_true(e:find("made by this sandbox", 1, true) ~= nil or
        e:find("may not cancel", 1, true) ~= nil, i .. ": " .. e)
    end
    assert.matches("spawn: session 'other' was not made by this sandbox",
      refused[1])
    assert.same({"other", "task", "waiting", "done", 1, 1, 1, "session",
      true, true}, can)
    assert.equal("waiting", theirs:status())
    assert.is_true(gate:send("still there"))
    assert.equal("still there", theirs:await(LONG))
    for _, s in ipairs {session, sibling, other} do s:close(LONG) end
  end)

  it("reaches itself, and all below it", function()
    local session = casting.session{sandbox = true, name = "box"}
    assert.same({"made", 3, "box", 1, true, true}, session:spawn(function()
      local c = require "casting"
      local me = c.self():session()
      local child = c.session{name = "child"}
      local grandchild = child:spawn(function()
        return require "casting".session{name = "grandchild"}
      end):await()
      local up = grandchild:spawn(function(s)
        return select(2, pcall(s.spawn, s, function() end))
      end, child):await()
      local t = grandchild:spawn(function()
        require "casting".sleep(1000)
      end)
      return {up:find("not made by this sandbox", 1, true) and "made",
        me:spawn(function() return 3 end):await(), me:name(),
        #grandchild:tasks(), t:cancel(), grandchild:close()}
    end):await(LONG))
    session:close(LONG)
  end)
end)

describe("what leaves a sandbox", function()
  -- Makes each value in the sandbox, and tries all ways by which it could
  -- leave; returns what the errors say, by way.
  local function ways(make)
    local c = require "casting"
    local ch, r = c.channel(100), {}
    local function try(way, f, ...)
      local ok, e = pcall(f, ...)
      r[way] = not ok and tostring(e) or "sent"
    end
    local v = make()
    try("send", ch.send, ch, 1, {x = {v}})
    try("try_send", ch.try_send, ch, v)
    try("select", c.select, {{ch, "x", v}})
    try("pack", c.pack, {v})
    local way = c.transferable(v)
    r.transferable = way and "sent" or "cannot send"
    r.left = #ch
    return r
  end

  local refused = {
    {"function", function() return function() end end},
    {"function", function() return print end},
    {"function", function() return require "casting".spawn end},
    {"coroutine", function() return coroutine.create(function() end) end},
    {"table with a metatable", function() return setmetatable({}, {}) end},
    {"table with a metatable", function()
      return setmetatable({}, {__save = function() return print end})
    end},
    {"table with a metatable", function()
      package.loaded.forged = {Class = {__index = {}}}
      return setmetatable({}, package.loaded.forged.Class)
    end},
    {"module", function() return _G end},
    {"module", function() return string end},
    {"module", function() return require "casting" end},
    {"module", function()
      package.loaded.os = {execute = 1}
      return package.loaded.os
    end},
    {"function", function()
      local f = setmetatable
      package.loaded.os = {execute = f}
      _G.setmetatable = nil
      return f
    end},
  }

  it("is data", function()
    for i, case in ipairs(refused) do
      local r = inside({}, ways, case[2])
      local kind = case[1]
      for _, way in ipairs {"send", "try_send", "select", "pack"} do
        assert.is_true(r[way]:find("cannot send a " .. kind .. " (", 1, true) ~=
          nil, i .. " " .. way .. ": " .. r[way])
        assert.is_true(r[way]:find("what leaves a sandbox is data", 1, true) ~=
          nil or kind == "coroutine", r[way])
      end
      assert.matches("%(argument 2: %.x%[1%]%)", r.send)
      assert.matches("%(case 1, value 2%)", r.select)
      assert.equal("cannot send", r.transferable)
      assert.equal(0, r.left)
    end
  end)

  it("has the data whole", function()
    local a, b = inside({}, function()
      local deep = {}
      local at = deep
      for i = 1, 300 do
        at.next = {i}
        at = at.next
      end
      local shared = {1}
      local t = {1, 2.5, "x", ("y"):rep(200000), true, [10] = "ten",
        [shared] = shared, key = {shared, shared}, deep = deep,
        __index = "no class", ["\0"] = ("z"):rep(300)}
      t.self = t
      return t, nil
    end)
    assert.is_nil(b)
    assert.equal(2.5, a[2])
    assert.equal(200000, #a[4])
    assert.equal(a, a.self)
    assert.equal(a.key[1], a.key[2])
    assert.equal(a.key[1], a[a.key[1]])
    assert.equal("no class", a.__index)
    assert.equal(300, #a["\0"])
    local n, at = 0, a.deep
    while at.next do n, at = n + 1, at.next end
    assert.equal(300, n)
  end)

  it("has handles", function()
    local session = casting.session{sandbox = true}
    local ch = casting.channel(1)
    local got = session:spawn(function(c)
      local m = require "casting"
      local own = m.channel(1)
      own:send "through"
      c:send {own, m.self(), m.self():session(), m.pack(1, {2})}
      return c
    end, ch):await(LONG)
    assert.equal(ch, got)
    local list = ch:receive(LONG)
    assert.equal("through", list[1]:receive(LONG))
    assert.equal("done", list[2]:status())
    assert.equal(session, list[3])
    assert.equal(1, (list[4]:unpack()))
    session:close(LONG)
  end)

  it("has no packed messages with more in them", function()
    local session = casting.session{sandbox = true}
    local code = casting.pack(function() return 1 end)
    local data = casting.pack({1}, "x", casting.channel())
    local nested = casting.pack(casting.pack(function() end))
    local r = session:spawn(function(c, d, n)
      local m = require "casting"
      local ch = m.channel(100)
      local out = {}
      local function try(f, ...)
        local ok, e = pcall(f, ...)
        out[#out + 1] = ok and "sent" or tostring(e)
      end
      try(ch.send, ch, c)
      try(ch.send, ch, 1, c)
      try(ch.try_send, ch, c)
      try(m.select, {{ch, c}})
      try(m.pack, {c})
      try(ch.send, ch, n)
      out.n = #ch
      try(ch.send, ch, d)
      try(ch.send, ch, {d})
      -- A session of its own takes it.
      local own = m.session():spawn(c):await()
      return out, own
    end, code, data, nested):await(LONG)
    for i = 1, 6 do
      assert.matches("cannot send a message .*what leaves a sandbox is data",
        r[i])
    end
    assert.equal(0, r.n)
    assert.equal("sent", r[7])
    assert.equal("sent", r[8])
    session:close(LONG)
  end)

  it("has no results that are more, and no errors", function()
    local session = casting.session{sandbox = true}
    local ok, e = session:spawn(function() return {f = print} end):join(LONG)
    assert.is_false(ok)
    assert.matches("cannot send a function %(result 1: %.f%)", e)
    ok, e = session:spawn(function()
      error(setmetatable({}, {__tostring = function() return "its text" end}))
    end):join(LONG)
    assert.is_false(ok)
    assert.equal("its text", e)
    ok, e = session:spawn(function() error {code = 5} end):join(LONG)
    assert.is_false(ok)
    assert.equal(5, e.code)
    ok, e = session:spawn(function() error({f = print}) end):join(LONG)
    assert.is_false(ok)
    assert.matches("^table: ", e)
    -- By a monitor, and by the handle of a task that crosses late.
    local ch = casting.channel(1)
    local task = session:spawn(function(c)
      local m = require "casting"
      local t = m.spawn(function() return setmetatable({}, {}) end)
      t:join()
      c:send(t)
    end, ch)
    local late = ch:receive(LONG)
    ok, e = late:join(LONG)
    assert.is_false(ok)
    assert.matches("cannot send a table with a metatable", e)
    task:join(LONG)
    local bad = session:spawn(function() return _G end)
    ok, e = bad:monitor():receive(LONG)
    assert.is_false(ok)
    assert.matches("cannot send a module", e)
    session:close(LONG)
  end)

  it("has cancellations", function()
    local session = casting.session{sandbox = true}
    local function cancelled()
      local m = require "casting"
      local t = m.spawn(function() m.sleep(1000) end)
      t:cancel "why"
      local _, e = t:join()
      return e
    end
    local e = session:spawn(cancelled):await(LONG)
    assert.is_true(casting.is_cancelled(e))
    assert.equal("why", e.reason)
    assert.equal("cancelled: why", tostring(e))
    -- With what a sandbox makes of one, only the reason goes, if it is a text.
    local list = session:spawn(function(make)
      local m = require "casting"
      local one, two = make(), make()
      one.reason, one.f, one.more = {print}, print, {}
      two.reason = make()
      local three = setmetatable({reason = "x"}, m.cancelled)
      return {one, two, three, three, [three] = one}
    end, cancelled):await(LONG)
    for i = 1, 4 do assert.is_true(casting.is_cancelled(list[i])) end
    assert.is_nil(next(list[1]))
    assert.is_nil(next(list[2]))
    assert.equal("x", list[3].reason)
    assert.equal(list[3], list[4])
    assert.equal(list[1], list[list[3]])
    -- Its own metatable goes nowhere.
    local ok, why = session:spawn(function()
      return require "casting".cancelled
    end):join(LONG)
    assert.is_false(ok)
    assert.matches("cannot send", why)
    session:close(LONG)
  end)

  it("does not change while it is sent", function()
    -- A metatable that a table gets only when it is put off (more than 64
    -- levels deep) is not looked at any more.
    local a = inside({}, function()
      local m = require "casting"
      local t = {}
      local at = t
      for _ = 1, 200 do
        at[1] = {}
        at = at[1]
      end
      local ch = m.channel(1)
      ch:send(t)
      return ch:receive()
    end)
    assert.equal("table", type(a[1][1][1]))
  end)
end)

describe("a channel in a sandbox", function()
  it("is closed there only if it was made there", function()
    local given = casting.channel(1)
    local session = casting.session{sandbox = true}
    local result = session:spawn(function(given)
      local c = require "casting"
      local inner = c.session()
      local own, of_inner = c.channel(), inner:spawn(function()
        return require "casting".channel()
      end):await()
      local closed, why = pcall(given.close, given)
      local by_inner = inner:spawn(function(own)
        return (pcall(own.close, own))
      end, own):await()
      given:send(1)
      return {closed, why, own:close(), of_inner:close(), by_inner,
        c.after(10):close(), given:closed()}
    end, given):await(LONG)
    assert.is_false(result[1])
    assert.matches("close: the channel was not made by this sandbox", result[2])
    assert.same({true, true, false, true, false}, {unpack(result, 3, 7)})
    assert.equal(1, given:receive(0))
    assert.is_true(given:close())
    session:close(LONG)
  end)
end)

describe("what others see of a sandbox", function()
  it("is bounded", function()
    local session = casting.session{sandbox = true, name = "box"}
    local task = session:spawn(function()
      error(("long"):rep(100000) .. "\27[2J", 0)
    end)
    local ok, e = task:join(LONG)
    assert.is_false(ok)
    assert.equal(400004, #e) -- the value is whole
    assert.is_true(#task:traceback() < 20000)
    task = session:spawn(function()
      error "\27[2J\1 is for a terminal"
    end)
    task:join(LONG)
    assert.matches("%?%[2J%? is for a terminal", task:traceback())
    -- Names of functions and of chunks.
    task = session:spawn(function()
      local t = {}
      local name = ("n"):rep(100000)
      local loads = loadstring or load
      t.f = loads("error 'here'", "=\27chunk")
      local code = "local t = ... t." .. name .. "() return 1"
      t[name] = t.f
      return (loads(code, "=other"))(t)
    end)
    task:join(LONG)
    assert.is_true(#task:traceback() < 5000)
    assert.is_nil(task:traceback():find("\27", 1, true))
    -- Names of sessions.
    local e1, e2 = session:spawn(function()
      local c = require "casting"
      return select(2, pcall(c.session, {name = ("x"):rep(101)})),
        select(2, pcall(c.session, {name = "\27"}))
    end):await(LONG)
    assert.matches("name must have at most 100 bytes in a sandbox", e1)
    assert.matches("no control characters", e2)
    session:close(LONG)
  end)

  it("is no flood of reports", function()
    local reports = casting.channel(math.huge)
    casting.on_error(reports)
    local session = casting.session{sandbox = true}
    session:spawn(function()
      local c = require "casting"
      for i = 1, 500 do
        c.spawn(function() error("failure " .. i, 0) end)
        if i % 50 == 0 then c.yield() end
        collectgarbage()
      end
      local inner = c.session()
      inner:spawn(function() error "of an inner one" end)
      inner:wait()
    end):await(LONG)
    session:close(LONG)
    helper.until_true(function() return #reports >= 50 end, "the reports")
    casting.on_error(nil)
    assert.is_true(#reports < 250, #reports)
  end)
end)

describe("a way out of a sandbox", function()
  -- Each of them is tried there; none may return something else than "in".
  local escapes = {
    ["the metatable of strings"] = function()
      local mt = getmetatable ""
      mt.__index = function() return "hijacked" end
      local c = require "casting"
      local ok = pcall(c.supervisor, {children = {{id = 1, start = "x ="}}})
      return not ok and "in"
    end,
    ["the metatable of a handle"] = function()
      local c = require "casting"
      for _, h in ipairs {c.channel(), c.self(), c.self():session(),
        c.pack(1)} do
        if type(getmetatable(h)) ~= "string" or
          pcall(setmetatable, h, {}) or pcall(function() h.x = 1 end) or
          h.__gc or h.__index then
          return "out"
        end
      end
      return "in"
    end,
    ["load with another environment"] = function()
      local found
      local env = setmetatable({}, {__index = function(_, k)
        found = k
        return _G[k]
      end})
      local f
      if setfenv then
        f = setfenv(loadstring "return io, os.execute, debug", env)
      else
        f = load("return io, os.execute, debug", "x", "t", env)
      end
      local a, b, d = f()
      return found and not a and not b and not d and "in"
    end,
    ["coroutine.wrap"] = function()
      local f = coroutine.wrap(function()
        coroutine.yield(io, debug)
        return os.execute, dofile, loadfile
      end)
      local a, b = f()
      local d, e, g = f()
      return not (a or b or d or e or g) and "in"
    end,
    ["a function of casting replaced"] = function()
      -- Functions of the library that are written in Lua must not call it.
      local c = require "casting"
      local leaked
      local original = c.session
      c.session = function()
        return setmetatable({}, {__index = function()
          return function(_, f) leaked = f end
        end})
      end
      c.channel = function() leaked = "channel" end
      c.select = function() leaked = "select" end
      c.spawn = function() leaked = "spawn" end
      local s = c.supervisor {children = {{id = 1, start = "return 1",
        restart = "temporary"}}}
      s:stop()
      c.map({1}, function(x) return x end, {sessions = 1})
      c.all {function() end}
      c.session = original
      return leaked == nil and "in"
    end,
    ["the global functions replaced"] = function()
      local c = require "casting"
      local leaked
      local function spy(...)
        leaked = {...}
        error "spy"
      end
      for _, k in ipairs {"pcall", "error", "setmetatable", "getmetatable",
        "pairs", "ipairs", "select", "tostring", "type", "rawequal"} do
        _G[k] = spy
      end
      local s = c.supervisor {children = {}}
      s:which_children()
      s:stop()
      c.map({1, 2}, function(x) return x end, {sessions = 1})
      return leaked == nil and "in"
    end,
    ["package.loaded"] = function()
      package.loaded.casting = nil
      package.loaded.package = nil
      package.loaded._G = nil
      package.loaded["casting.internal"] = {run = print}
      local c = require "casting"
      return not pcall(require, "io") and not pcall(require, "casting.net") and
        not pcall(c.named, "x") and "in"
    end,
    ["package tricks"] = function()
      for _, k in ipairs {"loadlib", "searchpath", "path", "cpath", "preload",
        "searchers", "loaders", "config", "seeall"} do
        if package[k] then return k end
      end
      return "in"
    end,
    ["a task's coroutine"] = function()
      local c = require "casting"
      local co = coroutine.running()
      local t = c.spawn(function()
        return pcall(coroutine.resume, co), pcall(coroutine.wrap, co)
      end)
      t:join()
      return "in"
    end,
    ["names of libraries"] = function()
      local c = require "casting"
      package.loaded.io = {open = print}
      local s = c.session()
      local ok = s:spawn(function(f) return f end, print):join()
      package.loaded.os = {execute = print, exit = error}
      _G.print = nil
      local got = s:spawn(function() return os.execute, io end):await()
      return (ok == false or ok) and got == nil and "in"
    end,
  }

  for name, f in pairs(escapes) do
    it("is not " .. name, function()
      assert.equal("in", inside({}, f))
    end)
  end

  it("is nothing that a receiver runs", function()
    -- The classes of the receiver that could be forged.
    local ran = 0
    local Class = {__index = {}, __gc = function() ran = ran + 1 end,
      __save = function() ran = ran + 1 end}
    package.loaded.sandbox_forged = {Class = Class,
      make = function() ran = ran + 1 end}
    local session, ch = casting.session{sandbox = true}, casting.channel(9)
    session:spawn(function(c)
      local Forged = {__index = {}}
      package.loaded.sandbox_forged = {Class = Forged, make = print}
      pcall(c.send, c, setmetatable({}, Forged))
      pcall(c.send, c, package.loaded.sandbox_forged)
      pcall(c.send, c, setmetatable({}, {__save = function() return print end}))
      pcall(c.send, c, package.loaded.sandbox_forged.make)
      c:send {__save = "x", __gc = "y", __index = "z"}
    end, ch):await(LONG)
    assert.equal(1, #ch)
    local t = ch:receive(LONG)
    assert.is_nil(getmetatable(t))
    t = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(0, ran)
    package.loaded.sandbox_forged = nil
    session:close(LONG)
  end)

  it("is no finalizer that runs as it closes", function()
    local session = casting.session{sandbox = true}
    session:spawn(function()
      local mt = {}
      _G.keep = setmetatable({}, mt)
      mt.__gc = function() while true do end end
      pcall(setmetatable, _G.keep, mt)
      pcall(setmetatable, {}, {__gc = function() while true do end end})
      package.loaded.casting = nil
    end):join(LONG)
    assert.is_true(session:close(LONG))
  end)

  it("is none of those that spawned code has through its upvalues", function()
    -- What the maker gives is the maker's choice: it works.
    local session = casting.session{sandbox = true}
    local ch = casting.channel(1)
    assert.equal(3, session:spawn(function() return ch:capacity() + 2 end)
      :await(LONG))
    session:close(LONG)
  end)
end)
