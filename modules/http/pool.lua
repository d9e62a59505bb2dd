-- pool.lua - the connections of a client: who uses which, and who waits.
-- SPDX-License-Identifier: MIT
--
-- A connection:
--   stream
--   host        its entry, below
--   keeps       another request may come when this one is over
--   timeout     seconds of one read, or
--   deadline    when all must be over
--   body        bytes that are read of a body as a whole
--   used        requests so far
--   since       when it became idle
--   older, newer   in the list of all idle ones
-- A host, an entry for each key of a route (dial.lua):
--   key
--   idle        a stack of idle connections
--   count       connections there are, or that are being made
--   takers      set of those that have one: what is collected is not in it
--   first, last    who waits for one, a list by their fields `before`, `behind`
-- Who asks for a connection is a table, a taker. Its fields here:
--   host        where it has a place: one of `count`; or nil
--   conn        the connection at that place; nil: none yet
--   waits       a channel that closes when it gets a place
--
-- A place is held until the taker gives it back, with its connection or
-- without. What the program drops without closing it would hold its place for
-- ever: so when there is no place, those who are still there are counted, and
-- while somebody waits, each COUNT seconds again.

local casting = require "casting"

local Pool = {}
Pool.__index = Pool

local COUNT = 1

-- Makes one: at most `most` idle connections, none longer than `idle` seconds,
-- and `per_host` connections to one host.
function Pool.new(most, per_host, idle)
  return setmetatable({most = most, per_host = per_host, idle = idle,
    hosts = {}, oldest = nil, newest = nil, nidle = 0, made = 0, closed = false,
    sweeper = false}, Pool)
end

local function host_of(pool, key)
  local host = pool.hosts[key]
  if not host then
    host = {key = key, idle = {}, count = 0,
      takers = setmetatable({}, {__mode = "k"})}
    pool.hosts[key] = host
  end
  return host
end

local function forget(pool, host)
  if host.count == 0 and not host.first then pool.hosts[host.key] = nil end
end

-- -- idle connections ---------------------------------------------------------

-- Takes an idle connection out of the list of all.
local function unlink(pool, conn)
  local older, newer = conn.older, conn.newer
  if older then older.newer = newer else pool.oldest = newer end
  if newer then newer.older = older else pool.newest = older end
  conn.older, conn.newer = nil, nil
  pool.nidle = pool.nidle - 1
end

-- Closes the oldest idle connection of a host.
local function close_oldest(pool, host)
  local conn = table.remove(host.idle, 1)
  unlink(pool, conn)
  host.count = host.count - 1
  forget(pool, host)
  conn.stream:close()
end

-- Closes what has been idle for too long. A task does so while anything is
-- idle. What the server has closed meanwhile is found when it is wanted, or
-- here.
local function sweep(pool)
  while pool.oldest do
    casting.sleep(math.max(0, pool.oldest.since + pool.idle - casting.now()))
    local now = casting.now()
    while pool.oldest and pool.oldest.since + pool.idle <= now do
      close_oldest(pool, pool.oldest.host)
    end
  end
  pool.sweeper = false
end

local function is_running(task)
  local status = task and task:status()
  return status and status ~= "cancelled" and status ~= "failed"
end

-- Without a task, for which there may be no room, it is idle for longer.
local function rest(pool, conn)
  local host = conn.host
  host.idle[#host.idle + 1] = conn
  conn.since = casting.now()
  conn.older = pool.newest
  if pool.newest then pool.newest.newer = conn else pool.oldest = conn end
  pool.newest = conn
  pool.nidle = pool.nidle + 1
  while pool.nidle > pool.most do close_oldest(pool, pool.oldest.host) end
  if pool.oldest and not is_running(pool.sweeper) then
    local ok, task = pcall(casting.spawn, sweep, pool)
    pool.sweeper = ok and task
  end
end

-- -- places -------------------------------------------------------------------

-- The taker has a place from now on, with that connection or without.
local function give(host, taker, conn)
  taker.host, taker.conn = host, conn
  host.takers[taker] = true
  if conn then conn.used = conn.used + 1 end
end

local function leave_queue(host, taker)
  local before, behind = taker.before, taker.behind
  if before then before.behind = behind else host.first = behind end
  if behind then behind.before = before else host.last = before end
  taker.before, taker.behind, taker.queue = nil, nil, nil
end

-- The next one that waits, who is given what the caller has; nil: nobody does.
local function serve_next(host, conn)
  local taker = host.first
  if not taker then return false end
  leave_queue(host, taker)
  give(host, taker, conn)
  taker.waits:close()
  return true
end

local function has_place(pool, host)
  if host.count < pool.per_host then return true end
  local n = #host.idle
  for _ in pairs(host.takers) do n = n + 1 end
  host.count = n
  return n < pool.per_host
end

-- Those who wait get the places of what was collected.
local function serve_waiting(pool, host)
  while host.first and has_place(pool, host) do
    host.count = host.count + 1
    serve_next(host, nil)
  end
end

-- Waits for a place. Returns true; or nil and why.
local function wait(pool, host, taker, seconds)
  local deadline = casting.now() + seconds
  taker.waits = casting.channel()
  taker.queue = host
  taker.before = host.last
  if host.last then host.last.behind = taker else host.first = taker end
  host.last = taker
  repeat
    serve_waiting(pool, host)
    if not taker.queue then break end
    local left = deadline - casting.now()
    taker.waits:receive(math.max(0, math.min(left, COUNT)))
  until not taker.queue or left <= COUNT
  if taker.host then return true end
  if taker.queue then leave_queue(host, taker) end
  return nil, taker.why or "timeout"
end

-- Is the connection of the taker as good as when it became idle? That is asked
-- without waiting, but others may run meanwhile. Bytes that nobody has asked
-- for would be taken for the answer of the next request.
local function is_good(pool, taker)
  local data, why = taker.conn.stream:peek(1, 0)
  return not data and why == "timeout" and not pool.closed
end

-- Gives the taker the idle connection that was used last, if there is one that
-- is good. One that is not is closed; its place is the taker's, or that of the
-- first who waits. True: it has a place.
local function take_idle(pool, host, taker)
  while true do
    local conn = table.remove(host.idle)
    if not conn then return taker.host ~= nil end
    unlink(pool, conn)
    if taker.host and not serve_next(host, nil) then
      host.count = host.count - 1
    end
    give(host, taker, conn)
    if is_good(pool, taker) then return true end
    taker.conn = nil
    conn.stream:close()
  end
end

-- Gives the taker a place: with a connection, or without, for a new one; with
-- `fresh` it is always the latter. `seconds`: how long it may take. Returns
-- true; or nil and why. Whatever becomes of the call, and of what comes after
-- it, give_back must be called.
function Pool:take(key, taker, seconds, fresh)
  if self.closed then return nil, "closed" end
  local host = host_of(self, key)
  if not host.first then
    if fresh and host.idle[1] and not has_place(self, host) then
      close_oldest(self, host)
      host = host_of(self, key)
    end
    if not fresh and take_idle(self, host, taker) then return true end
    if not host.first and has_place(self, host) then
      host.count = host.count + 1
      give(host, taker, nil)
      return true
    end
  end
  local ok, why = wait(self, host, taker, seconds)
  local conn = taker.conn
  if ok and fresh and conn then
    taker.conn = nil
    conn.stream:close()
  end
  return ok, why
end

-- The new connection of a taker that has a place without one.
function Pool:add(taker, conn)
  conn.host, conn.used = taker.host, 1
  taker.conn = conn
  self.made = self.made + 1
end

-- The taker gives its place back, or waits for none any more. Its connection is
-- kept for others if `keeps`, and closed otherwise.
function Pool:give_back(taker, keeps)
  local host, conn = taker.host, taker.conn
  if taker.queue then leave_queue(taker.queue, taker) end
  if not host then return end
  taker.host, taker.conn = nil, nil
  host.takers[taker] = nil
  if keeps and conn and not self.closed then
    if not serve_next(host, conn) then rest(self, conn) end
    return
  end
  if not serve_next(host, nil) then
    host.count = host.count - 1
    forget(self, host)
  end
  if conn then conn.stream:close() end
end

-- Closes all that is idle; what is in use is closed when it is given back. Who
-- waits gets no place. A call that has failed, for want of memory, is made up
-- for by the next one. Others may run while a stream is closed.
function Pool:close()
  local first = not self.closed
  self.closed = true
  if self.sweeper then self.sweeper:cancel() end
  for _, host in pairs(self.hosts) do
    while host.first do
      local taker = host.first
      taker.why = "closed"
      taker.waits:close()
      leave_queue(host, taker)
    end
  end
  while self.oldest do
    local conn = self.oldest
    if conn.host.idle[1] then conn.host.idle = {} end
    conn.stream:close()
    if self.oldest == conn then unlink(self, conn) end
  end
  self.hosts = {}
  return first
end

-- How many connections are idle and in use, how many requests wait, and how
-- many connections were made.
function Pool:stats()
  local stats = {idle = self.nidle, busy = 0, waiting = 0, made = self.made}
  for _, host in pairs(self.hosts) do
    for _ in pairs(host.takers) do stats.busy = stats.busy + 1 end
    local taker = host.first
    while taker do
      stats.waiting = stats.waiting + 1
      taker = taker.behind
    end
  end
  return stats
end

return Pool
