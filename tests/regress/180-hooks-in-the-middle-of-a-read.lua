-- 180: what stream:read and udp:receive return lay on another stack while the
-- hook of a C function that returns ran. If that hook raised, the values stayed
-- there for ever, until the stack was overrun; if it waited, another task got
-- them. Here a hook does something at its n-th event, for every n.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local net = require "casting.net"

-- Calls f, protected, with a hook that calls act() at the n-th event of that
-- kind.
local function hooked(mask, n, act, f)
  local count, done = 0, false
  local function hook()
    count = count + 1
    if count == n and not done then
      done = true
      act()
    end
  end
  local ok, a, b = pcall(function()
    debug.sethook(hook, mask)
    local x, y = f()
    debug.sethook()
    return x, y
  end)
  debug.sethook()
  return ok, a, b
end

local function stop()
  error("stop", 0)
end

-- The hook raises: what was there is read whole, or is still there.
local function raises(mask, times)
  local a, b = assert(net.pair())
  local u, v = assert(net.udp("127.0.0.1", 0)), assert(net.udp("127.0.0.1", 0))
  local host, port = u:name()
  for n = 1, 40 do
    for _ = 1, times do
      assert(b:write "line\n")
      local ok, line = hooked(mask, n, stop, function()
        return a:read("l", 10)
      end)
      line = ok and line or a:read("l", 0)
      assert(line == "line" or (not ok and line == nil), tostring(line))
      assert(v:send("datagram", host, port))
      assert(net.wait(u:fd(), "r", 10))
      local got, data = hooked(mask, n, stop, function()
        return u:receive(10)
      end)
      data = got and data or u:receive(0)
      assert(data == "datagram" or (not got and data == nil), tostring(data))
    end
  end
  for _, x in ipairs {a, b, u, v} do
    x:close()
  end
end

-- The hook waits, while another task reads from another stream: each gets its
-- own line.
local function waits(mask)
  for n = 1, 40 do
    local a, b = assert(net.pair())
    local c, d = assert(net.pair())
    assert(b:write "one\n")
    assert(d:write "two\n")
    local gate = casting.channel()
    local task = casting.spawn(function()
      local ok, line = hooked(mask, n, function()
        gate:receive(10)
      end, function()
        return a:read("l", 10)
      end)
      return ok, line
    end)
    casting.yield()
    assert(c:read("l", 10) == "two")
    gate:close()
    local ok, line = task:await()
    assert(ok and line == "one", tostring(line))
    for _, s in ipairs {a, b, c, d} do
      s:close()
    end
  end
end

-- Another task reads from the same stream: each line is read once.
local function reads_the_same(mask)
  for n = 1, 40 do
    local a, b = assert(net.pair())
    assert(b:write "one\ntwo\n")
    local lines = {}
    local function read()
      local ok, line = pcall(a.read, a, "l", 0)
      if ok and line then
        lines[#lines + 1] = line
      end
    end
    local ok, line = hooked(mask, n, function()
      casting.spawn(read):join(10)
    end, function()
      return a:read("l", 10)
    end)
    if ok and line then
      lines[#lines + 1] = line
    end
    read()
    read()
    table.sort(lines)
    assert(table.concat(lines, " ") == "one two", table.concat(lines, " "))
    a:close()
    b:close()
  end
end

-- The hook raises when the line has come, for which the task has waited: the
-- call is over then, and others can read.
local function raises_late(mask)
  casting.on_error(casting.channel(math.huge)) -- the hook may meet the writer
  for n = 1, 40 do
    local a, b = assert(net.pair())
    local writer = casting.spawn(function()
      casting.yield()
      b:write "line\n"
    end)
    local ok, line = hooked(mask, n, stop, function()
      return a:read("l", 1)
    end)
    assert(not ok or line == "line" or line == nil, tostring(line))
    writer:join(10)
    assert(b:write "last\n")
    repeat
      line = a:read("l", 10)
    until line ~= "line"
    assert(line == "last", tostring(line))
    a:close()
    b:close()
  end
  casting.on_error(nil)
end

-- The hook closes the stream.
local function closes(mask)
  for n = 1, 40 do
    local a, b = assert(net.pair())
    assert(b:write "line\n")
    local ok, line, why = hooked(mask, n, function()
      a:close()
    end, function()
      return a:read("l", 10)
    end)
    assert(ok and (line == "line" or line == nil and why == "closed") or
      (not ok and tostring(line):find "closed"), tostring(line))
    b:close()
  end
end

casting.spawn(function()
  for _, mask in ipairs {"c", "r", "cr"} do
    raises(mask, 5)
    waits(mask)
    raises_late(mask)
    reads_the_same(mask)
    closes(mask)
  end
end):await()
