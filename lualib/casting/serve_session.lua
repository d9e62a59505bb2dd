-- serve_session.lua - serves connections in the session that calls it.
-- SPDX-License-Identifier: MIT
--
-- The caller waits for the ends of tasks, which are members of a group: one
-- that accepts, and one for each connection, which runs the function of the
-- program and nothing else; so it waits as any task does, and its failure is
-- its own. When it has ended the caller closes its connection.
--
-- A server:
--   group      the tasks
--   listener, f, limit, grace    as they were given
--   streams    the connections: task -> stream
--   helpers    the tasks that are no connections: task -> true
--   nhelpers   how many these are
--   acceptor   the one that accepts
--   fresh      a connection that was accepted, while its task is being made
--   room       a channel on which the acceptor is told of a connection's end
--   closed     whether the listener was closed, as far as that is known
--   until_     when the time for the last connections is over; nil: never
--   killed     they were cancelled, because it was
--   why        why accepting has ended, if the listener was not closed

local casting, internal = ...
local ipairs, pairs, pcall = ipairs, pairs, pcall
local Group, Net, sockets =
  internal.group, internal.net_common, internal.sockets

local PAUSE = 0.05 -- seconds, after accepting has failed
local KILL = 2 -- seconds that cancelled tasks may take to end

-- -- accepting ----------------------------------------------------------------

-- Waits until there may be one connection more.
local function await_room(server)
  while server.group.count - server.nhelpers >= server.limit and
      not server.closed do
    server.room:receive()
  end
end

-- Begins to serve a connection.
local function begin(server, stream, host, port)
  local task = casting.spawn(server.f, stream, host, port)
  server.streams[task] = stream
  server.group:adopt(task)
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
    server.fresh = stream
    if host == nil then host, port = stream:peer() end
    begin(server, stream, host, port)
    server.fresh = false
    casting.yield()
  end
end

local function add_helper(server, f, ...)
  local task = casting.spawn(f, ...)
  server.helpers[task] = true
  server.nhelpers = server.nhelpers + 1
  return server.group:adopt(task)
end

-- -- ends ---------------------------------------------------------------------

-- The failures of connections are nobody's result: they are reported like any
-- failure that nobody joins.
local function report(group)
  if #group.failed == 0 then return end
  for _, task in ipairs(group.failed) do internal.disown(task) end
  group.failed, group.failures = {}, {}
end

-- Closes the connection for which no task could be made.
local function drop_fresh(server)
  local fresh = server.fresh
  if not fresh then return end
  server.fresh = false
  for task, stream in pairs(server.streams) do
    if stream == fresh then server.streams[task] = nil end
  end
  pcall(fresh.close, fresh)
end

-- The acceptor has ended. If it has failed, for want of memory, another one
-- takes its place after a while.
local function acceptor_ended(server, ok)
  server.acceptor = nil
  drop_fresh(server)
  if not ok and not server.group.stopped then
    server.acceptor = add_helper(server, accept_all, server, PAUSE)
    return
  end
  server.until_ = Net.deadline(server.grace)
  for task in pairs(server.helpers) do task:cancel() end
end

-- A member of the group has ended, and was taken.
local function ended(server, task, ok)
  local stream = server.streams[task]
  report(server.group)
  if stream then
    server.streams[task] = nil
    pcall(stream.close, stream) -- it may have moved, and is another's then
  elseif server.helpers[task] then
    server.helpers[task] = nil
    server.nhelpers = server.nhelpers - 1
    if task == server.acceptor then return acceptor_ended(server, ok) end
    server.closed = true
  end
  server.room:try_send(true)
end

-- The time is over: the connections are cancelled, and after a second time left
-- to themselves. Returns whether to wait on.
local function time_over(server)
  if server.killed then return false end
  server.killed = true
  server.until_ = Net.deadline(KILL)
  server.group:cancel("the listener was closed")
  return true
end

-- Waits for the tasks until all have ended.
local function wait(group, server)
  while group.count > 0 do
    local task, ok = group:taken(group.ends:receive(Net.left(server.until_)))
    if task then
      ended(server, task, ok)
    elseif Net.left(server.until_) == 0 and not time_over(server) then
      break
    end
  end
end

local function work(group, server)
  server.acceptor = add_helper(server, accept_all, server)
  if server.limit < 1 / 0 then
    add_helper(server, sockets.until_closed, server.listener)
  end
  wait(group, server)
  for _, stream in pairs(server.streams) do pcall(stream.close, stream) end
  if server.why and server.why ~= "closed" then return nil, server.why end
  return true
end

-- Returns true when the listener was closed and the connections have ended; or
-- nil and why nothing can be accepted any more.
return function(listener, f, limit, grace)
  local group = Group.new()
  local server = {group = group, listener = listener, f = f, limit = limit,
    grace = grace, streams = {}, helpers = {}, nhelpers = 0, fresh = false,
    room = casting.channel(1)}
  return group:guard(function()
    server.until_ = nil
    wait(group, server)
  end, work, group, server)
end
