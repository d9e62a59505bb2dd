-- session.lua - what a session costs: time to make and close it, memory.
-- SPDX-License-Identifier: MIT
--
-- Beside it bare Lua states with all libraries, made by luaL_newstate and
-- luaL_openlibs and closed by lua_close (states.c). A step is a session that a
-- task of another one makes, lets run a task and closes. Memory is the resident
-- bytes of a session that has run a task and is kept, and of a bare state, each
-- in a process of its own.
--
-- Arguments: `cycle` or `live`, for one of the two; for the second how many
-- (1000). Needs Linux (/proc/self/statm) for memory.

local here = arg[0]:match("^(.*[/\\])[^/\\]*$") or "./"
local bench = dofile(here .. "common.lua")

local has_states, states = pcall(require, "bench_states")
local what = bench.args[1]
local count = bench.steps or tonumber(bench.args[2]) or 1000

-- In a process of its own: nothing but states.
if what == "bare" then
  states.hold(10)
  local before = bench.resident()
  states.hold(count)
  print((bench.resident() - before) / count)
  os.exit(0, false)
end

local casting = require "casting"

local function nothing()
end

local function use(session)
  session:spawn(nothing):await()
  return session
end

-- In a task, so that no time goes into waking another thread.
local function cycle(n)
  local start = casting.now()
  for _ = 1, n do
    local session = casting.session()
    session:spawn(nothing):await()
    session:close()
  end
  return casting.now() - start
end

if what ~= "live" then
  local min, max = casting.threads()
  casting.threads(1, 1)
  local maker = casting.session()
  bench.figure {
    name = "sessions made and closed",
    unit = "sessions/s",
    run = function(n)
      return maker:spawn(cycle, n):await()
    end,
    floor = has_states and {
      name = "bare states",
      run = function(n)
        local start = bench.now()
        states.cycle(n)
        return bench.now() - start
      end,
    } or nil,
  }
  maker:close()
  casting.threads(min, max)
end

if what ~= "cycle" and bench.resident() then
  local sessions = {}
  for i = 1, 10 do
    sessions[i] = use(casting.session())
  end
  collectgarbage()
  local before = bench.resident()
  for i = 11, count + 10 do
    sessions[i] = use(casting.session())
  end
  collectgarbage()
  local bytes = (bench.resident() - before) / count
  local bare = has_states and tonumber(bench.child(string.format(
    "bare %d", count)))
  bench.raw_line("live sessions", bytes, "B", { steps = count, floor = bare })
  bench.print("live sessions, " .. count, string.format("%.0f ", bytes), "B",
    bench.pair_rate(), nil, bare and { name = "bare state",
      figure = string.format("%.0f ", bare), ratio = bytes / bare })
  for _, session in ipairs(sessions) do
    session:close()
  end
end
