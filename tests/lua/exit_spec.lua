-- exit_spec.lua - the ways in which a process ends, while tasks of the main
-- state and of sessions are in each kind of state: soon, with the right status,
-- and nothing is printed that is not an error.
-- SPDX-License-Identifier: MIT
--
-- Each pair of state and ending is tried on one of five versions; all of them,
-- on every version, with CASTING_ALL=1 in the environment.

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore

local can_close = helper.version > "5.1" or helper.jit -- os.exit(n, true)
local GRACE = 2 -- seconds that an exit may take, as the manual has it
local ROOM = 28 -- for starting and for a busy machine
local AT_ONCE = 8 -- children at a time

-- What a task is at: {name, source, what the main state's task does instead}.
-- The main state's tasks share their thread with the main program, so those
-- that compute give way now and then, and none sits in C.
local function states(fifo, pids)
  return {
    {"run", "while true do c.yield() end"},
    {"block", "ch:receive()"},
    {"block in place", "table.sort({2, 1}, function() ch:receive() end)"},
    {"block in a coroutine", "coroutine.wrap(function() ch:send(1) end)()"},
    {"sleep", "c.sleep(1000)"},
    {"compute", helper.loops "while true do end",
      "while true do for i = 1, 1000 do pids = i end c.yield() end"},
    {"catch all errors", "while true do pcall(ch.receive, ch) end"},
    {"are shielded", "c.shield(ch.receive, ch)"},
    {"start others", "while true do c.spawn(function() end) c.yield() end"},
    {"make sessions",
      "while true do c.session():spawn('(...):receive()', ch) c.yield() end"},
    {"sit in C", ("io.open '%s'"):format(fifo), "ch:receive()"},
    {"run programs", ("os.execute 'echo $$ >>%s; exec sleep 60'")
      :format(pids), "ch:receive()"},
  }
end

-- How it ends: {name, source, status, what stderr has, signal}. With a signal
-- the program says "ready" first.
local endings = {
  {"its end", "", 0},
  {"an error", "error('the end', 0)", 1, "the end"},
  {"os.exit(7)", "os.exit(7)", 7},
  {"os.exit(7) in a task", "c.spawn(function() os.exit(7) end) wait()",
    7},
  {"os.exit(7) in a session", "c.session():spawn('os.exit(7)') wait()", 7},
  {"Ctrl-C while it waits", "wait()", 1, "interrupted!", "INT"},
  {"Ctrl-C while it computes", helper.loops "while true do end", 1,
    "interrupted!", "INT"},
  {"SIGTERM while it waits", "wait()", 143, nil, "TERM"},
  {"SIGTERM while it computes", "while true do end", 143, nil, "TERM"},
}
if can_close then
  for _, e in ipairs {
    {"os.exit(8, true)", "os.exit(8, true)", 8},
    {"os.exit(8, true) in a task",
      "c.spawn(function() os.exit(8, true) end) wait()", 8},
    {"os.exit(8, true) in a coroutine of a task", "c.spawn(function() " ..
      "coroutine.wrap(function() os.exit(8, true) end)() end) wait()",
      8},
    {"os.exit(8, true) in a session",
      "c.session():spawn('os.exit(8, true)') wait()", 8},
  } do
    endings[#endings + 1] = e
  end
end

local function program(state, ending)
  return ([[
    local c = require "casting"
    local ch, never, pids = c.channel(), c.channel(), 0
    local started = c.channel(100)
    local function wait() never:receive(1000) end
    c.threads(4)
    for _ = 1, 2 do
      c.session():spawn(function() started:send(1) %s end)
    end
    c.spawn(function() started:send(1) %s end)
    for _ = 1, 3 do started:receive() end
    %s
    %s]]):format(state[2], state[3] or state[2],
      ending[5] and "io.stdout:write 'ready' io.stdout:flush()" or "",
      ending[2])
end

-- The reason why the result is not what it should be, or nil.
local function wrong(result, ending)
  if result.status ~= ending[3] then
    return ("status %s, not %d"):format(tostring(result.status), ending[3])
  elseif result.out ~= (ending[5] and "ready" or "") then
    return "wrote " .. result.out
  elseif ending[4] and not result.err:find(ending[4], 1, true) then
    return "does not say " .. ending[4]
  elseif not ending[4] and result.err ~= "" then
    return "complains"
  end
end

-- A stock LuaJIT's compiled loops see no Ctrl-C, with or without casting; and
-- while system(3), which is os.execute, waits, the whole process ignores it.
local function is_deaf(state, ending)
  return ending[5] == "INT" and (helper.jit and
    ending[1] == "Ctrl-C while it computes" or state[1] == "run programs")
end

local thin = os.getenv "CASTING_ALL" and 1 or 5
local offset = helper.jit and 0 or tonumber(helper.version:sub(3))
local function is_chosen(state, i, ending, k)
  return (i + k + offset) % thin == 0 and not is_deaf(state, ending)
end

-- Runs the programs of state i; returns what was wrong.
local function failures_of(state, i)
  local failures, running = {}, {}
  local function finish_one()
    local child = table.remove(running, 1)
    local result = child.finish()
    local why = wrong(result, child.ending)
    if why then
      failures[#failures + 1] = ("%s: %s, after %.1f s\n%s"):format(
        child.ending[1], why, result.seconds, result.err)
    end
  end
  for k, ending in ipairs(endings) do
    if is_chosen(state, i, ending, k) then
      running[#running + 1] = {ending = ending, finish = helper.start(
        program(state, ending), ending[5] and "ready", ending[5],
        GRACE + ROOM)}
      if #running >= AT_ONCE then finish_one() end
    end
  end
  while #running > 0 do finish_one() end
  return table.concat(failures, "\n")
end

describe("while tasks", function()
  local fifo, pids
  before_each(function()
    fifo, pids = os.tmpname(), os.tmpname()
    os.execute(("rm -f %s; mkfifo %s"):format(fifo, fifo))
  end)
  after_each(function()
    -- What os.execute had started outlives the program that waits for it.
    os.execute("kill $(cat " .. pids .. ") 2>/dev/null")
    os.remove(pids)
    os.remove(fifo)
  end)

  for i, title in ipairs(states("", "")) do
    it(title[1] .. ", a program ends by all means", function()
      if not helper.has_children() then return end
      assert.equal("", failures_of(states(fifo, pids)[i], i))
    end)
  end
end)
