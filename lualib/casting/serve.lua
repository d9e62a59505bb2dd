-- serve.lua - listener:serve: a task for each connection.
-- SPDX-License-Identifier: MIT
--
-- Without the option `sessions` the connections are served by the calling
-- session (serve_session.lua). With it a task in each of them does that, a
-- member of a group: all accept from the same listener, so a connection wakes
-- the session that has waited longest, and passes through no other. The limit
-- is divided: each session has a share of its own, so that none must ask
-- another.

local casting, internal = ...
local error, pcall, type = error, pcall, type
local bad, got, kind = internal.bad, internal.got, internal.kind
local Check, Group, Failures, Net = internal.check, internal.group,
  internal.failures, internal.net_common
-- Loaded now: later there may be no memory for that.
local insist, serve_session = internal.insist, internal.serve_session

-- -- arguments ----------------------------------------------------------------

local MOST = 10000

-- The option `sessions`: a list of sessions with its n, and whether they are to
-- be made here; nil: the calling one serves.
local function read_sessions(given)
  if given == nil then return nil end
  if type(given) == "number" then
    if not Check.is_integer(given, 1, MOST) then
      bad(3, "serve", "sessions must be an integer from 1 to " .. MOST ..
        " or a list of sessions, got " .. got(given))
    end
    return {n = given}, true
  elseif type(given) ~= "table" then
    bad(3, "serve", "sessions must be a number or a list of sessions, got " ..
      got(given))
  end
  local n, problem = Check.length(given)
  if not n then bad(3, "serve", "sessions: " .. problem) end
  if n == 0 then bad(3, "serve", "sessions: the list is empty") end
  local sessions = {n = n}
  for i = 1, n do
    local v = given[i]
    if kind(v) ~= "session" then
      bad(3, "serve", "sessions: item " .. i .. " is not a session")
    elseif not internal.may(v) then
      bad(3, "serve", "sessions: item " .. i ..
        " was not made by this sandbox")
    elseif not pcall(v.stats, v) then
      bad(3, "serve", "sessions: item " .. i .. " is closed")
    end
    sessions[i] = v
  end
  return sessions, false
end

local KNOWN = {sessions = true, limit = true, grace = true, handshake = true}

-- The options, each read once.
local function read(options)
  options = Check.options(3, "serve", options, KNOWN)
  local o = {limit = options.limit, grace = options.grace}
  o.sessions, o.ours = read_sessions(options.sessions)
  if o.limit ~= 1 / 0 then
    Net.check_count(3, "serve", "limit", o.limit, 1)
  end
  Net.check_seconds(3, "serve", "grace", o.grace)
  o.handshake = options.handshake
  Net.check_seconds(3, "serve", "handshake", o.handshake)
  o.handshake = o.handshake or 10
  o.limit = o.limit or 1 / 0
  return o
end

-- -- several sessions ---------------------------------------------------------

-- How many connections session i of n may have at once.
local function share(limit, i, n)
  if limit == 1 / 0 then return limit end
  local rest = limit % n
  return (limit - rest) / n + (i <= rest and 1 or 0)
end

-- Starts a task in each session that may have a connection.
local function start(group, listener, f, o)
  for i = 1, o.sessions.n do
    local limit = share(o.limit, i, o.sessions.n)
    if limit > 0 then
      if o.ours then
        o.sessions[i] = casting.session {name = "serve " .. i}
      end
      group:adopt(o.sessions[i]:spawn(internal.run, "serve_session", listener,
        f, limit, o.grace, o.handshake))
    end
  end
end

-- Waits for these tasks. One that fails, or whose session is closed, leaves the
-- connections to the others; if none are left, that is the outcome of all.
local function work(group, listener, f, o)
  start(group, listener, f, o)
  local why
  while group.count > 0 do
    local task, ok, e = group:take()
    if ok then
      local _, served, problem = task:join(0)
      if not served then why = problem end
    elseif group.count > 0 then
      if not casting.is_cancelled(e) then internal.disown(task) end
    elseif #group.failures > 0 then
      error(Failures.join(group.failures), 0)
    else
      return nil, "the sessions were closed"
    end
  end
  if why then return nil, why end
  return true
end

-- Closes the sessions that were made here: all are asked to before the first is
-- waited for, as the wait may be interrupted.
local function close(o)
  if not o.ours then return end
  for i = 1, o.sessions.n do
    local session = o.sessions[i]
    if session then insist(session.close, session, 0) end
  end
  for i = 1, o.sessions.n do
    if o.sessions[i] then o.sessions[i]:close() end
  end
end

-- Closes the sessions, then passes the results on.
local function closed(o, ...)
  close(o)
  return ...
end

-- listener:serve(f [, options])
return function(listener, f, options)
  if kind(listener) ~= "listener" then
    bad(1, "serve", "listener expected, got " .. kind(listener))
  end
  Check.expect(2, "serve", f, "function")
  local o = read(options)
  if not o.sessions then
    return serve_session(listener, f, o.limit, o.grace, o.handshake)
  end
  Check.crosses(2, "serve", f, o.sessions.n)
  local group = Group.new()
  return closed(o, group:guard(function()
    close(o)
    group:drain()
  end, work, group, listener, f, o))
end
