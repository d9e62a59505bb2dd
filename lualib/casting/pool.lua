-- pool.lua - casting.pool: things that are costly to make, lent to tasks.
-- SPDX-License-Identifier: MIT
--
-- A pool belongs to one session, as what is in it does. A semaphore has a place
-- for each item that may exist; a lease is a permit and the item that goes with
-- it. Invariants, between any two calls that may wait:
--   1. An item is in `idle`, or belongs to one lease that is in `out`, or is
--      being made, checked or closed by a task that holds a permit for it.
--   2. A lease in `out` whose permit is not held any more is that of a task
--      that has ended without giving it back: who takes next closes the item,
--      for nobody knows what was under way.
-- What the program holds are tables without the library's fields, but for
-- lease.item; what is kept of them (inner) is out of its reach.

local casting, internal = ...
local error, ipairs, pairs, pcall, select, setmetatable, type =
  error, ipairs, pairs, pcall, select, setmetatable, type
local Check, shield = internal.check, internal.shield
local bad, got, kind = internal.bad, internal.got, internal.kind

local Pool, Lease = {}, {}
local PoolClass = {__name = "casting.pool", __metatable = "casting.pool",
  __index = Pool}
local LeaseClass = {__name = "casting.lease", __metatable = "casting.lease",
  __index = Lease}
local inners = setmetatable({}, {__mode = "k"})

local function check_self(self, class, what)
  local inner
  if type(self) == "table" then inner = inners[self] end
  if not inner or inner.class ~= class then
    bad(1, what, class .. " expected, got " .. kind(self))
  end
  return inner
end

local function default_close(item)
  local is = kind(item)
  if is == "table" or is == "userdata" or is == "session" or is == "channel"
  then
    item:close()
  end
end

local TRIES = 100

-- Closes an item, whatever happens: also for a task that was cancelled. Without
-- memory it is tried again.
local function dispose(pool, item)
  if item == nil then return end
  for _ = 1, TRIES do
    local ok, e = pcall(shield, pool.close, item)
    if ok or e ~= "not enough memory" then return end
  end
end

-- Takes no memory.
local function leave_out(pool, lease)
  lease.over = true
  pool.out[lease] = nil
  pool.nout = pool.nout - 1
end

-- Closes what tasks had that have ended.
local function bury(pool)
  for lease in pairs(pool.out) do
    if not lease.permit:held() then
      leave_out(pool, lease)
      dispose(pool, lease.item)
      return bury(pool) -- others may have changed the table meanwhile
    end
  end
end

-- The idle item that was given back last; nil if there is none.
local function pop(pool)
  local entry = pool.idle
  if not entry then return end
  pool.idle = entry.below
  pool.nidle = pool.nidle - 1
  return entry
end

-- The idle item that was used last and is still good; nil if there is none.
local function reuse(pool)
  for entry in pop, pool do
    local item = entry.item
    local ok = not pool.limit or casting.now() - entry.since <= pool.limit
    local good = true
    if ok and pool.check then ok, good = pcall(pool.check, item) end
    if ok and good then return item end
    dispose(pool, item)
    if not ok and casting.is_cancelled(good) then error(good, 0) end
  end
end

-- What lend needs after `make`: a lease, or what make has returned beside nil.
local function fill(lease, inner, item, ...)
  if item == nil then
    if select("#", ...) == 0 then return nil, "make has returned nothing" end
    return nil, ...
  end
  lease.item, inner.item = item, item
  return lease
end

-- A lease for who holds the permit; nil and why there is none. All that takes
-- memory is done before there is an item.
local function find(pool, permit)
  local lease = setmetatable({item = false}, LeaseClass)
  local inner = {class = "lease", pool = pool, permit = permit, item = false,
    over = false, since = 0, below = false}
  inner.item = nil
  inners[lease] = inner
  pool.out[inner] = true
  pool.nout = pool.nout + 1
  local item = reuse(pool)
  if item ~= nil then return fill(lease, inner, item) end
  return fill(lease, inner, pool.make())
end

-- Gives the permit back if there is nothing to lend.
local function lend(pool, permit, ok, lease, ...)
  if ok and lease ~= nil then return lease end
  for inner in pairs(pool.out) do
    if inner.permit == permit then
      leave_out(pool, inner)
      break
    end
  end
  permit:release()
  if not ok then error(lease, 0) end
  return nil, ...
end

function Pool:take(timeout)
  local pool = check_self(self, "pool", "take")
  if timeout ~= nil and not Check.is_seconds(timeout) then
    bad(2, "take", "timeout must be a number of seconds, zero or more, got " ..
      got(timeout))
  end
  local permit, why = pool.places:acquire(1, timeout)
  if not permit then return nil, why end
  local held = pool.places:size() - pool.places:available()
  if pool.nout >= held then bury(pool) end
  return lend(pool, permit, pcall(find, pool, permit))
end

local function leave(lease, ok, ...)
  if ok then
    Lease.release(lease)
    return ...
  end
  Lease.discard(lease)
  error((...), 0)
end

function Pool:with(f, ...)
  check_self(self, "pool", "with")
  if type(f) ~= "function" then Check.expect(2, "with", f, "function") end
  local lease, why = Pool.take(self)
  if not lease then return nil, why end
  return leave(lease, pcall(f, lease.item, ...))
end

function Pool:stats()
  local pool = check_self(self, "pool", "stats")
  local size = pool.places:size()
  return {size = size, idle = pool.nidle,
    used = size - pool.places:available()}
end

function Pool:close()
  local pool = check_self(self, "pool", "close")
  local first = pool.places:close()
  pool.closed = true
  bury(pool)
  for entry in pop, pool do dispose(pool, entry.item) end
  return first
end

-- Ends a lease; `keeps`: the item may be used again. Returns whether it had not
-- ended. To keep an item takes no memory.
local function end_lease(lease, keeps)
  local pool = lease.pool
  if lease.over then return false end
  leave_out(pool, lease)
  if keeps and not pool.closed and lease.permit:held() then
    if pool.limit then lease.since = casting.now() end
    lease.below, pool.idle = pool.idle, lease
    pool.nidle = pool.nidle + 1
  else
    dispose(pool, lease.item)
  end
  lease.permit:release()
  return true
end

function Lease:release()
  return end_lease(check_self(self, "lease", "release"), true)
end

function Lease:discard()
  return end_lease(check_self(self, "lease", "discard"), false)
end

function LeaseClass:__close(e)
  local lease = check_self(self, "lease", "__close")
  end_lease(lease, e == nil)
end

function PoolClass:__close()
  Pool.close(self)
end

-- Called when one is sent.
function PoolClass.__save()
  error("a pool cannot leave its session", 0)
end

function LeaseClass.__save()
  error("a lease cannot leave its session", 0)
end

function PoolClass:__tostring()
  local stats = Pool.stats(self)
  return "pool of " .. stats.size .. " (" .. stats.used .. " in use)"
end

local KNOWN = {make = true, size = true, check = true, close = true,
  idle = true}

return function(options)
  Check.expect(1, "pool", options, "table")
  Check.options(1, "pool", options, KNOWN)
  local problem
  if options.make == nil then
    problem = "make must be a function, got nil"
  elseif not Check.is_integer(options.size, 1, 1e9) then
    problem = "size must be an integer from 1 to 1000000000, got " ..
      got(options.size)
  elseif options.idle ~= nil and not Check.is_seconds(options.idle) then
    problem = "idle must be a number of seconds, zero or more, got " ..
      got(options.idle)
  end
  for _, name in ipairs {"make", "check", "close"} do
    problem = problem or Check.mismatch(name, options[name], "function")
  end
  if problem then bad(1, "pool", problem) end
  local pool = setmetatable({}, PoolClass)
  inners[pool] = {class = "pool", make = options.make, check = options.check,
    close = options.close or default_close, limit = options.idle,
    places = casting.semaphore(options.size), idle = false, nidle = 0, out = {},
    nout = 0, closed = false}
  return pool
end
