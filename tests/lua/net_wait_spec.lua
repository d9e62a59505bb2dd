-- net_wait_spec.lua - waiting for descriptors by their numbers.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG
local net = casting.net

-- What Linux tells of the descriptor fd of this process, or nil.
local function info(fd)
  local file = io.open("/proc/self/fdinfo/" .. fd)
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

-- Is the number in a set of epoll's?
local function is_watched(fd)
  for set = 0, 200 do
    local text = info(set)
    if text and text:find("tfd:%s*" .. fd .. "%s") then return true end
  end
  return false
end

-- Fills what a stream may write until the other side reads.
local function fill(stream)
  local _, why
  repeat _, why = stream:write(("x"):rep(65536), 0) until why
  assert.equal("timeout", why)
end

describe("net.wait", function()
  local a, b
  before_each(function() a, b = net.pair() end)
  after_each(function()
    a:close()
    b:close()
  end)

  for _, place in ipairs(helper.places) do
    it("waits in " .. place[1], function()
      local run = place[2]
      b:write "hello"
      assert.same(pack(true), pack(run(function(fd)
        return require "casting".net.wait(fd, "r")
      end, a:fd())))
      -- A level: it is told again, and after some of it was read.
      assert.equal("he", a:read(2))
      b:write "!"
      for _ = 1, 2 do
        assert.same(pack(true), pack(run(function(fd)
          return require "casting".net.wait(fd, "r", 100)
        end, a:fd())))
      end
      assert.equal("llo!", a:read(4))
      assert.same(pack(nil, "timeout"), pack(run(function(fd)
        return require "casting".net.wait(fd, "r", 0.002)
      end, a:fd())))
      assert.same(pack(nil, "timeout"), pack(run(function(fd)
        return require "casting".net.wait(fd, "r", 0)
      end, a:fd())))
      assert.same(pack(true), pack(run(function(fd)
        return require "casting".net.wait(fd, "w", 0)
      end, a:fd())))
      casting.spawn(function()
        casting.yield()
        b:write "x"
      end)
      assert.same(pack(true), pack(run(function(fd)
        return require "casting".net.wait(fd, "r", 100)
      end, a:fd())))
      assert.equal("x", a:read())
    end)
  end

  it("waits until there is room to write", function()
    fill(a)
    assert.same(pack(nil, "timeout"), pack(net.wait(a:fd(), "w", 0)))
    local t = casting.spawn(net.wait, a:fd(), "w")
    helper.until_waiting(t)
    repeat until not b:read(nil, 0)
    assert.same(pack(true, true), pack(t:join(LONG)))
  end)

  it("is told of the end", function()
    local t = casting.spawn(net.wait, a:fd(), "r")
    helper.until_waiting(t)
    b:close()
    assert.same(pack(true, true), pack(t:join(LONG)))
    assert.is_true(net.wait(a:fd(), "r"))
  end)

  it("serves several tasks, for both directions", function()
    local tasks = {}
    fill(a)
    for i = 1, 10 do
      tasks[i] = casting.spawn(net.wait, a:fd(), i % 2 == 0 and "r" or "w")
    end
    for i = 1, 10 do helper.until_waiting(tasks[i]) end
    b:write "x"
    for i = 2, 10, 2 do
      assert.same(pack(true, true), pack(tasks[i]:join(LONG)))
    end
    assert.equal("waiting", tasks[1]:status())
    repeat until not b:read(nil, 0)
    for i = 1, 9, 2 do
      assert.same(pack(true, true), pack(tasks[i]:join(LONG)))
    end
    assert.is_false(is_watched(-1))
  end)

  it("serves several sessions", function()
    local sessions, tasks = {}, {}
    for i = 1, 3 do
      sessions[i] = casting.session()
      tasks[i] = sessions[i]:spawn(function(fd)
        return require "casting".net.wait(fd, "r")
      end, a:fd())
    end
    for i = 1, 3 do helper.until_waiting(tasks[i]) end
    b:write "x"
    for i = 1, 3 do
      assert.same(pack(true, true), pack(tasks[i]:join(LONG)))
      sessions[i]:close()
    end
  end)

  it("shares the descriptor of a stream with its reader", function()
    local wait = casting.spawn(net.wait, a:fd(), "r")
    local read = casting.spawn(a.read, a)
    helper.until_waiting(wait)
    helper.until_waiting(read)
    b:write "x"
    assert.same(pack(true, "x"), pack(read:join(LONG)))
    -- If the reader was faster there is nothing left, and it waits on.
    b:write "y"
    assert.same(pack(true, true), pack(wait:join(LONG)))
    assert.equal("y", a:read())
  end)

  it("ends when the stream is closed", function()
    local t = casting.spawn(net.wait, a:fd(), "r")
    helper.until_waiting(t)
    a:close()
    assert.same(pack(true, nil, "closed"), pack(t:join(LONG)))
  end)

  it("does not take the turn of a task that accepts", function()
    local listener = net.listen("127.0.0.1", 0, {})
    local fd = listener:fd()
    local waits, accepts = {}, {}
    for i = 1, 3 do
      waits[i] = casting.spawn(net.wait, fd, "r")
      accepts[i] = casting.spawn(function()
        return (listener:accept()):read "a"
      end)
      helper.until_waiting(waits[i])
      helper.until_waiting(accepts[i])
    end
    local session = casting.session()
    session:spawn(function(host, port)
      local net = require "casting".net -- luacheck: ignore
      for _ = 1, 3 do
        local s
        if net.socket then
          s = net.socket(host, port, {})
          assert(net.connect(s, host, port))
        else
          s = assert(net.connect(host, port))
        end
        s:write "served"
        s:close()
      end
    end, listener:name()):await(LONG)
    for i = 1, 3 do
      assert.same(pack(true, "served"), pack(accepts[i]:join(LONG)))
    end
    listener:close()
    for i = 1, 3 do -- some were woken when there was nothing left
      local ok, is, why = waits[i]:join(LONG)
      assert.is_true(ok and (is or why == "closed"))
    end
    session:close()
  end)

  it("waits where the VM cannot yield", function()
    b:write "x"
    local function wait(fd)
      local result
      table.sort({1, 2}, function() result = net.wait(fd, "r", 0.001) end)
      return result
    end
    assert.is_true(casting.spawn(wait, a:fd()):await(LONG))
    a:read()
    assert.is_nil(casting.spawn(wait, a:fd()):await(LONG))
    assert.is_true(casting.spawn(function()
      casting.spawn(function() b:write "x" end)
      return coroutine.wrap(function() return net.wait(a:fd(), "r") end)()
    end):await(LONG))
  end)

  it("ends with its task", function()
    local function wait() net.wait(a:fd(), "r") end
    local t = casting.spawn(wait)
    helper.until_waiting(t)
    t:cancel "enough"
    local ok, e = t:join(LONG)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(e))
    assert.same(pack(nil, "timeout"),
      pack(casting.with_timeout(0.002, wait)))
    local s = casting.session()
    t = s:spawn(function(fd) require "casting".net.wait(fd, "r") end, a:fd())
    helper.until_waiting(t)
    assert.is_true(s:close(LONG))
    assert.equal("cancelled", t:status())
    -- Nobody waits any more: the stream is as it was.
    b:write "x"
    assert.equal("x", a:read())
  end)

  it("goes on in a shield", function()
    local t = casting.spawn(function()
      return casting.shield(net.wait, a:fd(), "r")
    end)
    helper.until_waiting(t)
    t:cancel()
    b:write "x"
    local ok, e = t:join(LONG)
    assert.is_true(ok and e or casting.is_cancelled(e))
    assert.equal("x", a:read())
  end)

  it("is named in reports", function()
    fill(a)
    local r = casting.spawn(net.wait, a:fd(), "r")
    local w = casting.spawn(net.wait, a:fd(), "w")
    helper.until_waiting(r)
    helper.until_waiting(w)
    local report = casting.report()
    assert.matches("waiting for descriptor " .. a:fd() .. " to be readable",
      report, 1, true)
    assert.matches("waiting for descriptor " .. a:fd() .. " to be writable",
      report, 1, true)
    r:cancel()
    w:cancel()
    r:join(LONG)
    w:join(LONG)
  end)

  it("is named in reports by the other end, too, as in a select", function()
    local listener = assert(net.listen("127.0.0.1", 0, {}))
    local host, port = listener:name()
    local client, accepted = require "netkit".connect(listener)
    local _, own = client:name()
    local u = net.udp and assert(net.udp("127.0.0.1", 0, {}))
    local r, w = net.pair()
    local t = casting.spawn(net.wait, client:fd(), "r")
    local cases = {client, listener, r, {net.wait, accepted:fd(), "r"}, u}
    local s = casting.spawn(casting.select, cases)
    helper.until_waiting(t)
    helper.until_waiting(s)
    local text = casting.report()
    local address = host .. ":" .. port
    for _, words in ipairs {
      ("waiting for descriptor %d (%s) to be readable"):format(client:fd(),
        address),
      ("in select, to read from %s, to accept on %s, to read from " ..
        "descriptor %d, for descriptor %d (%s:%d) to be readable"):format(
        address, address, r:fd(), accepted:fd(), host, own),
      u and ("to receive on %s:%d"):format(u:name()) or "",
    } do
      assert.matches(words, text, 1, true)
    end
    t:cancel()
    s:cancel()
    t:join(LONG)
    s:join(LONG)
    for _, x in ipairs {client, accepted, listener, r, w, u} do x:close() end
  end)

  it("fails for a number that is not open", function()
    local fd = a:fd()
    a:close()
    local ok, why = net.wait(fd, "r", LONG)
    assert.is_nil(ok)
    assert.matches("descriptor", why)
    ok, why = net.wait(1000000000, "w", LONG)
    assert.is_nil(ok)
    assert.matches("descriptor", why)
  end)

  it("refuses other arguments", function()
    local fd = a:fd()
    for _, bad in ipairs {-1, 0.5, 2 ^ 31, 1 / 0, "7", false} do
      helper.misuse(function() net.wait(bad, "r") end, "bad argument #1",
        "a descriptor must be a non-negative integer")
    end
    local listener = assert(net.listen("127.0.0.1", 0))
    local socket = assert(net.udp())
    for bad, hint in pairs {
      [a] = {"a stream waits by itself", "stream:fd()"},
      [listener] = {"a listener waits by itself", "listener:fd()"},
      [socket] = {"a udp socket waits by itself", "udp:fd()"},
    } do
      helper.misuse(function() net.wait(bad, "r") end, "bad argument #1",
        hint[1], hint[2])
      helper.misuse(function() casting.select {{net.wait, bad, "r"}} end,
        "case 1", hint[1], hint[2])
    end
    listener:close()
    socket:close()
    helper.misuse(function() net.wait(io.stdout, "r") end, "bad argument #1",
      "a descriptor must be", "fileno")
    helper.misuse(function() net.wait() end, "bad argument #1")
    for _, bad in ipairs {"rw", "", "R", "r\0", "w\0w", 1, true} do
      helper.misuse(function() net.wait(fd, bad) end, "bad argument #2",
        '"r" or "w" expected')
    end
    helper.misuse(function() net.wait(fd) end, "bad argument #2")
    for _, bad in ipairs {-1, 0 / 0, "x", true} do
      helper.misuse(function() net.wait(fd, "r", bad) end, "bad argument #3")
    end
  end)

  it("waits for many at once", function()
    local tasks, pairs_of = {}, {}
    for i = 1, 100 do
      pairs_of[i] = {net.pair()}
      tasks[i] = casting.spawn(function(fd)
        local n = 0
        for _ = 1, 3 do
          assert(net.wait(fd, "r"))
          n = n + #pairs_of[i][1]:read()
        end
        return n
      end, pairs_of[i][1]:fd())
    end
    for round = 1, 3 do
      for i = 1, 100 do pairs_of[i][2]:write(("x"):rep(round)) end
      casting.yield()
    end
    for i = 1, 100 do
      -- What was written may have come at once: then the next one waits.
      repeat
        local ok, why = tasks[i]:join(0.001)
        if why == "timeout" then pairs_of[i][2]:write "x" end
      until ok
      pairs_of[i][1]:close()
      pairs_of[i][2]:close()
    end
  end)
end)

-- Descriptors of which casting knows nothing.
local there, parkmod = pcall(require, "parkmod")
local has_info = info(0) ~= nil

describe("net.wait for others' descriptors", function()
  if not there then
    pending "needs examples/c/parkmod.c, which is not built here"
    return
  end
  local r, w
  before_each(function() r, w = parkmod.pipe() end)
  after_each(function()
    parkmod.close(r)
    parkmod.close(w)
  end)

  it("leaves their flags alone, and forgets them", function()
    if not has_info then pending "needs /proc" end
    local flags = info(r):match "flags:%s*(%d+)"
    local t = casting.spawn(net.wait, r, "r")
    helper.until_waiting(t)
    assert.equal(flags, info(r):match "flags:%s*(%d+)")
    assert.is_true(is_watched(r))
    parkmod.write(w, "x")
    assert.same(pack(true, true), pack(t:join(LONG)))
    assert.equal(flags, info(r):match "flags:%s*(%d+)")
    assert.is_false(is_watched(r))
    -- Also when the wait ends otherwise.
    parkmod.read(r, 1)
    assert.same(pack(nil, "timeout"), pack(net.wait(r, "r", 0.001)))
    t = casting.spawn(net.wait, r, "r")
    helper.until_waiting(t)
    t:cancel()
    t:join(LONG)
    assert.is_false(is_watched(r))
    casting.select {{net.wait, r, "r"}, timeout = 0.001}
    casting.select {{net.wait, r, "r"}, {net.wait, w, "w"}}
    helper.misuse(function()
      casting.select {{net.wait, r, "r"}, 5, timeout = 0.001}
    end, "case 2")
    assert.is_false(is_watched(r))
    assert.is_false(is_watched(w))
  end)

  it("are forgotten by casting_wait_fd, however it ends", function()
    if not has_info then pending "needs /proc" end
    local function begin(...)
      local t = casting.spawn(parkmod.read, r, ...)
      helper.until_waiting(t)
      assert.is_true(is_watched(r))
      return t
    end
    local t = begin(1)
    parkmod.write(w, "xy")
    assert.same(pack(true, "x"), pack(t:join(LONG)))
    assert.is_false(is_watched(r))
    assert.equal("y", parkmod.read(r, 1)) -- what is there, without an event
    t = begin(1)
    t:cancel()
    assert.is_false((t:join(LONG)))
    assert.is_false(is_watched(r))
    t = begin(1, 0.05)
    assert.same(pack(true, nil, "timeout"), pack(t:join(LONG)))
    assert.is_false(is_watched(r))
    -- Another pipe gets the number meanwhile: it is waited for anew, by whoever
    -- waits for the number.
    t = begin(1)
    parkmod.close(r)
    local again, into = parkmod.pipe()
    if again == r then
      local other = casting.spawn(parkmod.read, r, 1, LONG)
      helper.until_waiting(other)
      parkmod.write(into, "zz")
      assert.same(pack(true, "z"), pack(other:join(LONG)))
    else
      parkmod.close(again)
    end
    t:cancel()
    t:join(LONG)
    parkmod.close(into)
    if again ~= r then r = parkmod.pipe() end -- which after_each closes
  end)

  it("finds regular files ready", function()
    parkmod.close(r) -- its number is the next one's
    local file = assert(io.open(arg and arg[0] or "/dev/null"))
    if has_info and (info(r) or ""):find "pos:" then
      assert.same(pack(true), pack(net.wait(r, "r")))
      assert.same(pack(true), pack(net.wait(r, "w", 0)))
      assert.equal(1, casting.select {{net.wait, r, "r"}})
    end
    file:close()
  end)

  it("lasts until its time if the number is closed meanwhile", function()
    local t = casting.spawn(net.wait, r, "r", 0.05 * helper.slow)
    helper.until_waiting(t)
    parkmod.close(r)
    assert.same(pack(true, nil, "timeout"), pack(t:join(LONG)))
  end)

  it("ends when a stream gets the number", function()
    local t = casting.spawn(net.wait, r, "r")
    helper.until_waiting(t)
    parkmod.close(r)
    local streams = {}
    repeat
      local a, b = net.pair()
      streams[#streams + 1] = a
      streams[#streams + 1] = b
    until a:fd() >= r or b:fd() >= r
    assert.same(pack(true, nil, "closed"), pack(t:join(LONG)))
    for _, s in ipairs(streams) do s:close() end
    r = -1
  end)

  it("serves parkmod, which waits for the same number", function()
    local t = casting.spawn(net.wait, r, "r")
    local u = casting.spawn(parkmod.read, r, 10)
    helper.until_waiting(t)
    helper.until_waiting(u)
    parkmod.write(w, "x")
    assert.same(pack(true, "x"), pack(u:join(LONG)))
    parkmod.write(w, "y")
    assert.same(pack(true, true), pack(t:join(LONG)))
    assert.equal("y", parkmod.read(r, 10))
  end)
end)
