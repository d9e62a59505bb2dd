-- serve_session.lua - serves connections in the session that calls it.
-- SPDX-License-Identifier: MIT
--
-- The caller waits for the ends of tasks, which are members of a group: one
-- that accepts, and one for each connection, which runs the function of the
-- program and nothing else; so it waits as any task does, and its failure is
-- its own. When it has ended the caller closes its connection.
--
-- Connections may use up the memory or the tasks of the session. The server
-- goes on then: a call that fails because of that is tried again after a
-- pause.
--
-- A server:
--   group      the tasks
--   listener, f, limit, grace    as they were given
--   streams    the connections: task -> stream
--   acceptor   the task that accepts; nil: there is none
--   watcher    the task that waits for the end of the listener, with a limit
--   due        whether another acceptor is missing, and could not be made yet
--   fresh      a connection that was accepted, and has no member yet; or false
--   begun      its task, if that could not become a member so far
--   room       a channel on which the acceptor is told of a connection's end
--   closed     whether the listener was closed, as far as that is known
--   until_     when the time for the last connections is over; nil: never
--   killed     they were cancelled, because it was
--   why        why accepting has ended, if the listener was not closed
--   in_task    whether a task has called serve, and not the main program
--   reserve    memory that is given up when there is no other, to wait for some

local casting, internal = ...
local error, pairs, pcall = error, pairs, pcall
local Group, Net, insist, sockets =
  internal.group, internal.net_common, internal.insist, internal.sockets

local PAUSE = 0.05 -- seconds, after something has failed
local KILL = 2 -- seconds that cancelled tasks may take to end
local TRIES = 100 -- of a pause that fails itself
local NO_MEMORY = "not enough memory"

-- A connection that is not closed keeps its client waiting until the collector
-- finds it. So it is forgotten only after this call, which may fail for want of
-- memory, and be made again. It may have moved, and is another's then. It does
-- not wait: others would have to.
local function close(stream)
  local ok, e = pcall(sockets.close_now, stream)
  if not ok and e == NO_MEMORY then error(e, 0) end
end

-- -- accepting ----------------------------------------------------------------

-- Waits until there may be one connection more.
local function await_room(server)
  local group = server.group
  local live = group.live
  while not server.closed do
    local others =
      (live[server.acceptor] and 1 or 0) + (live[server.watcher] and 1 or 0)
    if group.count - others < server.limit then return end
    server.room:receive()
  end
end

-- Makes the task of the connection `fresh` a member. If that fails, it can be
-- made one later; there must not be a second one for the same connection.
local function enter_begun(server)
  server.group:enter(server.begun, server.streams, server.fresh)
  server.fresh = false
end

-- The task of a connection that begins with a handshake, as with TLS. Nobody is
-- told of one that fails: any stranger can make that happen.
local function serve_layered(f, seconds, stream, host, port)
  if not stream:write("", seconds) then return end
  f(stream, host, port)
  -- The close that follows does not wait: its last word to the other side might
  -- find no room behind what was written.
  pcall(casting.with_timeout, seconds, stream.shutdown, stream)
end

local function begin(server, host, port)
  local handshake = server.handshake
  server.begun = server.begun or handshake and casting.spawn(serve_layered,
    server.f, handshake, server.fresh, host, port) or
    casting.spawn(server.f, server.fresh, host, port)
  enter_begun(server)
end

-- Serves the connection `fresh`. If there can be no task for it, since the
-- session has its limit of them for example, it waits, and all others do so in
-- the backlog. Returns whether the listener is open, as far as that matters.
local function begin_fresh(server, host, port)
  while not pcall(begin, server, host, port) do
    casting.sleep(PAUSE)
    if not server.listener:fd() then return false end
  end
  return true
end

-- What the acceptor does. After each connection it lets others run: else it
-- would take all that there are before the first was served.
local function accept_all(server, pause)
  if pause then casting.sleep(pause) end
  while true do
    await_room(server)
    local stream, host, port = server.listener:accept()
    if not stream then
      server.why = host
      return
    end
    server.begun = false
    server.fresh = stream
    if host == nil then host, port = stream:peer() end
    if not begin_fresh(server, host, port) then return end
    casting.yield()
  end
end

-- May be called again after an error, as enter_begun.
local function start_acceptor(server, pause)
  server.acceptor = server.acceptor or
    casting.spawn(accept_all, server, pause)
  server.group:enter(server.acceptor)
end

-- -- ends ---------------------------------------------------------------------

-- Nothing is accepted any more.
local function accepted_all(server)
  server.until_ = Net.deadline(server.grace)
  if server.watcher then server.watcher:cancel() end
  server.due = false
end

-- The acceptor has ended. If it has failed, for want of memory, another one
-- takes its place after a while; its connection is closed, if that has no task.
local function acceptor_ended(server, ok)
  if server.fresh and server.begun then
    enter_begun(server)
  elseif server.fresh then
    close(server.fresh)
    server.fresh = false
  end
  if ok or server.group.stopped then
    accepted_all(server)
  else
    server.due = true
  end
  server.acceptor = nil
end

-- Makes another acceptor, if that is possible now; or makes one a member.
local function replace_acceptor(server)
  local ok, e = pcall(start_acceptor, server, PAUSE)
  if ok then
    server.due = false
  elseif casting.is_cancelled(e) then
    error(e, 0)
  elseif not server.acceptor and not server.listener:fd() then
    accepted_all(server)
  end
end

-- A member of the group has ended, and was taken. The server knows of it until
-- all is done that its end asks for: what fails before is made up (go_on).
local function ended(server, task, ok)
  local stream = server.streams[task]
  if stream then
    close(stream)
    server.streams[task] = nil
  elseif task == server.acceptor then
    acceptor_ended(server, ok)
  elseif task == server.watcher then
    server.watcher = nil
    server.closed = true
  end
  server.room:try_send(true)
end

-- The time is over: the connections are cancelled, and after a second time left
-- to themselves. Returns whether to wait on.
local function time_over(server)
  if server.killed then return false end
  server.group:cancel("the listener was closed")
  server.until_ = Net.deadline(KILL)
  server.killed = true
  return true
end

-- -- waiting ------------------------------------------------------------------

-- Waits for the tasks until all have ended.
local function wait(group, server)
  while group.count > 0 or server.due do
    if server.due then replace_acceptor(server) end
    local task, ok = group:taken(
      group.ends:receive(server.due and PAUSE or Net.left(server.until_)))
    if task then
      ended(server, task, ok)
    elseif Net.left(server.until_) == 0 and not time_over(server) then
      break
    end
  end
end

-- So much that a wait, and the bookkeeping of an end, do not fail without other
-- memory.
local function make_reserve(server)
  local reserve = {}
  for i = 1, 1024 do reserve[i] = false end
  server.reserve = reserve
end

local ENDED = {done = true, failed = true, cancelled = true}

-- Makes the server true again after an error, when messages may be lost, as
-- Group:settle does it for the group; and goes on. Tasks that are no members
-- have been taken, or could not become members.
local function go_on(group, server)
  group:settle()
  local function make_up(task)
    if not task or group.live[task] ~= nil then return end
    local status = task:status()
    if ENDED[status] then
      ended(server, task, status == "done")
    else
      group:enter(task)
    end
  end
  for task in pairs(server.streams) do make_up(task) end
  make_up(server.watcher)
  make_up(server.acceptor)
  server.room:try_send(true) -- that of an end may have failed
  pcall(make_reserve, server)
  wait(group, server)
end

-- May the error e come of a want of memory? Then its text may be another one
-- ("stack overflow", as a stack cannot grow). But the main program may have
-- been interrupted.
local function may_pass(server, e)
  if casting.is_cancelled(e) or internal.forked() then return false end
  return e == NO_MEMORY or server.in_task
end

-- The same as wait, also in a session that has no memory left for a while.
local function persist(group, server)
  local ok, e = pcall(wait, group, server)
  local tries = 0
  while not ok and may_pass(server, e) and tries < TRIES do
    server.reserve = nil
    ok, e = pcall(casting.sleep, PAUSE)
    tries = ok and 0 or tries + 1
    if ok then ok, e = pcall(go_on, group, server) end
  end
  if not ok then error(e, 0) end
end

local function work(group, server)
  make_reserve(server)
  start_acceptor(server)
  if server.limit < 1 / 0 then
    server.watcher = casting.spawn(server.listener.wait, server.listener)
    group:enter(server.watcher)
  end
  persist(group, server)
  for _, stream in pairs(server.streams) do insist(close, stream) end
  if server.why and server.why ~= "closed" then return nil, server.why end
  return true
end

-- Returns true when the listener was closed and the connections have ended; or
-- nil and why nothing can be accepted any more.
return function(listener, f, limit, grace, handshake)
  local group = Group.new()
  -- The failures of connections are nobody's result: they are reported like any
  -- failure that nobody joins.
  group.blind = true
  local server = {group = group, listener = listener, f = f, limit = limit,
    grace = grace,
    handshake = sockets.is_layered(listener) and handshake or false,
    streams = {}, fresh = false, begun = false, due = false,
    room = casting.channel(1), in_task = casting.self() ~= nil}
  return group:guard(function()
    group:cancel(group.stopped or "the server has ended")
    server.until_ = nil
    server.due = false
    go_on(group, server)
  end, work, group, server)
end
