-- spawn_storm.lua - tasks that spawn tasks in any session and join any task:
-- every result and every error reaches everybody who asks, once each.
-- SPDX-License-Identifier: MIT
--
-- See lib/kit.lua for the arguments.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"

local seed = kit.arguments()
local random = kit.generator(seed)

-- The task number n of the tree: its children, spawned in random sessions and
-- joined by several, must give what is computed here. Returns a count.
local function grow(sessions, depth, seed, grow)
  local casting = require "casting"
  local random = require "kit".generator(seed)
  local mode = random(10)
  if depth == 0 then
    if mode == 1 then casting.sleep(random() * 0.003) end
    if mode == 2 then casting.yield() end
    if mode == 3 then error({seed = seed}) end
    if mode == 4 then error("seed " .. seed, 0) end
    if mode == 5 then
      -- Where many versions cannot yield.
      local text = "x"
      text:gsub(".", function() casting.yield() end)
    end
    return 1, seed
  end
  local children, seeds = {}, {}
  for i = 1, 1 + random(4) do
    seeds[i] = random(1000000)
    if random(3) == 1 then
      children[i] = casting.spawn(grow, sessions, depth - 1, seeds[i], grow)
    else
      children[i] = sessions[random(#sessions)]:spawn(grow, sessions,
        depth - 1, seeds[i], grow)
    end
  end
  local function collect(task, want)
    local ok, count, mark = task:join()
    if ok then
      assert(mark == want, "another task's result")
      return count
    end
    local failed = type(count) == "table" and count.seed
      or tonumber((tostring(count):match "^seed (%d+)$"))
    assert(failed == want, "another task's error: " .. tostring(count))
    return 1
  end
  -- Some are joined by others as well, at the same time.
  local others = {}
  for i = 1, #children do
    if random(3) == 1 then
      others[i] = casting.spawn(collect, children[i], seeds[i])
    end
  end
  local total = 1
  for i = #children, 1, -1 do
    local count = collect(children[i], seeds[i])
    total = total + count
    if others[i] then
      assert(others[i]:await() == count, "joiners that disagree")
    end
    if random(5) == 1 then
      assert(collect(children[i], seeds[i]) == count, "a second join differs")
    end
  end
  return total, seed
end

local tasks = 0
local min, max = casting.threads()
for _, threads in ipairs {1, 2, 4} do
  casting.threads(threads, math.max(threads, 2 * threads - 1))
  local sessions = {}
  for i = 1, 5 do sessions[i] = casting.session() end
  for _ = 1, kit.scaled(20) do
    local roots, seeds = {}, {}
    for i = 1, 4 do
      seeds[i] = random(1000000)
      roots[i] = sessions[random(#sessions)]:spawn(grow, sessions, 4,
        seeds[i], grow)
    end
    for i = 1, 4 do
      local count, mark = kit.join(roots[i], "a tree")
      kit.check(mark == seeds[i], "another tree's result")
      tasks = tasks + count
    end
  end
  -- Short tasks, many at a time, from here.
  for _ = 1, kit.scaled(20) do
    local list = {}
    for i = 1, kit.scaled(500, 50) do
      local session = sessions[random(#sessions)]
      list[i] = random(4) == 1
        and casting.spawn(function(n) return n end, i)
        or session:spawn(function(n) return n end, i)
    end
    for i = 1, #list do
      kit.check(kit.join(list[i], "a short task") == i, "a wrong result")
    end
    tasks = tasks + #list
  end
  for i = 1, 5 do
    kit.check(sessions[i]:wait(60) == true, "a session does not become idle")
    kit.check(#sessions[i]:tasks() == 0, "a task is left")
    sessions[i]:close()
  end
end
casting.threads(min, max)
print(("spawn_storm: %d tasks joined"):format(tasks))
