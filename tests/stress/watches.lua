-- watches.lua - directories that are made, moved, removed and made again as
-- fast as another program can, while a tree is watched by two names, tasks add
-- and drop paths in it, and are cancelled. Whoever applies the events to what
-- was there has what is there in the end, and all of it is watched.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/watches.lua [SEED] [SECONDS]      (2 seconds by default)

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local casting = require "casting"
local fs, process = casting.fs, casting.process

local seed = kit.arguments()
local random = kit.generator(seed)
local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
local seconds, LONG = tonumber(arg[2]) or 2, 60 * factor
casting.on_error(casting.channel(math.huge)) -- of tasks that are cancelled

local top = assert(fs.tempdir())
do
  local watch, why = fs.watch(top)
  if not watch and why:find "not supported" then
    print "watches: skipped, nothing is watched on this system"
    fs.remove(top)
    return
  end
  watch:close()
end
-- What a sanitizer makes each program load is not for these.
local env = {PATH = os.getenv "PATH"}
local function sh(text)
  local code, out, err = process.run {"sh", "-c", text, cwd = top, env = env}
  if code ~= 0 then kit.violation("sh: %s %s", tostring(out), tostring(err)) end
  return out
end

-- Directories for the shell to move about: few names, which come again and
-- again. "mkdir a/b" fails if there is one already, and so on: all of it may.
local NAMES = {"a", "b", "c", "d"}
local function place(depth)
  local t = {}
  for i = 1, random(depth) do t[i] = NAMES[random(#NAMES)] end
  return table.concat(t, "/")
end
local function script(n)
  local list = {}
  for i = 1, n do
    local k = random(10)
    if k <= 4 then
      list[i] = "mkdir -p " .. place(4)
    elseif k <= 8 then
      list[i] = ("mv -T %s %s"):format(place(3), place(3))
    elseif k == 9 then
      list[i] = "rmdir " .. place(4)
    else
      list[i] = ("mv %s ../out/%d"):format(place(3), random(1000000))
    end
  end
  return "{ " .. table.concat(list, "\n") .. "\n} 2>/dev/null; true"
end

-- What is there by the events: a set of paths below `top`.
local function apply(there, event)
  local path, from = event.path, event.from
  if event.kind == "made" then there[path] = true end
  if event.kind ~= "removed" and event.kind ~= "moved" then return end
  local old, new = event.kind == "moved" and from or path, {}
  for name in pairs(there) do
    if name == old or name:sub(1, #old + 1) == old .. "/" then
      there[name] = nil
      if from then new[#new + 1] = path .. name:sub(#old + 1) end
    end
  end
  if from then there[path] = true end
  for i = 1, #new do there[new[i]] = true end
end

local function directories()
  local list = {}
  for name in sh("find tree -mindepth 1 -type d"):gmatch "[^\n]+" do
    list[#list + 1] = name:sub(6)
  end
  return list
end

-- Adds paths in the tree, drops them, or is cancelled at that.
local function disturb(watch, stop)
  while not stop.now do
    local path = top .. "/tree/" .. place(2)
    local task = casting.spawn(watch.add, watch, path)
    if random(3) == 1 then
      casting.yield()
      task:cancel()
    end
    task:join()
    if random(2) == 1 then watch:drop(path) end
    casting.sleep(0.001)
  end
end

-- One round: `disturbed`: the program adds and drops paths meanwhile, and only
-- what is watched is looked at: what it has added is told twice, or is gone.
local function round(n, disturbed)
  sh "rm -rf tree out link; mkdir -p tree out; ln -s tree link"
  local roots = {top .. "/tree", top .. "/link"}
  if disturbed then roots[2] = nil end
  local watch = assert(fs.watch(roots, {tree = true}))
  local there, stop, names = {}, {}, {}
  for i = 1, #roots do there[i], names[i] = {}, #roots[i] + 2 end
  local mover = casting.spawn(sh, "cd tree; " .. script(random(300)))
  local other = disturbed and casting.spawn(disturb, watch, stop)
  local function take(event)
    for i = 1, #roots do
      local function below(path)
        local is = path and path:sub(1, names[i] - 1) == roots[i] .. "/"
        return is and path:sub(names[i]) or nil
      end
      local path = below(event.path)
      if path then
        apply(there[i], {kind = event.kind, path = path,
          from = below(event.from)})
      end
    end
  end
  local moved = false
  repeat
    moved = moved or mover:status() == "done"
    local event = watch:next(moved and 0.05 * factor or 0.001)
    if event then take(event) end
  until moved and not event
  if other then
    stop.now = true
    kit.check(other:join(LONG) ~= nil, "a task that adds did not end")
    while watch:next(0.05 * factor) do end -- luacheck: ignore
  end
  local all, told = directories(), {}
  if not disturbed then
    for i = 1, #roots do
      local seen = 0
      for k = 1, #all do
        if not there[i][all[k]] then
          kit.violation("round %d: %s is not told of in %s", n, all[k],
            roots[i])
        end
        seen = seen + 1
      end
      for name in pairs(there[i]) do seen = seen - (name and 1) end
      kit.check(seen == 0, "round %d: %d that are told are not there", n, -seen)
    end
  end
  for k = 1, #all do
    assert(io.open(("%s/tree/%s/mark"):format(top, all[k]), "w")):close()
  end
  assert(io.open(top .. "/tree/end", "w")):close()
  repeat
    local event = assert(watch:next(LONG))
    if event.kind == "made" then told[event.path] = true end
  until told[roots[1] .. "/end"]
  while true do
    local event = watch:next(0)
    if not event then break end
    if event.kind == "made" then told[event.path] = true end
  end
  for i = 1, #roots do
    for k = 1, #all do
      kit.check(told[("%s/%s/mark"):format(roots[i], all[k])],
        "round %d: %s is not watched in %s", n, all[k], roots[i])
    end
  end
  watch:close()
  return #all
end

local deadline, rounds, found = casting.now() + seconds, 0, 0
repeat
  rounds = rounds + 1
  found = found + round(rounds, rounds % 2 == 0)
until casting.now() >= deadline
casting.on_error(nil)
assert(fs.remove(top, {tree = true}))
print(("watches: %d rounds, %d directories"):format(rounds, found))
