-- net_resolve_spec.lua - names are looked up elsewhere, and waiting for them is
-- a wait like any other.
-- still: a task that waits is to wait for a name.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local LONG = helper.LONG

-- What the system may say of a name that it does not find, online or not.
local NOT_FOUND = {
  ["host not found"] = true,
  ["temporary failure in name resolution"] = true,
  ["name resolution failed"] = true,
  ["timeout"] = true,
}

local function contains(list, address)
  for _, a in ipairs(list) do
    if a == address then return true end
  end
  return false
end

-- -- as the system has them ---------------------------------------------------

for _, place in ipairs(helper.places) do
  local title, within = place[1], place[2]

  -- The results of net.resolve, called there.
  local function resolve(...)
    return within(function(...)
      return require "casting".net.resolve(...)
    end, ...)
  end

  describe("net.resolve in " .. title, function()
    it("gives numeric addresses back, in the system's way to write them",
      function()
        assert.same({"127.0.0.1"}, resolve "127.0.0.1")
        assert.same({"::1"}, resolve "::1")
        assert.same({"::1"}, resolve "0:0::0:01")
        assert.same({"127.0.0.1"}, resolve("127.0.0.1", {family = "inet"}))
        assert.same({"::1"}, resolve("::1", {family = "inet6"}))
        assert.same({"::1"}, resolve("::1", {timeout = 0}))
        local scoped = resolve "fe80::1%1"
        assert.equal(1, #scoped)
        assert.matches("^fe80::1%%%w+$", scoped[1])
      end)

    it("finds none of the other family", function()
      assert.same({n = 2, nil, "host not found"},
        helper.pack(resolve("127.0.0.1", {family = "inet6"})))
      assert.same({n = 2, nil, "host not found"},
        helper.pack(resolve("::1", {family = "inet"})))
    end)

    it("finds this host", function()
      local list = assert(resolve("localhost", {timeout = LONG}))
      assert.is_true(contains(list, "127.0.0.1") or contains(list, "::1"))
      local seen = {}
      for i = 1, #list do
        assert.is_nil(seen[list[i]])
        seen[list[i]] = true
        assert.same({list[i]}, resolve(list[i]))
      end
    end)

    it("finds no name that there is not", function()
      local list, why = resolve("name.invalid", {timeout = LONG / 4})
      assert.is_nil(list)
      assert.is_true(NOT_FOUND[why], why)
    end)

    it("does not wait with the timeout 0", function()
      assert.same({n = 2, nil, "timeout"},
        helper.pack(resolve("localhost", {timeout = 0})))
    end)
  end)
end

describe("net.resolve", function()
  local net = casting.net

  it("knows what /etc/hosts has", function()
    local hosts = io.open "/etc/hosts"
    if not hosts then pending "is not there" end
    local addresses, tried = {}, 0
    for line in hosts:lines() do
      local address, rest = line:gsub("#.*", ""):match "^%s*([%d.]+)%s+(.*)"
      for name in (rest or ""):gmatch "%S+" do
        addresses[name] = addresses[name] or {}
        table.insert(addresses[name], address)
      end
    end
    hosts:close()
    for name, list in pairs(addresses) do
      local found = net.resolve(name, {family = "inet", timeout = LONG})
      local any = false
      for _, address in ipairs(found or {}) do
        any = any or contains(list, address)
      end
      if any then tried = tried + 1 end
    end
    assert.is_true(tried > 0 or next(addresses) == nil)
  end)

  it("takes no shell's words, nor anything else, for a name", function()
    for _, name in ipairs {"a b", "$(echo localhost)", "localhost;", "\n",
      "::1 ", "127.0.0.1%lo", "%", "fe80::1%nothing-like-it", "*", "\255"} do
      local list, why = net.resolve(name, {timeout = LONG / 4})
      assert.is_nil(list)
      assert.is_true(NOT_FOUND[why], why)
    end
  end)

  it("tells what can be no name, and refuses what is no string", function()
    for _, name in ipairs {"", ("a"):rep(254), "local\0host", "unix:/tmp/x",
      "unix:", "unix:/" .. ("x"):rep(107)} do
      assert.same({nil, "not a host name"}, {net.resolve(name)})
    end
    helper.misuse(function() net.resolve() end, "#1", "resolve", "string")
    helper.misuse(function() net.resolve {} end, "#1", "string", "table")
    helper.misuse(function() net.resolve("", {x = 1}) end, "option 'x'")
  end)

  it("refuses other families and timeouts", function()
    for _, family in ipairs {"inet5", "", 4, true} do
      helper.misuse(function()
        net.resolve("localhost", {family = family})
      end, "#2", 'family must be "inet" or "inet6"')
    end
    for _, timeout in ipairs {-1, "soon", false, 0 / 0} do
      helper.misuse(function()
        net.resolve("localhost", {timeout = timeout})
      end, "#2", "timeout must be a number of seconds")
    end
  end)
end)

-- -- without descriptors ------------------------------------------------------

describe("net.resolve without descriptors", function()
  it("says so, and not that there is no such name", function()
    if not helper.has_children() then
      pending "no other program can be started here"
    end
    local script = helper.spit(os.tmpname(), [[
      local casting = require "casting"
      local net = require "casting.net"
      casting.sleep(0.001)
      local held = {}
      while #held < 1000 do
        local file = io.open "/dev/null"
        if not file then break end
        held[#held + 1] = file
      end
      for _ = 1, 2 do print(net.resolve("localhost", {timeout = 50})) end
      print(net.resolve("127.0.0.1")[1])
    ]])
    local pipe = io.popen(("{ ulimit -n 60; timeout %d %s %s; } 2>&1"):format(
      LONG, helper.command(), script))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(script)
    assert.equal(("nil\ttoo many open files\n"):rep(2) .. "127.0.0.1\n", text)
  end)
end)

describe("a socket without descriptors", function()
  it("is not made, also the first of a process", function()
    if not helper.has_children() then
      pending "no other program can be started here"
    end
    -- The first one needs two more, which all wait with.
    local script = helper.spit(os.tmpname(), [[
      local net = require "casting.net"
      local held = {}
      while #held < 1000 do
        local file = io.open "/dev/null"
        if not file then break end
        held[#held + 1] = file
      end
      local function free(n)
        for _ = 1, n do table.remove(held):close() end
      end
      for n = 0, 2 do
        free(math.min(n, 1))
        print(net.pair())
        print(net.udp("127.0.0.1", 0))
        print(net.listen("127.0.0.1", 0))
        print(net.connect("127.0.0.1", 1))
      end
      free(2)
      print(net.pair() ~= nil)
    ]])
    local pipe = io.popen(("{ ulimit -n 60; timeout %d %s %s; } 2>&1"):format(
      LONG, helper.command(), script))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(script)
    assert.equal(("nil\ttoo many open files\n"):rep(12) .. "true\n", text)
  end)
end)

-- -- search domains -----------------------------------------------------------

-- Within name spaces of its own, where the program's name server is the one.
local server = [[
  local casting = require "casting"
  local net = require "casting.net"
  local known = {
    ["host.corp.example"] = {"\127\0\0\9"},
    ["two.example"] = {"\127\0\0\8"},
  }
  local socket = assert(net.udp("127.0.0.1", 53))
  casting.spawn(function()
    while true do
      local query, host, port = socket:receive()
      local labels, at = {}, 13
      while query:byte(at) ~= 0 do
        local n = query:byte(at)
        labels[#labels + 1] = query:sub(at + 1, at + n)
        at = at + 1 + n
      end
      local name, kind = table.concat(labels, "."), query:byte(at + 2)
      local found = known[name]
      local list = found and kind == 1 and found or {}
      local answers = ""
      for _, address in ipairs(list) do
        answers = answers .. "\192\12\0\1\0\1\0\0\0\1\0\4" .. address
      end
      socket:send(query:sub(1, 2) .. "\129" .. (found and "\128" or "\131") ..
        "\0\1\0" .. string.char(#list) .. "\0\0\0\0" ..
        query:sub(13, at + 4) .. answers, host, port)
    end
  end)
  local function show(name, family)
    local list, why = net.resolve(name, {family = family, timeout = %d})
    print(name, list and table.concat(list, " ") or why)
  end
  show "host"
  show("host", "inet")
  show "host.corp.example"
  show "two"
  show "two.example."
  show "nothing"
  show "mine"
  local listener = assert(net.listen("127.0.0.9", 0))
  local _, port = listener:name()
  print((assert(net.connect("host", port, {timeout = %d})):peer()))
]]

describe("search domains", function()
  local function spaces() -- the options of unshare that make them, or nil
    for _, options in ipairs {"-mn", "-rmn"} do
      local ok = os.execute(("unshare %s sh -c 'ip link set lo up &&" ..
        " mount --bind /etc/hosts /etc/hosts' >/dev/null 2>&1")
        :format(options))
      if ok == true or ok == 0 then return options end
    end
  end

  it("are the system's", function()
    if not helper.has_children() then
      pending "no other program can be started here"
    end
    local options = spaces()
    if not options then pending "needs name spaces, and ip" end
    local function file(text) return helper.spit(os.tmpname(), text) end
    local files = {
      ["/etc/resolv.conf"] = file("nameserver 127.0.0.1\n" ..
        "search corp.example example\noptions timeout:1 attempts:2\n"),
      ["/etc/hosts"] = file "127.0.0.1 localhost\n10.9.8.7 mine\n",
      ["/etc/nsswitch.conf"] = file "hosts: files dns\n",
    }
    local script = file(server:format(LONG, LONG))
    local commands = "ip link set lo up\n"
    for to, from in pairs(files) do
      commands = commands .. ("test ! -e %s || mount --bind %s %s\n")
        :format(to, from, to)
    end
    local setup = file(commands .. ("exec timeout %d %s %s\n"):format(LONG,
      helper.command(), script))
    local pipe = io.popen(("unshare %s sh %s 2>&1"):format(options, setup))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(script)
    os.remove(setup)
    for _, name in pairs(files) do os.remove(name) end
    assert.equal([[
host	127.0.0.9
host	127.0.0.9
host.corp.example	127.0.0.9
two	127.0.0.8
two.example.	127.0.0.8
nothing	host not found
mine	10.9.8.7
127.0.0.9
]], text)
  end)
end)

-- -- names that take long -----------------------------------------------------

local library, why = helper.library "tests/lua/slownames.c"
if not library then
  describe("slow names", function()
    it("are waited for", function() pending(why) end)
  end)
  return
end

local base = os.tmpname()
helper.environment = helper.preloading(library, "NAMES_BASE=" .. base)

local prelude = ([[
  local casting = require "casting"
  local net = casting.net
  local LONG, base = %d, %q
  local function begun() -- the names, in the order in which they were asked for
    local list, file = {}, io.open(base .. ".log")
    if not file then return list end
    for line in file:lines() do list[#list + 1] = line end
    file:close()
    return list
  end
  local function until_begun(n)
    local deadline = casting.now() + LONG
    while #begun() < n do
      assert(casting.now() < deadline, "it was not asked for in time")
      casting.sleep(0.001)
    end
  end
  local function open_gate() assert(io.open(base .. ".gate", "w")):close() end
  local function gated(n)
    local tasks = {}
    for i = 1, n do
      tasks[i] = casting.spawn(function()
        return net.resolve(("gate%%d.test"):format(i))[1]
      end)
    end
    return tasks
  end
]]):format(LONG / 2, base)

local function tidy()
  for _, kind in ipairs {".log", ".gate"} do os.remove(base .. kind) end
end

local function start(source, limit)
  tidy()
  return helper.start(prelude .. source, nil, nil, limit)()
end

local function output(source)
  tidy()
  return helper.output(prelude .. source)
end

describe("slow names", function()
  after_each(tidy)

  it("do not stop anything else", function()
    assert.equal("16\n40 40\n", output [[
      local tasks = gated(40)
      until_begun(16)
      for i = 1, 20 do casting.sleep(0.001) end
      local s = casting.session()
      assert(s:spawn("return ... + 1", 41):await(LONG) == 42)
      assert(s:spawn(function()
        return require "casting".net.resolve "127.0.0.1"[1]
      end):await(LONG) == "127.0.0.1")
      local a, b = net.pair()
      casting.spawn(function() a:write "x" end)
      assert(b:read(1, LONG) == "x")
      print(#begun()) -- as many as there are threads for names
      for i = 1, 40 do assert(tasks[i]:status() == "waiting") end
      open_gate()
      local n = 0
      for i = 1, 40 do
        if tasks[i]:await(LONG) == "127.0.0.1" then n = n + 1 end
      end
      print(n, #begun())
    ]]:gsub("\t", " "))
  end)

  it("are asked for once, by all who want to know", function()
    assert.equal("60 1\n60 2\n", output [[
      local sessions, tasks = {}, {}
      for i = 1, 3 do sessions[i] = casting.session() end
      local function ask()
        return require "casting".net.resolve "gate.test"[1]
      end
      for i = 1, 60 do tasks[i] = sessions[i % 3 + 1]:spawn(ask) end
      until_begun(1)
      for i = 1, 60 do
        while tasks[i]:status() ~= "waiting" do casting.sleep(0.001) end
      end
      open_gate()
      local n = 0
      for i = 1, 60 do
        if tasks[i]:await(LONG) == "127.0.0.1" then n = n + 1 end
      end
      print(n, #begun())
      net.resolve "gate.test" -- anew, as it might have changed
      print(n, #begun())
    ]]:gsub("\t", " "))
  end)

  it("end with a timeout, and those in the queue are not begun", function()
    assert.equal([[
nil timeout
nil timeout
nil timeout
17 last.test
]], output [[
      print(net.resolve("gate1.test", {timeout = 0.001}))
      print(casting.spawn(net.resolve, "gate2.test", {timeout = 0.01}):await())
      print(casting.with_timeout(0.01, net.resolve, "gate3.test"))
      local tasks = gated(16) -- three of which share what was begun
      until_begun(16)
      for i = 1, 100 do
        local _, why = net.resolve("late" .. i .. ".test", {timeout = 1e-6})
        assert(why == "timeout")
      end
      local last = casting.spawn(net.resolve, "last.test")
      casting.yield()
      open_gate()
      last:await(LONG)
      for i = 1, 16 do tasks[i]:await(LONG) end
      print(#begun() .. " " .. begun()[17])
    ]]:gsub("\t", " "))
  end)

  it("can be cancelled", function()
    assert.equal("done\n", output [[
      local s = casting.session()
      local tasks = {}
      for i = 1, 40 do
        tasks[i] = i % 2 == 0 and s:spawn(function(i)
          return require "casting".net.resolve(("gate%d.test"):format(i))
        end, i) or casting.spawn(net.resolve, ("gate%d.test"):format(i))
      end
      until_begun(16)
      for i = 1, 40 do
        while tasks[i]:status() ~= "waiting" do casting.sleep(0.001) end
        tasks[i]:cancel()
      end
      for i = 1, 40 do
        local ok, e = tasks[i]:join(LONG)
        assert(ok == false and casting.is_cancelled(e), tostring(e))
      end
      assert(#begun() == 16)
      s:close()
      print "done"
    ]])
  end)

  it("do not keep a session from closing", function()
    assert.equal("done\n", output [[
      local s = casting.session()
      for i = 1, 20 do
        s:spawn(function(i)
          pcall(require "casting".net.resolve, ("gate%d.test"):format(i))
          table.sort({2, 1}, function()
            return require "casting".net.resolve "gate.test"
          end)
        end, i)
      end
      until_begun(16)
      s:close()
      print "done"
    ]])
  end)

  it("are waited for wherever Lua code can be", function()
    assert.equal("127.0.0.1 127.0.0.1 127.0.0.1\n", output [[
      local function slow()
        local results = {}
        results[1] = select(2, pcall(net.resolve, "slow1.test"))[1]
        results[2] = coroutine.wrap(function()
          return net.resolve "slow2.test"
        end)()[1]
        table.sort({2, 1}, function()
          results[3] = results[3] or net.resolve "slow3.test"[1]
          return false
        end)
        return table.concat(results, " ")
      end
      local task = casting.spawn(slow)
      assert(slow() == task:await(LONG))
      print(slow())
    ]])
  end)

  it("are no deadlock, and are named in reports", function()
    assert.equal("127.0.0.1\n127.0.0.1\nfalse true\n", output [[
      local s, ch = casting.session(), casting.channel()
      print(net.resolve "slow.test"[1])
      s:spawn(function(ch)
        ch:send(require "casting".net.resolve "slow.test"[1])
      end, ch)
      print(ch:receive())
      local t = casting.spawn(net.resolve, "gate.\n\27.test")
      until_begun(3)
      assert(casting.report():find("resolving gate.??.test", 1, true),
        casting.report())
      open_gate()
      t:await(LONG)
      local ok, e = pcall(ch.receive, ch) -- and now it is one
      print(ok, tostring(e):find "deadlock" ~= nil)
    ]]:gsub("\t", " "))
  end)

  it("have the system's order, each address once", function()
    local out = output [[
      print(table.concat(net.resolve "many.test", " "))
      print(table.concat(net.resolve("many.test", {family = "inet"}), " "))
      print(table.concat(net.resolve("many.test", {family = "inet6"}), " "))
      print(net.resolve("one.test", {family = "inet6"}))
    ]]
    assert.matches("^::1 127%.0%.0%.1 fe80::1%%%w+\n127%.0%.0%.1\n" ..
      "::1 fe80::1%%%w+\nnil\thost not found\n$", out)
  end)

  it("have as many addresses as can be of use", function()
    local out = output [[
      local list = net.resolve "crowd.test"
      for i, a in ipairs(list) do
        assert(a == ("2001:db8::%x"):format(255 + i) or a == "127.0.0.1")
      end
      print(#list >= 80)
    ]]
    assert.equal("true\n", out)
  end)

  it("that are not found have a reason", function()
    assert.equal([[
again temporary failure in name resolution
noname host not found
nodata host not found
fail name resolution failed
system connection refused
memory not enough memory
full too many open files in system
]], output [[
      for _, kind in ipairs {"again", "noname", "nodata", "fail", "system",
        "memory", "full"} do
        local list, why = net.resolve(kind .. ".test")
        assert(list == nil)
        print(kind .. " " .. why)
      end
    ]])
  end)

  -- Within a third of the time that they would take.
  local endings = {
    {"its end", "", 0},
    {"an error", "error('the end', 0)", 1},
    {"os.exit(7)", "os.exit(7)", 7},
  }
  if helper.version > "5.1" or helper.jit then
    endings[#endings + 1] = {"os.exit(8, true)", "os.exit(8, true)", 8}
  end
  for _, ending in ipairs(endings) do
    it("do not delay " .. ending[1], function()
      local result = start([[
        local s = casting.session()
        for i = 1, 20 do
          s:spawn(function(i)
            require "casting".net.resolve(("gate%d.test"):format(i))
          end, i)
          casting.spawn(net.resolve, ("gate%d.test"):format(i + 10))
        end
        until_begun(16)
        net.resolve("gate.test", {timeout = 0.001})
      ]] .. ending[2], 60)
      assert.equal(ending[3], result.status, result.err)
      assert.equal(ending[3] == 1, result.err:find "the end" ~= nil)
    end)
  end

  it("are the parent's, after a fork", function()
    if not pcall(require, "processes") then
      pending "its module is not built here"
    end
    local out = output [[
      local P = require "processes"
      local t = casting.spawn(net.resolve, "gate.test")
      until_begun(1)
      local pid = P.fork()
      if pid == 0 then
        local ok, e = pcall(net.resolve, "one.test")
        io.stderr:write(tostring(e))
        P.exit(not ok and tostring(e):find "forked" and 0 or 1)
      end
      print(P.wait(pid, LONG))
      open_gate()
      print(t:await(LONG)[1])
    ]]
    assert.equal("exit\t0\n127.0.0.1\n", out)
  end)

  it("leave no files behind", function() -- the last of all
    for _, path in ipairs {library, base} do os.remove(path) end
    assert.is_nil((io.open(library)))
  end)
end)
