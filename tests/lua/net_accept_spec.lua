-- net_accept_spec.lua - connections that cannot be accepted, or that another
-- process accepts, or a loop of the program's own.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local netkit = require "netkit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local net, pack, LONG = netkit.net, helper.pack, helper.LONG
local found, processes = pcall(require, "processes") -- tests/modules

-- What a program with that text and arguments prints: a function that waits
-- for it.
local function run(source, ...)
  local script = helper.spit(os.tmpname(), [[
    local casting = require "casting"
    local helper = require "helper"
    local kit = require "netkit"
    local net, LONG = kit.net, helper.LONG
  ]] .. source)
  local pipe = io.popen(("timeout %d %s %s %s 2>&1"):format(LONG,
    helper.command(), script, table.concat({...}, " ")))
  return function()
    local text = pipe:read "*a"
    pipe:close()
    os.remove(script)
    return text
  end
end

describe("errors of accept", function()
  local library, why = helper.library "tests/lua/badaccept.c"
  if not library then
    return it("are borne", function() pending(why) end)
  end

  -- The results of a server that takes five connections, beginning with those
  -- errors; `how` is its way to accept.
  local function serve(list, how)
    helper.environment =
      helper.preloading(library, "BAD_ACCEPT=" .. list)
    local text = run([[
      local listener = assert(net.listen("127.0.0.1", 0))
      local function accept()
        ]] .. how .. [[
      end
      local server = casting.spawn(function()
        local whys = {}
        for i = 1, 5 do
          local s, why
          repeat
            s, why = accept()
            if not s then whys[#whys + 1] = why end
          until s or #whys == 20
          s:write(i)
          s:close()
        end
        return table.concat(whys, ", ")
      end)
      if #arg > 0 then helper.until_waiting(server) end
      local _, port = listener:name()
      local clients = {}
      for i = 1, 5 do
        clients[i] = assert(net.socket("127.0.0.1", port))
        assert(net.connect(clients[i], "127.0.0.1", port, LONG))
      end
      for i = 1, 5 do assert(clients[i]:read("a", LONG) == tostring(i)) end
      local whys = server:await(LONG)
      print(listener:stats().accepted, whys)
      print(listener:stats().shortages)
    ]], "waits")()
    helper.environment = nil
    local accepted, whys, shortages = text:match "^(%d+)\t(.-)\n(%d+)\n$"
    assert.equal("5", accepted, text)
    return whys, tonumber(shortages)
  end

  local WAYS = {
    "return listener:accept(LONG)",
    "return listener:accept()",
    "assert(casting.select {listener} == 1) return listener:accept(0)",
  }

  it("of one connection are no reason to stop", function()
    for i, how in ipairs(WAYS) do
      local whys = serve("EPROTO,ECONNABORTED,EPERM,EINTR,EHOSTUNREACH", how)
      -- Each select may be followed by one that finds nothing.
      assert.equal("", (whys:gsub("timeout", ""):gsub(", ", "")), "way " .. i)
    end
  end)

  it("for want of anything are waited for", function()
    for i, how in ipairs(WAYS) do
      local whys, n = serve("ENFILE,ENOBUFS,EPROTO,ENOMEM,EMFILE", how)
      -- Each select is followed by one that finds nothing.
      assert.equal("", (whys:gsub("timeout", ""):gsub(", ", "")), "way " .. i)
      assert.is_true(n >= 4, "way " .. i)
    end
  end)

  it("of other kinds are told, and end nothing", function()
    for i, how in ipairs(WAYS) do
      local whys, n = serve("EINVAL,EINVAL", how)
      assert.equal("invalid argument, invalid argument", whys:lower(),
        "way " .. i)
      assert.equal(0, n)
    end
  end)

  it("leave no file", function() os.remove(library) end)
end)

describe("a listener of another process", function()
  if not found or not helper.has_children() or not net.from_fd then
    return it("serves there", function()
      pending "no other program can be started here"
    end)
  end

  local CHILD = [[
    local listener = assert(net.from_fd(tonumber(arg[1])))
    io.write((listener:name()), "\n")
    io.flush()
    for i = 1, 3 do
      local s = assert(listener:accept(LONG))
      s:write {s:read("l", LONG), " ", i, "\n"}
      s:close()
    end
    assert(listener:accept(0) == nil)
    listener:close()
  ]]

  for _, address in ipairs {"127.0.0.1", "unix:" .. os.tmpname() .. ".s"} do
    it("serves there, as " .. address:match "^%w+", function()
      local listener = assert(net.listen(address, 0, {unlink = false}))
      local host, port = listener:name()
      local clients = {}
      local function connect()
        local c = assert(net.socket(host, port or 0))
        assert(net.connect(c, host, port or 0, LONG))
        clients[#clients + 1] = c
      end
      connect() -- before there is anybody who accepts
      local number = processes.dup(listener:fd())
      local child = run(CHILD, number)
      processes.close(number)
      listener:close()
      for _ = 1, 2 do connect() end
      for i, c in ipairs(clients) do
        c:write("hello\n")
        assert.equal("hello " .. i, c:read("l", LONG))
      end
      assert.equal(host .. "\n", child())
      -- The path is there still, and nobody behind it.
      local c = assert(net.socket(host, port or 0))
      assert.same(pack(nil, "connection refused"),
        pack(net.connect(c, host, port or 0, LONG)))
      os.remove(host:match "^unix:(.*)" or "")
    end)
  end
end)

describe("a loop of the program's own", function()
  if not found or not casting.fd then
    return it("has sockets", function() pending "no module processes" end)
  end

  it("has sockets of the main state", function()
    local fd = casting.fd()
    local wanted, got = {}, {}
    local function task(name, want, f)
      wanted[name] = want
      casting.spawn(function()
        local ok, v = pcall(f)
        got[name] = v
        if not ok then error(v, 0) end
      end)
    end
    local listener = assert(net.listen("127.0.0.1", 0))
    local host, port = listener:name()
    task("accept", "hello", function()
      local s = assert(listener:accept(LONG))
      local line = s:read("l", LONG)
      s:write {line, "!\n"}
      s:close()
      return line
    end)
    task("connect", "hello!", function()
      local s = assert(net.socket(host, port))
      assert(net.connect(s, host, port, LONG))
      s:write "hello\n"
      return s:read("l", LONG)
    end)
    local a, b = net.pair()
    local c, d = net.pair()
    task("timeout", "timeout", function()
      return (select(2, c:read("l", 0.001)))
    end)
    task("select", 2, function()
      return (casting.select {casting.channel(), a, timeout = LONG})
    end)
    local e, f = net.pair()
    task("wait", true, function() return (net.wait(e:fd(), "r", LONG)) end)
    -- Another session writes, so that the events come from outside.
    netkit.session():spawn(function(b, f) -- luacheck: ignore
      b:write "x"
      f:write "y"
      b:close()
      f:close()
    end, b, f)
    local left = casting.now() + LONG
    local function is_done()
      for name in pairs(wanted) do
        if got[name] == nil then return false end
      end
      return true
    end
    casting.poll()
    while not is_done() and casting.now() < left do
      if processes.readable(fd, LONG) then casting.poll() end
    end
    assert.same(wanted, got)
    -- A task waits, and the descriptor is not readable all the time.
    local last = casting.spawn(c.read, c, 1, LONG)
    while casting.poll() do end -- luacheck: ignore
    local n = 0
    while processes.readable(fd, 0.001) and n < 1000 do
      casting.poll()
      n = n + 1
    end
    assert.is_true(n < 1000)
    d:write "z"
    assert.equal("z", last:await(LONG))
    for _, s in ipairs {a, c, d, e, listener} do s:close() end
  end)
end)
