-- workloads.lua - what `./dev bench net` measures, and on what.
-- SPDX-License-Identifier: MIT

local list = {}

-- Messages of so many bytes are big: a few of them are as much as all that is
-- alive in a server, so Lua's collector would run after every few of them.
list.BIG = 16384

-- Columns: a server each. `command` is its program with what goes before it;
-- `idle` its arguments where it is asked to collect its garbage; `size` says
-- that it wants to know how much it may have to read at once; `big` is its
-- argument for big messages, with which Lua's collector waits until the heap is
-- ten times what was left of it; `dial` is the program that is a client.
local LUA = "lua5.4 bench/net/"
local GO = "env GOMAXPROCS=1 build/compare/net-go"
list.columns = {
  { id = "c", title = "C loop", command = "build/compare/net-server",
    dial = "build/compare/net-client" },
  { id = "go", title = "Go 1", command = GO, idle = "4096 idle", size = true,
    dial = GO .. " dial" },
  { id = "luv", title = "luv", command = LUA .. "luv.lua", idle = "idle",
    big = "big", dial = LUA .. "dial_luv.lua" },
  { id = "cqueues", title = "cqueues", command = LUA .. "cqueues.lua",
    idle = "idle", big = "big" },
  { id = "node", title = "Node", command = "node --expose-gc " ..
    "bench/net/node.js", idle = "idle" },
  { id = "casting", title = "casting", command = LUA .. "casting.lua",
    idle = "--idle", big = "--big", dial = LUA .. "dial.lua" },
  { id = "session", title = "casting, a session",
    command = LUA .. "casting.lua --sessions 1", idle = "--idle", big = "--big",
    dial = LUA .. "dial.lua --session" },
}

-- Workloads: `load` says what the load generator does. Fields:
--   dial     the program is a client
--   args     what the server of casting is told beside that, and
--   only     the columns, if not all of them
--   traced   system calls are counted: the value is how many there are for a
--            round trip, and rates are only those under strace
--   field    which one of the load's fields is the value, if not the first one
--   less     less is better
--   least    seconds that a run takes at least
local function echo(id, title, connections, size)
  return { id = id, title = title, size = size,
    load = ("echo --connections %d --size %d"):format(connections, size) }
end
local function calls(id, title, connections)
  return { id = id, title = title, traced = true, field = "calls", size = 64,
    less = true, unit = "calls",
    load = ("echo --connections %d --trace"):format(connections) }
end
local function mine(id, title, load, args, others)
  local w = { id = id, title = title, load = load, args = args, size = 64,
    only = "casting session" }
  for key, value in pairs(others or {}) do
    w[key] = value
  end
  return w
end

list.workloads = {
  echo("echo1", "echo 64 B, 1 connection", 1, 64),
  echo("echo64", "echo 64 B, 64", 64, 64),
  echo("echo1000", "echo 64 B, 1000", 1000, 64),
  echo("big64", "echo 16 KiB, 64", 64, 16384),
  { id = "churn", title = "connect, 1 byte, close", size = 64,
    load = "churn --connections 32" },
  { id = "burst", title = "400 at once: accept, 1 byte, close", size = 64,
    load = "burst --connections 400",
    small = "burst --connections 40" },
  { id = "dial", title = "a client: connect, 1 byte, close", dial = true,
    only = "c go luv casting session", load = "dial" },
  calls("calls1", "calls a round trip, 1", 1),
  calls("calls64", "calls a round trip, 64", 64),
  calls("calls1000", "calls a round trip, 1000", 1000),
  { id = "idle", title = "bytes of an idle connection", idle = true,
    less = true, unit = "B", least = 1,
    load = "idle --connections 5000 --more 19000",
    small = "idle --connections 20 --more 40" },
  { id = "still", title = "calls of an idle server, 10 s", idle = true,
    traced = true, field = "calls", less = true, unit = "calls", least = 10,
    load = "idle --connections 5000 --more 19000 --trace",
    small = "idle --connections 20 --more 40 --trace" },
  mine("pair1", "two cores, echo: one session",
    "echo --connections 64 --free", "--sessions 1", { only = "casting" }),
  mine("pair2", "two cores, echo: two sessions",
    "echo --connections 64 --free", "--sessions 2", { only = "casting" }),
  mine("compute1", "100 us of Lua each: one session",
    "echo --connections 64 --free", "--sessions 1 --compute 100",
    { only = "casting", least = 1 }),
  mine("compute2", "100 us of Lua each: two sessions",
    "echo --connections 64 --free", "--sessions 2 --compute 100",
    { only = "casting", least = 1 }),
  mine("busy", "beside a session that computes: p99",
    "echo --connections 4", "--sessions 1 --busy",
    { only = "casting", field = "p99", less = true, unit = " ns", least = 1 }),
}

-- Does the column do the workload?
function list.has(w, column)
  return not w.only or (" " .. w.only .. " "):find(" " .. column.id .. " ", 1,
    true)
end

return list
