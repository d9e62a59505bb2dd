-- make.lua - builds what a makefile says, several programs at a time.
-- SPDX-License-Identifier: MIT
--
-- It knows rules, whose lines are for the shell, in which $@ is the target, $<
-- the first thing that it needs, and $^ all of them; and .PHONY. It knows no
-- variables and no patterns.
--
-- What it shows: process.run in many tasks, one for each target, which waits
-- for the tasks of what the target needs; a channel as a semaphore, so that no
-- more than N programs run at once; a scope, in which the first error, or a
-- signal, cancels all the tasks, and so kills all the programs.
--
-- How to run it:
--   ./dev run examples/make.lua -f examples/words.mk -j 4
--   ./dev run examples/make.lua [-f FILE] [-j N] [TARGET]...

local casting = require "casting"
local process = require "casting.process"

local NUMBERS = {HUP = 1, INT = 2, TERM = 15}

local function fail(message, status)
  io.stderr:write("make: *** ", message, "\n")
  os.exit(status or 2)
end

-- The rules of a makefile by their targets, and the first target.
local function read(path)
  local file, why = io.open(path)
  if not file then fail(why) end
  local rules, first, rule, n = {}, nil, nil, 0
  for line in file:lines() do
    n = n + 1
    local command = line:match "^\t%s*(.*)"
    local name, needs = line:match "^([^#%s:]+)%s*:([^#]*)$"
    if command and rule then
      table.insert(rule.recipe, command)
    elseif name and not rules[name] then
      rule = {name = name, needs = {}, recipe = {}}
      for need in needs:gmatch "%S+" do table.insert(rule.needs, need) end
      rules[name], first = rule, first or name ~= ".PHONY" and name
    elseif not line:match "^%s*$" and not line:match "^%s*#" then
      fail(("%s:%d: this is no rule, or the second one"):format(path, n))
    end
  end
  file:close()
  for _, name in ipairs(rules[".PHONY"] and rules[".PHONY"].needs or {}) do
    if rules[name] then rules[name].phony = true end
  end
  return rules, first
end

-- Nothing begins unless all can: each thing has a rule or is there already, and
-- none needs itself. `above` is true for what needs this, and false for what
-- was looked at already.
local function check(rules, name, above, parent)
  if above[name] then fail(name .. " needs itself, by way of " .. parent) end
  if above[name] == false then return end
  local file = not rules[name] and io.open(name)
  if file then file:close() end
  if not rules[name] and not file then
    fail(("No rule to make target '%s', needed by '%s'"):format(name, parent))
  end
  above[name] = true
  for _, need in ipairs(rules[name] and rules[name].needs or {}) do
    check(rules, need, above, name)
  end
  above[name] = false
end

-- Is the target there, and nothing that it needs newer? Lua cannot tell the
-- times of files, but the shell can.
local function is_up_to_date(rule)
  local command = {"sh", "-c", [[test -e "$0" || exit
    for need; do test "$need" -nt "$0" && exit 1; done; exit 0]], rule.name}
  for i, need in ipairs(rule.needs) do command[4 + i] = need end
  return not rule.phony and process.run(command) == 0
end

-- Runs the lines of a recipe. What they print is printed when all have ended.
local function run_recipe(rule)
  local names = {["$"] = "$", ["@"] = rule.name, ["<"] = rule.needs[1] or "",
    ["^"] = table.concat(rule.needs, " ")}
  local all, failure = {}, nil
  for _, line in ipairs(rule.recipe) do
    local silent, text = line:match "^(@?)(.*)"
    text = text:gsub("%$([$@<^])", names)
    if silent == "" then table.insert(all, text .. "\n") end
    local code, out, rest = process.run {"sh", "-c", "exec 2>&1\n" .. text}
    table.insert(all, code and out or rest or "")
    if code ~= 0 then
      failure = ("[%s] %s"):format(rule.name, not code and out or
        code > 0 and "Error " .. code or "Signal " .. -code)
      break
    end
  end
  io.write(table.concat(all))
  io.flush()
  if failure then error(failure, 0) end
end

-- Builds one target, after what it needs; true if there was anything to do.
local function build(rule, task_of, places)
  local changed = false
  for _, need in ipairs(rule.needs) do task_of(need) end -- all at a time
  for _, need in ipairs(rule.needs) do
    local task = task_of(need)
    if task and task:await() then changed = true end
  end
  places:send(true)                    -- waits while N are at work
  local ok, result = pcall(function()
    if not changed and is_up_to_date(rule) then return false end
    run_recipe(rule)
    return true
  end)
  places:try_receive()
  if ok then return result end
  casting.shield(function()            -- half a file must not pass for a whole
    if is_up_to_date(rule) then os.remove(rule.name) end
  end)
  error(result, 0)
end

local options, goals, i = {f = "Makefile", j = "1"}, {}, 1
while arg[i] do
  local letter, value = arg[i]:match "^%-([fj])(.*)"
  if not letter then goals[#goals + 1] = arg[i] end
  if value == "" then i = i + 1 end
  if letter then options[letter] = value ~= "" and value or arg[i] or "" end
  i = i + 1
end
local jobs = tonumber(options.j)
if not jobs or jobs < 1 or jobs % 1 ~= 0 then fail "-j needs a number" end

local rules, first = read(options.f)
if #goals == 0 then goals[1] = first or fail "No targets" end
for _, name in ipairs(goals) do check(rules, name, {}, "you") end

-- An error in any task, that of the signals included, cancels all the others;
-- process.run kills its program when it is cancelled, and the scope returns
-- when all have ended.
local signals = assert(process.signals("HUP", "INT", "TERM"))
local places, tasks = casting.channel(jobs), {}
local ok, failure = pcall(casting.scope, function(scope)
  local function task_of(name)
    if rules[name] and not tasks[name] then
      tasks[name] = scope:spawn(build, rules[name], task_of, places)
    end
    return tasks[name]
  end
  scope:spawn(function()
    local signal = signals:receive()
    if signal then error(signal, 0) end
  end)
  for _, name in ipairs(goals) do task_of(name) end
  for _, name in ipairs(goals) do
    if not (tasks[name] and tasks[name]:await()) then
      print(("make: '%s' is up to date."):format(name))
    end
  end
  signals:close()
end)
if not ok then
  local e = tostring(failure.error)
  fail(e, NUMBERS[e] and 128 + NUMBERS[e])
end
