-- 168: Results that move, such as a stream, were taken out of a task that had
-- ended as soon as its handle was looked at by the packer: by
-- casting.transferable, by a send that failed, by an error with the handle in
-- it, and by session:tasks of another session.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local net = require "casting.net"

local LONG = 60

local function is_here(stream)
  local ok, stats = pcall(stream.stats, stream)
  return ok and stats ~= nil
end

-- A task that has ended with a stream, or will when `go` opens.
local kept = {}
local function make(go)
  local a, b = assert(net.pair())
  kept[#kept + 1] = b
  local task = casting.spawn(function()
    if go then go:receive() end
    return {stream = a}
  end)
  if not go then task:join(LONG) end
  return task, a
end

local function check(task, stream, what)
  local ok, v = task:join(LONG)
  assert(ok and rawequal(v.stream, stream), what)
  assert(is_here(stream), what .. " took the stream")
end

local session = casting.session()
local function join_there(task)
  return session:spawn(function(task) -- luacheck: ignore
    local ok, v = task:join(60)
    return ok, type(v) == "table" and type(v.stream) or v
  end, task):await(LONG)
end

local full, closed = casting.channel(1), casting.channel(1)
full:send "full"
closed:close()

local ways = {
  transferable = function(task) assert(casting.transferable {task}) end,
  ["a failed send"] = function(task)
    local ok = pcall(full.send, full, task, coroutine.create(function() end))
    assert(not ok)
  end,
  ["a full channel"] = function(task)
    local ok, why = full:try_send({task}, task)
    assert(not ok and why == "full")
  end,
  ["a closed channel"] = function(task)
    local ok, why = closed:send(task)
    assert(not ok and why == "closed")
  end,
  ["a send that was cancelled"] = function(task)
    local sender = casting.spawn(function() full:send(task) end)
    while sender:status() ~= "waiting" do casting.yield() end
    sender:cancel()
    sender:join(LONG)
  end,
  ["a select"] = function(task)
    local ch = casting.channel(1)
    ch:send(true)
    assert(casting.select {{full, task}, ch} == 2)
    local i, why = casting.select {{full, task}, timeout = 0.001}
    assert(i == nil and why == "timeout")
  end,
  ["a failed spawn"] = function(task)
    local ok = pcall(session.spawn, session, "return 1", task, io.stdout)
    assert(not ok)
    local few = casting.session {tasks = 1}
    few:spawn(function() require "casting".sleep(60) end)
    ok = pcall(few.spawn, few, "return 1", task)
    assert(not ok)
    few:close(0)
  end,
  ["an error"] = function(task)
    casting.spawn(function() error {task = task} end):join(LONG)
    assert(not pcall(casting.all, {function() error {task = task} end}))
  end,
  ["a task that returns it"] = function(task)
    local other = casting.spawn(function() return {task} end)
    other:join(LONG)
    assert(not full:try_send(other))
  end,
  ["a list"] = function(task)
    local mine = session:spawn(function(main) -- luacheck: ignore
      local n = 0
      for _, t in ipairs(main:tasks()) do n = n + (t and 1 or 0) end
      return n
    end, casting.spawn(function() end):session()):await(LONG)
    assert(mine >= 0 and task)
  end,
}

for what, try in pairs(ways) do
  -- An ended one; it can be given away nevertheless.
  local task, stream = make()
  try(task)
  check(task, stream, what)
  try(task)
  check(task, stream, what .. " again")
  local ok, kind = join_there(task)
  assert(ok == true and kind == "userdata", what .. ": " .. tostring(kind))
  assert(not is_here(stream))
  -- One that ends afterwards.
  local go = casting.channel()
  task, stream = make(go)
  try(task)
  go:close()
  check(task, stream, what .. " before the end")
  -- One whose handle has been given away before is given away for good.
  task = make()
  ok, kind = join_there(task)
  assert(ok == true and kind == "userdata")
  task, stream = make()
  local ch = casting.channel(1)
  ch:send(task)
  try(task)
  assert(not is_here(stream))
  ok, kind = join_there((ch:receive(LONG)))
  assert(ok == true and kind == "userdata", what .. ": " .. tostring(kind))
end

-- A task with itself in its error, and a stream.
local a, b = assert(net.pair())
local task = casting.spawn(function() error {casting.self(), a} end)
local ok, e = task:join(LONG)
assert(not ok and rawequal(e[2], a) and is_here(a))
b:close()

-- A packed message with the handle, sent by the session that has the task.
do
  local stream
  task, stream = make()
  local message = casting.pack(task)
  assert(not is_here(stream)) -- it can be sent as often as it likes
  assert(not full:try_send(message))
  local kind
  ok, kind = join_there(message:unpack())
  assert(ok == true and kind == "userdata", kind)
end
for _, s in ipairs(kept) do s:close() end
session:close()
