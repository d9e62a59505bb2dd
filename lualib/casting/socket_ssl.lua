-- socket_ssl.lua - what require "ssl" loads, of casting.socket: LuaSec, whose
-- calls that wait park the task.
-- SPDX-License-Identifier: MIT
--
-- LuaSec has a copy of LuaSocket's way to wait, which would stop the thread. So
-- its connections are told not to wait (a timeout of 0), and what they want,
-- to read or to write, is waited for here, as copas does. The timeouts that a
-- program sets are kept here instead.

local casting, internal = ...
local pcall, setmetatable = pcall, setmetatable
local Net, Sock, steps, sockets = internal.net_common, internal.socket_common,
  internal.luasocket, internal.sockets

local WAITS = {wantread = "r", wantwrite = "w"}
local WANTED = {read = "r", write = "w"}

-- The timeouts of connections: {block = seconds, total = seconds}, nil: none.
local timeouts = setmetatable({}, {__mode = "k"})

local function deadline_of(conn)
  local t = timeouts[conn]
  local block, total = t and t.block, t and t.total
  if block and total and total < block then block = total end
  return Net.deadline(block or total)
end

-- A call has ended with `why`. If that says that the connection wants to read,
-- or to write, this waits until it can. Returns true if the call is to be made
-- again; or false, and why not.
local function waited(conn, why, deadline)
  local mode = WAITS[why] or why == "timeout" and WANTED[conn:want()]
  if not mode then return false, why end
  local ok
  ok, why = sockets.wait(conn:getfd(), mode, Net.left(deadline))
  return ok or false, why
end

-- What receives had taken that ended with an error, as their tasks were
-- cancelled: the next one begins with it.
local unread = setmetatable({}, {__mode = "k"})

-- A receive begins: all that it wants, if that was taken before; or nil, and
-- its prefix, behind which there is what was taken.
local function resume(conn, pattern, prefix)
  local kept = unread[conn]
  if not kept then return nil, prefix end
  local size, data, rest = steps.number(pattern), nil, nil
  prefix = prefix ~= nil and prefix .. "" or ""
  if size and #prefix + #kept >= size then
    local n = size > #prefix and size - #prefix or 0
    data, rest = prefix .. kept:sub(1, n), kept:sub(n + 1)
  elseif not size and not (pattern and pattern:find "^%*a") and
      kept:find("\n", 1, true) then
    local line, behind = kept:match "^(.-)\n(.*)$"
    data, rest = prefix .. line:gsub("\r", ""), behind
  end
  unread[conn] = rest ~= "" and rest or nil
  return data, prefix .. kept
end

local function patch(core, methods)
  local create, settimeout = core.create, methods.settimeout
  local close, dohandshake, send, receive, dirty = methods.close,
    methods.dohandshake, methods.send, methods.receive, methods.dirty

  -- From here on each new connection is told not to wait.
  function core.create(...)
    local conn, why = create(...)
    if conn then settimeout(conn, 0) end
    return conn, why
  end

  -- The number goes behind the poller's back, so tasks that wait for it are
  -- told before: "closed".
  core.setmethod("close", function(conn, ...)
    local fd = conn:getfd()
    if fd >= 0 then steps.lose(fd) end
    unread[conn] = nil
    return close(conn, ...)
  end)

  core.setmethod("settimeout", function(conn, seconds, mode)
    local n = seconds ~= nil and steps.number(seconds) or -1
    local t = timeouts[conn] or {}
    timeouts[conn] = t
    local total = mode == "t" or mode == "r"
    t[total and "total" or "block"] = n >= 0 and n or nil
    return 1
  end)

  core.setmethod("dohandshake", function(conn)
    local deadline = deadline_of(conn)
    while true do
      local ok, why = dohandshake(conn)
      if ok then return ok end
      ok, why = waited(conn, why, deadline)
      if not ok then return false, why end
    end
  end)

  core.setmethod("receive", function(conn, pattern, prefix)
    local deadline = deadline_of(conn)
    Sock.take_turn()
    local had = prefix ~= nil and #(prefix .. "") or 0
    local all
    all, prefix = resume(conn, pattern, prefix)
    if all then return all, nil, nil end
    while true do
      local data, why, part = receive(conn, pattern, prefix)
      if data then return data, nil, nil end
      if part ~= "" then unread[conn] = part:sub(had + 1) end
      local ok
      ok, why = waited(conn, why, deadline)
      unread[conn] = nil
      if not ok then return nil, why, part end
      prefix = part
    end
  end)

  core.setmethod("dirty", function(conn)
    return unread[conn] ~= nil or dirty(conn)
  end)

  core.setmethod("send", function(conn, data, i, j)
    local deadline = deadline_of(conn)
    Sock.take_turn()
    while true do
      local last, why, sent = send(conn, data, i, j)
      if last then return last, nil, nil end
      local ok
      ok, why = waited(conn, why, deadline)
      if not ok then return nil, why, sent end
      i = sent + 1
    end
  end)
end

-- OpenSSL's writes to a connection that the other side has reset raise SIGPIPE,
-- which LuaSocket's core ignores for good. Here it is a message for nobody. (A
-- sandbox may not ask for signals; tasks of sessions get none.)
local broken_pipes

return function()
  if not broken_pipes then
    local ok, channel = pcall(function()
      return casting.process.signals("PIPE")
    end)
    broken_pipes = ok and channel
  end
  local ssl, core = steps.require("ssl"), steps.require("ssl.core")
  local methods = steps.methods("SSL:Connection")
  if methods and not timeouts[core] then
    timeouts[core] = {}
    patch(core, methods)
  end
  return ssl
end
