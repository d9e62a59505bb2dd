-- workloads.lua - what is compared, and on what.
-- SPDX-License-Identifier: MIT
--
-- A column is a program that can do workloads: casting on some Lua in some
-- place, plain coroutines on some Lua, Go or Erlang with so many threads.

local list = {}

list.LUAS = { "5.4", "luajit", "5.1" }
list.TITLES = { ["5.4"] = "Lua 5.4", luajit = "LuaJIT", ["5.1"] = "Lua 5.1" }

-- Fields of a workload:
--   id, title
--   file    the program in Lua; args: its arguments
--   places  where casting does it: same, one, two; or one without a name
--   name    that of Go's and Erlang's workload, if they have it: id by default
--   bare    whether plain coroutines can do it
--   steps   so many in a run, else as many as fill the time
--   less    less is better: the value is bytes or seconds and not a rate
--   heavy   takes seconds: run in one round of three
--   pair    the pair rate is a yardstick for it
local BASE = { "same", "one", "two" }
local function base(id, title, file, args)
  return { id = id, title = title, file = "bench/" .. file .. ".lua",
    args = args, places = BASE, bare = true, others = true, pair = true }
end
local function savina(id, title)
  return { id = id, title = title, file = "bench/compare/lua/" .. id .. ".lua",
    places = { "same", "two" }, bare = true, others = true, savina = true }
end

list.workloads = {
  base("pingpong", "ping-pong, unbuffered", "pingpong"),
  base("buffered", "buffered, 1024", "buffered"),
  base("fanin", "fan-in, 4 to 1", "fanin"),
  base("select2", "select over 2", "select", "2"),
  base("select8", "select over 8", "select", "8"),
  base("ring", "ring of 1000", "ring"),
  base("spawn", "spawn and finish", "spawn"),
  { id = "skynet", title = "skynet, 1,000,000 leaves", heavy = true,
    file = "bench/skynet.lua", places = { "same", "two" }, steps = 1000000,
    bare = true, others = true },
  { id = "timers", title = "1,000,000 timers", heavy = true, less = true,
    file = "bench/timers.lua", places = { "same", "two" }, steps = 1000000,
    others = true },
  savina("throughput", "fork-join, throughput"),
  savina("creation", "fork-join, creation"),
  savina("counting", "counting"),
  savina("chameneos", "chameneos"),
  savina("big", "big"),
  savina("bounded", "bounded buffer"),
  savina("barber", "sleeping barber"),
  savina("smokers", "cigarette smokers"),
  savina("bank", "bank transaction"),
  savina("radix", "radix sort"),
  savina("filterbank", "filter bank"),
  { id = "parked", title = "memory of a parked task", less = true,
    file = "bench/parked.lua", places = { "" }, steps = 100000, others = true },
  { id = "cycle", title = "session made, used, closed",
    file = "bench/session.lua", args = "cycle", places = { "" } },
  { id = "live", title = "memory of a live session", less = true,
    file = "bench/session.lua", args = "live", places = { "" },
    steps = 1000 },
}

-- The columns of a workload, in the order of running: { id, kind, ... }.
function list.columns(w)
  local columns = {}
  for _, version in ipairs(list.LUAS) do
    for _, place in ipairs(w.places) do
      local id = "casting-" .. version .. (place ~= "" and "-" .. place or "")
      columns[#columns + 1] = { id = id, kind = "casting", version = version,
        place = place }
    end
    if w.bare then
      columns[#columns + 1] = { id = "bare-" .. version, kind = "bare",
        version = version }
    end
  end
  if w.others then
    for _, kind in ipairs { "go", "erlang" } do
      for _, threads in ipairs { 1, 2 } do
        -- Memory does not depend on how many threads there are.
        if threads == 1 or w.id ~= "parked" then
          columns[#columns + 1] = { id = kind .. "-" .. threads, kind = kind,
            threads = threads }
        end
      end
    end
  end
  return columns
end

return list
