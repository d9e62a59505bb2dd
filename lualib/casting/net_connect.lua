-- net_connect.lua - net.connect: one address, or a race of several.
-- SPDX-License-Identifier: MIT
--
-- A name may have several addresses of which some do not answer, all those of
-- IPv6 for example. So they are tried as RFC 8305 (Happy Eyeballs) says: in the
-- system's order, but IPv6 and IPv4 by turns; the next one is begun when the
-- last one has failed, or has not succeeded for `happy` seconds; and the first
-- connection is taken. Each attempt is a task, a member of a group, so that
-- none is left when the caller goes on, whatever ends it.
--
-- A race (race):
--   list      the addresses, in the order of the attempts; n: how many
--   port      of them all
--   options   those of net.connect, checked
--   deadline  when all of it must end; nil: never
--   begun     how many attempts were begun
--   number    of an attempt's task: task -> which attempt it is
--   streams   the connections that were made, by the number of the attempt
--   whys      why an attempt has failed, likewise

local casting, internal = ...
local error = error
local bad = internal.bad
local Check, Group, Failures, Net, sockets = internal.check, internal.group,
  internal.failures, internal.net_common, internal.sockets

-- -- options ------------------------------------------------------------------

local KNOWN = {timeout = true, family = true, bind = true, nodelay = true,
  keepalive = true, happy = true, tls = true}

-- The options, each read once.
local function read(i, options)
  options = Check.options(i, "connect", options, KNOWN)
  local o = {timeout = options.timeout, family = options.family,
    bind = options.bind, nodelay = options.nodelay,
    keepalive = Net.read_keepalive(i, "connect", options.keepalive),
    happy = options.happy, tls = options.tls}
  Net.check_seconds(i, "connect", "timeout", o.timeout)
  Net.check_seconds(i, "connect", "happy", o.happy)
  Net.check_family(i, "connect", o.family)
  Net.check_boolean(i, "connect", "nodelay", o.nodelay)
  local problem = Check.mismatch("bind", o.bind, "string")
  if problem then bad(i, "connect", problem) end
  if o.bind then
    local family = sockets.numeric(o.bind)
    if family ~= "inet" and family ~= "inet6" then
      bad(i, "connect", "bind must be a numeric address")
    end
    o.family = o.family or family
  end
  o.happy = o.happy or 0.25
  return o
end

local DEFAULTS = read(3, nil)

-- -- attempts -----------------------------------------------------------------

-- The system does not tell when a Unix socket whose backlog is full has room:
-- so many seconds until it is tried again, and so many more each further time.
local PAUSE, LONGEST = 0.001, 0.1

-- A connection to a numeric address; or nil and why. If it fails, or is broken
-- off, sockets.connect closes the stream.
local function attempt(address, port, options, timeout)
  local deadline, pause = Net.deadline(timeout), PAUSE
  while true do
    local stream, why = sockets.socket(address, port, options)
    if not stream then return nil, why end
    local ok
    ok, why = sockets.connect(stream, address, port, Net.left(deadline), pause)
    if ok then return stream end
    if ok == nil then return nil, why end
    if pause < LONGEST then pause = pause + PAUSE end
  end
end

-- What the task of attempt number i does.
local function run_attempt(race, i)
  race.streams[i], race.whys[i] = attempt(race.list[i], race.port,
    race.options, Net.left(race.deadline))
end

-- The addresses of the two families by turns.
local function interleave(list)
  local first = sockets.numeric(list[1])
  local same, other = {n = 0}, {n = 0}
  for i = 1, list.n do
    local to = sockets.numeric(list[i]) == first and same or other
    to.n = to.n + 1
    to[to.n] = list[i]
  end
  local mixed = {n = 0}
  for i = 1, list.n do
    for _, from in internal.builtin.ipairs {same, other} do
      if from[i] then
        mixed.n = mixed.n + 1
        mixed[mixed.n] = from[i]
      end
    end
  end
  return mixed
end

-- -- a race -------------------------------------------------------------------

local function begin_next(group, race)
  local i = race.begun + 1
  race.begun = i
  group:adopt(casting.spawn(run_attempt, race, i), race.number, i)
end

-- What tells nothing of the other end: this machine has no way to it.
local LOCAL = {
  ["network is unreachable"] = true,
  ["cannot assign requested address"] = true,
  ["address family not supported by protocol"] = true,
  ["invalid argument"] = true,
}

-- Why all attempts have failed: the first reason that tells something.
local function reason(race)
  for i = 1, race.begun do
    local why = race.whys[i]
    if why and not LOCAL[why] then return why end
  end
  return race.whys[1]
end

-- Waits for the end of an attempt, and begins others. Returns the number of the
-- one that has succeeded; or nil and why.
local function run(group, race)
  begin_next(group, race)
  while group.count > 0 do
    local more = race.begun < race.list.n
    local left, wait = Net.left(race.deadline), nil
    if more then wait = race.options.happy end
    if left and (not wait or left < wait) then wait = left end
    local task = group:taken(group.ends:receive(wait))
    local i = task and race.number[task]
    if #group.failures > 0 then error(Failures.join(group.failures), 0) end
    if i and race.streams[i] then return i end
    if Net.left(race.deadline) == 0 then return nil, "timeout" end
    if more then begin_next(group, race) end
  end
  return nil, reason(race)
end

-- Closes all connections but number `winner`.
local function close_others(race, winner)
  for i = 1, race.begun do
    if i ~= winner and race.streams[i] then race.streams[i]:close() end
  end
end

local function decide(group, race)
  local winner, why = run(group, race)
  group:cancel("another address was faster")
  group:drain()
  close_others(race, winner)
  if winner then return race.streams[winner] end
  return nil, why
end

local function connect_to_any(list, port, o, deadline)
  local group = Group.new()
  local race = {list = interleave(list), port = port, options = o,
    deadline = deadline, begun = 0, number = {}, streams = {}, whys = {}}
  return group:guard(function()
    group:drain()
    close_others(race, nil)
  end, decide, group, race)
end

local function connect(host, port, family, o, deadline)
  if family then return attempt(host, port, o, Net.left(deadline)) end
  local list, why =
    Net.addresses(host, family, o.family, Net.left(deadline))
  if not list then return nil, why end
  if list.n == 1 then
    return attempt(list[1], port, o, Net.left(deadline))
  end
  return connect_to_any(list, port, o, deadline)
end

-- The same, with TLS. What is wrong with its options is found out before.
local function connect_tls(host, port, family, o, deadline, at)
  local tls = Net.tls("connect")
  local settings, why = tls.options("connect", at, o.tls)
  if not settings then return nil, why end
  local name = family ~= "unix" and host or nil
  tls.need_name("connect", at, settings, name)
  local stream
  stream, why = connect(host, port, family, o, deadline)
  if not stream then return nil, why end
  return tls.begin("connect", stream, settings, name, Net.left(deadline))
end

-- net.connect(host, port [, options]), net.connect("unix:PATH" [, options])
return function(host, port, options)
  local family, problem = Net.family("connect", host)
  local at
  port, options, at = Net.options(family, port, options)
  Net.check_port("connect", family, port)
  local o = options == nil and DEFAULTS or read(at, options)
  problem = problem or Net.misfit(family, o.family, o.bind)
  if problem then return nil, problem end
  local deadline = Net.deadline(o.timeout)
  if o.tls then return connect_tls(host, port, family, o, deadline, at) end
  return connect(host, port, family, o, deadline)
end
