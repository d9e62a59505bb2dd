-- bare.lua - channels and tasks on plain coroutines, to compare casting with.
-- SPDX-License-Identifier: MIT
--
-- What a Lua programmer would write who needs a scheduler for one program and
-- no library: the part of casting's interface that the benchmarks use, in one
-- Lua state and one thread, without time, cancellation, or errors that stay
-- where they are. `--bare` puts it in casting's place (see ../common.lua), so
-- both run the same programs.
--
-- 1. Ready tasks wait in one queue and are resumed in its order.
-- 2. A channel's `receivers` and `senders` are never both non-empty.
-- 3. A waiter of a select is void once its task's `ticket` has changed.

local bare = { now = os.clock }

local create, resume, yield = coroutine.create, coroutine.resume,
  coroutine.yield
local random = math.random

-- A queue is a table with `first` and `last`, empty if last < first. A channel
-- is one too: that of the messages in it.
local function queue()
  return { first = 1, last = 0 }
end

local function push(q, item)
  local last = q.last + 1
  q.last, q[last] = last, item
end

local function pop(q)
  local first = q.first
  if first > q.last then
    return nil
  end
  local item = q[first]
  q[first] = nil
  if first == q.last then
    q.first, q.last = 1, 0 -- stay in the table's array
  else
    q.first = first + 1
  end
  return item
end

-- ----------------------------------------------------------------- tasks --

local Task = {}
Task.__index = Task

local ready = queue()
local current

-- The task goes on, later, with these values as results of its wait.
local function wake(task, a, b, c, d)
  task.a, task.b, task.c, task.d = a, b, c, d
  push(ready, task)
end

local function finish(task, ok, ...)
  if not ok then
    error(debug.traceback(task.co, (...)), 0)
  end
  if coroutine.status(task.co) ~= "dead" then
    return
  end
  task.done, task.results = true, { ... }
  for _, joiner in ipairs(task) do
    wake(joiner)
  end
end

-- Runs ready tasks until `task` is done; for the main program.
local function run_until(task)
  while not task.done do
    current = pop(ready) or error("deadlock: nothing is ready", 0)
    finish(current, resume(current.co, current.a, current.b, current.c,
      current.d))
  end
  current = nil
end

function bare.spawn(f, ...)
  local task = setmetatable({ co = create(f), ticket = 0 }, Task)
  wake(task, ...)
  return task
end

local unpack = table.unpack or unpack

function Task:await()
  if not self.done then
    if current then
      self[#self + 1] = current
      yield()
    else
      run_until(self)
    end
  end
  return unpack(self.results)
end

function Task:join()
  return true, self:await()
end

function bare.yield()
  wake(current)
  yield()
end

-- -------------------------------------------------------------- channels --

local Channel = {}
Channel.__index = Channel

function bare.channel(capacity)
  return setmetatable({ capacity = capacity or 0, first = 1, last = 0,
    receivers = queue(), senders = queue() }, Channel)
end

-- The receiver that has waited longest, or nil. It may be a task, or a waiter
-- of a task's select.
local function receiver(channel)
  local receivers = channel.receivers
  local waiter = pop(receivers)
  while waiter and waiter.task and waiter.ticket ~= waiter.task.ticket do
    waiter = pop(receivers)
  end
  return waiter
end

function Channel:send(a, b, c)
  if self.is_closed then
    return nil, "closed"
  end
  local waiter = receiver(self)
  if waiter then
    local task = waiter.task
    if task then
      task.ticket = task.ticket + 1
      wake(task, waiter.index, a, b, c)
    else
      wake(waiter, a, b, c)
    end
    return true
  end
  local last = self.last
  if last - self.first + 1 < self.capacity then
    self.last = last + 1
    if b == nil then
      self[last + 1] = a
    else
      self[last + 1] = { many = true, a, b, c }
    end
    return true
  end
  local me = current
  me.sent, me.sent2, me.sent3 = a, b, c
  push(self.senders, me)
  return yield()
end

function Channel:receive()
  if self.first <= self.last then
    local message = pop(self)
    local sender = pop(self.senders)
    if sender then
      self.last = self.last + 1
      self[self.last] = sender.sent2 == nil and sender.sent or
        { many = true, sender.sent, sender.sent2, sender.sent3 }
      wake(sender, true)
    end
    if type(message) == "table" and message.many then
      return message[1], message[2], message[3]
    end
    return message
  end
  local sender = pop(self.senders)
  if sender then
    wake(sender, true)
    return sender.sent, sender.sent2, sender.sent3
  end
  if self.is_closed then
    return nil, "closed"
  end
  push(self.receivers, current)
  return yield()
end

function Channel:close()
  if self.is_closed then
    return false
  end
  self.is_closed = true
  local waiter = receiver(self)
  while waiter do
    local task = waiter.task
    if task then
      task.ticket = task.ticket + 1
      wake(task, waiter.index, nil, "closed")
    else
      wake(waiter, nil, "closed")
    end
    waiter = receiver(self)
  end
  for sender in pop, self.senders do
    wake(sender, nil, "closed")
  end
  return true
end

-- Only receiving, and no timeout.
function bare.select(channels)
  local n, found, chosen = #channels, 0, nil
  for i = 1, n do
    local channel = channels[i]
    if channel.first <= channel.last or channel.is_closed or
      channel.senders.first <= channel.senders.last then
      found = found + 1
      if random(found) == 1 then
        chosen = i
      end
    end
  end
  if chosen then
    return chosen, channels[chosen]:receive()
  end
  for i = 1, n do
    push(channels[i].receivers, { task = current, ticket = current.ticket,
      index = i })
  end
  return yield()
end

-- -------------------------------------------------------------- sessions --

-- There is one Lua state, so a session is nothing.
local session = {}

function session:spawn(f, ...)
  return bare.spawn(f, ...)
end

function session:close()
end

function bare.session()
  return session
end

function bare.threads()
  return 1, 1
end

return bare
