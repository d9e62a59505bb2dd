-- net_listen.lua - net.listen.
-- SPDX-License-Identifier: MIT

local casting, internal = ...
local type = type
local bad = internal.bad
local Check, Net, sockets =
  internal.check, internal.net_common, internal.sockets

local KNOWN = {backlog = true, reuseport = true, mode = true, family = true,
  unlink = true, nodelay = true, keepalive = true, tls = true}

local DIGITS = {"", "0", "1", "2", "3", "4", "5", "6", "7"}

-- Is it the octal digits of a mode? A session may have no functions for
-- strings.
local function is_octal(text)
  if text == "" then return false end
  for i = 1, 2 do
    for a = 1, 9 do
      for b = 1, 9 do
        for c = 1, 9 do
          if text == DIGITS[i] .. DIGITS[a] .. DIGITS[b] .. DIGITS[c] then
            return true
          end
        end
      end
    end
  end
  return false
end

local function check_mode(i, mode, is_unix)
  if mode == nil then return end
  if not is_unix then bad(i, "listen", "only a Unix socket has a mode") end
  if type(mode) == "string" and is_octal(mode) then return end
  if not Check.is_integer(mode, 0, 511) then
    bad(i, "listen", 'mode must be octal digits up to "777", or an integer ' ..
      "from 0 to 511, got " .. Net.shown(mode))
  end
end

-- The options, each read once.
local function read(i, options, is_unix)
  options = Check.options(i, "listen", options, KNOWN)
  local o = {backlog = options.backlog, reuseport = options.reuseport,
    mode = options.mode, family = options.family, unlink = options.unlink,
    nodelay = options.nodelay, tls = options.tls,
    keepalive = Net.read_keepalive(i, "listen", options.keepalive)}
  Net.check_count(i, "listen", "backlog", o.backlog, 1)
  Net.check_boolean(i, "listen", "reuseport", o.reuseport)
  Net.check_family(i, "listen", o.family)
  Net.check_boolean(i, "listen", "nodelay", o.nodelay)
  Net.check_boolean(i, "listen", "unlink", o.unlink)
  if o.unlink ~= nil and not is_unix then
    bad(i, "listen", "only a Unix socket has a path to unlink")
  end
  check_mode(i, o.mode, is_unix)
  return o
end

-- All addresses of this machine: one socket for both families, where there are
-- two.
local function listen_everywhere(port, o)
  if o.family == "inet" then return sockets.listen("0.0.0.0", port, o) end
  o.v6only = o.family == "inet6"
  local listener, why = sockets.listen("::", port, o)
  if listener then return listener end
  if o.family or why == "address already in use" or
      why == "permission denied" then
    return nil, why
  end
  return sockets.listen("0.0.0.0", port, o)
end

-- The addresses of a name, those of IPv4 first: who listens on "localhost" is
-- then found by those who connect to 127.0.0.1, and others try both.
local function in_order(list)
  local ordered = {n = 0}
  for _, family in internal.builtin.ipairs {"inet", "inet6"} do
    for i = 1, list.n do
      if sockets.numeric(list[i]) == family then
        ordered.n = ordered.n + 1
        ordered[ordered.n] = list[i]
      end
    end
  end
  return ordered
end

-- Who makes a socket at a path locks the directory, for a moment; but any
-- program may do so. It is not waited for longer than this, in seconds.
local TRIES, PAUSE = 100, 0.001

local function listen_at(path, o)
  for _ = 1, TRIES do
    local listener, why = sockets.listen(path, nil, o, true)
    if listener then return listener end
    if listener == nil then return nil, why end
    casting.sleep(PAUSE)
  end
  return sockets.listen(path, nil, o)
end

-- What is wrong with the options of TLS is found out before there is a socket.
local function with_tls(o, at, listen, ...)
  if not o.tls then return listen(...) end
  local tls = Net.tls("listen")
  local settings, why = tls.options("listen", at, o.tls, true)
  if not settings then return nil, why end
  local listener
  listener, why = listen(...)
  if not listener then return nil, why end
  return tls.listen(listener, settings)
end

local function listen_on(host, port, family, o)
  if family == "unix" then return listen_at(host, o) end
  local list, problem = Net.addresses(host, family, o.family)
  if not list then return nil, problem end
  list = in_order(list)
  for i = 1, list.n do
    local listener, why = sockets.listen(list[i], port, o)
    if listener then return listener end
    problem = problem or why
  end
  return nil, problem
end

-- net.listen(host, port [, options]), net.listen("unix:PATH" [, options])
return function(host, port, options)
  if host == "*" then
    Net.check_port("listen", nil, port)
    local o = read(3, options)
    return with_tls(o, 3, listen_everywhere, port, o)
  end
  local family, problem = Net.family("listen", host)
  local at
  port, options, at = Net.options(family, port, options)
  Net.check_port("listen", family, port)
  local o = read(at, options, family == "unix")
  problem = problem or Net.misfit(family, o.family)
  if problem then return nil, problem end
  return with_tls(o, at, listen_on, host, port, family, o)
end
