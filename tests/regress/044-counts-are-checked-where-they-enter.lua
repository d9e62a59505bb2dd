-- casting.all{n = -3, f} returned -3 results from C, which crashed the process;
-- map{n = -1} never ended. Each number that says how many is checked where it
-- enters, also one that an __index gives only after the check.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function f() return 1 end
local nan, huge = 0 / 0, math.huge
-- Of each kind one at least; `whole` says whether math.huge is one of them.
local function bad_counts(whole)
  return {-1, -3, -2 ^ 40, 0.5, nan, -huge, whole and -1 or huge, "1", "x", {},
    f, true, -1e300}
end

local function refused(function_name, argument, words, call, ...)
  local ok, e = pcall(call, ...)
  local start = ("bad argument #%d to '%s' ("):format(argument, function_name)
  assert(not ok, function_name .. ": not refused")
  assert(type(e) == "string" and e:find(start, 1, true), e)
  for _, word in ipairs(words) do assert(e:find(word, 1, true), e) end
end

-- A table of which n can be read once; then it is another one.
local function changing(first, later)
  local reads = 0
  return setmetatable({}, {__index = function(_, k)
    if k ~= "n" then return f end
    reads = reads + 1
    return reads == 1 and first or later
  end})
end

local function try()
  local session = casting.session()
  local ch = casting.channel()

  for _, n in ipairs(bad_counts()) do
    for _, name in ipairs {"all", "race"} do
      refused(name, 1, {"n must be an integer"}, casting[name], {n = n, f})
      refused(name, 1, {"n must be an integer"}, casting[name],
        setmetatable({}, {__index = function(_, k)
          return k == "n" and n or f
        end}))
    end
    refused("map", 1, {"n must be an integer"}, casting.map, {n = n}, f)
    refused("map", 3, {"sessions", "n must be an integer"}, casting.map, {1}, f,
      {sessions = {n = n, session}})
    for _, name in ipairs {"window", "batch"} do
      refused("map", 3, {name}, casting.map, {1}, f, {[name] = n})
      refused("map", 3, {name}, casting.map, {1}, f,
        setmetatable({}, {__index = {[name] = n}}))
    end
    if type(n) ~= "table" then
      refused("map", 3, {"sessions"}, casting.map, {1}, f, {sessions = n})
    end
    refused("supervisor", 1, {"child 'a'", "args", "n must be an integer"},
      casting.supervisor, {children = {{id = "a", start = f, args = {n = n}}}})
    refused("supervisor", 1, {"children", "n must be an integer"},
      casting.supervisor, {children = {n = n}})
    refused("supervisor", 1, {"child 'a': child 'b'", "args"},
      casting.supervisor, {children = {{id = "a", supervisor = {
        children = {{id = "b", start = f, args = {n = n}}}}}}})
  end
  for _, n in ipairs(bad_counts(true)) do
    if type(n) ~= "string" or not tonumber(n) then
      refused("channel", 1, {}, casting.channel, n)
      refused("named", 2, {}, casting.named, "044", n)
      refused("report", 1, {}, casting.report, n)
    end
    refused("supervisor", 1, {"intensity"}, casting.supervisor, {intensity = n})
    for _, name in ipairs {"memory", "tasks"} do
      refused("session", 1, {name}, casting.session, {[name] = n})
      refused("supervisor", 1, {"child 'a'", "session: " .. name},
        casting.supervisor,
        {children = {{id = "a", start = f, session = {[name] = n}}}})
    end
  end
  for _, n in ipairs {0, 1025, 1e10} do
    refused("threads", 1, {}, casting.threads, n)
    refused("threads", 2, {}, casting.threads, 1, n)
  end
  for _, k in ipairs {0, -1, 65537, 1.5, huge} do
    refused("select", 1, {"65536"}, casting.select, {[k] = ch})
  end
  for _, id in ipairs {nan, {}, f, true} do
    refused("supervisor", 1, {"id must be"}, casting.supervisor,
      {children = {{id = id, start = f}}})
  end
  refused("map", 3, {"sessions"}, casting.map, {1}, f, {sessions = 1e9})

  -- Too many to return.
  refused("all", 1, {"too many"}, casting.all,
    setmetatable({n = 1000000}, {__index = function() return f end}))
  refused("supervisor", 1, {"child 'a'", "too many"}, casting.supervisor,
    {children = {{id = "a", start = f, args = {n = 1e7}}}})

  -- What was checked is what counts.
  assert(select("#", casting.all(changing(2, -3))) == 2)
  assert(select("#", casting.race(changing(2, -3))) == 2)
  assert(casting.map(changing(2, -3), function() return 1 end).n == 2)
  local reads = 0
  local list = setmetatable({n = 1}, {__index = function()
    reads = reads + 1
    return reads == 1 and f or "no task"
  end})
  assert(casting.all(list) == 1)

  -- A supervisor that contains itself.
  local spec = {id = "a"}
  spec.supervisor = {children = {spec}}
  refused("supervisor", 1, {"too deep"}, casting.supervisor, spec.supervisor)
  local sup = casting.supervisor {children = {}}
  refused("start_child", 2, {"child 'x'", "args"}, sup.start_child, sup,
    {id = "x", start = f, args = {n = -1}})
  refused("start_child", 1, {"id must be"}, function()
    return (sup:start_child {id = nan, start = f})
  end)
  assert(#sup:which_children() == 0 and sup:stop())
  assert(session:close())
  return "done"
end

assert(try() == "done")
assert(casting.spawn(try):await() == "done")
