-- caller.lua - calls every function and method of casting with random
-- arguments, each in a task of its own and under a deadline.
-- SPDX-License-Identifier: MIT
--
-- The functions are found in the module's table, in casting.net, in the
-- metatables of handles and in those of the objects whose classes are written
-- in Lua, so what the library gets is called without a word here. Arguments are
-- of all types, many of them nasty; tables have fields that some function
-- knows.
--
-- A call may return, meet its deadline, or raise an error. An error must be
-- what an argument has raised on purpose, or a text that names a function and
-- what is wrong (see `judge`). A task that does not end is a violation.

local casting = require "casting"
local kit = require "kit"
local sockets = require "sockets"

local caller = {}

local WIDTH = 32 -- calls at a time
local PATIENCE = 30 * (tonumber(os.getenv "CASTING_TIME_FACTOR") or 1)
local FRESH = 20 -- rounds after which all handles are new ones

local huge, nan = math.huge, 0 / 0

-- -- what there is to call ----------------------------------------------------

-- What only the debug library reaches, and trusts who calls it.
local UNREACHABLE = {__gc = true}

local function add(list, kind, members)
  for name, f in pairs(members) do
    if type(f) == "function" and not UNREACHABLE[name] then
      list[#list + 1] = {name = name, f = f, kind = kind}
    end
  end
end

-- `objects`: one of each kind. Sorted, so that a seed means the same each time.
-- Returns all, and those that may be arguments.
local function discover(objects)
  local list, others = {}, {}
  add(list, nil, casting)
  local n = #list
  add(list, nil, sockets.net)
  for i = n + 1, #list do list[i].is_net = true end
  for kind, object in pairs(objects) do
    local meta = debug.getmetatable(object)
    add(list, kind, meta)
    if type(meta.__index) == "table" and meta.__index ~= meta then
      add(list, kind, meta.__index)
    end
  end
  table.sort(list, function(a, b)
    return (a.kind or "") .. "." .. a.name < (b.kind or "") .. "." .. b.name
  end)
  for _, entry in ipairs(list) do
    if not entry.is_net then others[#others + 1] = entry end
  end
  return list, others
end

-- -- arguments ----------------------------------------------------------------

local PURPOSE = "on purpose"

local function raise() error(PURPOSE, 0) end

-- A table whose metamethods do what they should not.
local function awkward(random)
  local t = {}
  local mean = {raise, function() return nil end, function() return -1 end,
    function() return nan end, function() return "x" end,
    function() return {} end, function() casting.sleep(0) return 1 end}
  local meta = {}
  for _, name in ipairs {"__index", "__len", "__call", "__tostring", "__pairs",
    "__save", "__eq", "__name", "__metatable", "__close", "__lt", "__concat",
    "__unm", "__ipairs", "__mode"} do
    if random(5) == 1 then meta[name] = mean[random(#mean)] end
  end
  if random(6) == 1 then
    meta.__metatable = ({"casting.task", "casting.channel", "casting.session",
      "casting.message", "casting.scope"})[random(5)]
  end
  if random(6) == 1 then meta.__name = ("x\0"):rep(random(300)) end
  if random(6) == 1 then meta.__mode = ({"k", "v", "kv"})[random(3)] end
  if random(8) == 1 then meta.__save = function(v) return v end end
  return setmetatable(t, meta)
end

local FIELDS = {"n", "timeout", "name", "libs", "init", "memory", "cpu",
  "tasks", "sessions", "window", "batch", "progress", "fail_fast", "strategy",
  "intensity", "period", "children", "auto_shutdown", "events", "detached",
  "id", "start", "args", "restart", "shutdown", "significant", "session",
  "supervisor", "error", "traceback", "index", "reason"}
for _, name in ipairs(sockets.FIELDS) do FIELDS[#FIELDS + 1] = name end

local NUMBERS = {0, 1, 1, 2, 3, 5, -1, -2, 7, 0.5, -0.5, 1e-9, 0.001, 100, 255,
  1024, 65536, 2 ^ 31, 2 ^ 31 - 1, -2 ^ 31, 2 ^ 32, 2 ^ 53, -2 ^ 53, 2 ^ 63,
  -2 ^ 63, 1e10, 1e18, 1e300, -1e300, huge, -huge, nan}

local STRINGS = {"", "x", "1", "-1", "1e10", "0x10", "nan", "all", "string",
  "timeout", "closed", "permanent", "one_for_all", "temporary", "a\0b", "\0",
  "\255\254", "%s%d%n", "return ...", "return 1", "error('on purpose', 0)",
  "require('casting').sleep(0.001)", "x x x", "\27Lua", ("x"):rep(5000),
  ("y\0"):rep(300)}

-- Errors may name this function; it may stand under two names.
local function may_name(uses, entry)
  uses[entry.name] = true
  uses[entry.name:gsub("^__", "") .. ""] = true
end

-- Pure generators get (random); all of them give one value.
local function maker(random, pool, uses, entries)
  local value

  local function fields(depth)
    local t = random(3) == 1 and awkward(random) or {}
    for _ = 1, random(4) - 1 do
      rawset(t, FIELDS[random(#FIELDS)], value(depth + 1))
    end
    for i = 1, random(4) - 1 do rawset(t, i, value(depth + 1)) end
    return t
  end

  local function chain()
    local t = {}
    local first = t
    for _ = 1, 300 do
      t[1] = {}
      t = t[1]
    end
    t[1] = random(2) == 1 and first or nil
    return first
  end

  local functions = {
    function() end,
    function(...) return ... end,
    function() return 1 end,
    raise,
    function() error({purpose = true}) end,
    function() error(nil) end, -- luacheck: ignore
    function() error(io and io.stdout) end, -- not every session has it
    function() error(setmetatable({}, {__tostring = raise})) end,
    function()
      error(setmetatable({}, {__tostring = function()
        casting.sleep(0)
        return PURPOSE
      end}))
    end,
    function() casting.sleep(0.001) return 2 end,
    function() casting.channel():receive() end,
    function() return casting.self() end,
    function() return setmetatable({}, {__save = raise}) end,
    function() return coroutine and coroutine.create(raise) end,
    function(a) -- a scope's body
      if type(a) == "table" and rawget(a, "group") then a:spawn(raise) end
    end,
    os.clock, coroutine.yield, coroutine.running,
  }

  local kinds = {
    function() return nil end,
    function() return random(2) == 1 end,
    function() return NUMBERS[random(#NUMBERS)] end,
    function() return NUMBERS[random(#NUMBERS)] end,
    function() return random(10) end,
    function() return STRINGS[random(#STRINGS)] end,
    function() return functions[random(#functions)] end,
    function() return functions[random(#functions)] end,
    function()
      local entry = entries[random(#entries)]
      may_name(uses, entry)
      return entry.f
    end,
    function() return pool[random(#pool)] end,
    function() return pool[random(#pool)] end,
    function() return sockets.word(random) end,
    function() return sockets.address(random) end,
    function() return awkward(random) end,
    function() return chain() end,
    function() return coroutine.create(functions[random(4)]) end,
    function() return coroutine.wrap(functions[random(4)]) end,
    function() return io.stdout end,
    function()
      local file = io.tmpfile()
      file:close()
      return file
    end,
    function()
      if newproxy then return newproxy(true) end -- luacheck: ignore
      return debug.upvalueid(chain, 1)
    end,
  }

  -- Tables that are right, but for what a random value has come to stand in.
  local function one_of(list) return list[random(#list)] end
  local function list_of(make, most)
    local t = {}
    for i = 1, random(most + 1) - 1 do t[i] = make() end
    if random(6) == 1 then t.n = random(2) == 1 and #t or value(4) end
    return t
  end
  local function flaw(t)
    if random(3) > 1 then return t end
    local keys = {}
    for k in next, t do keys[#keys + 1] = k end
    local k = random(2) == 1 and keys[random(#keys + 1)] or
      FIELDS[random(#FIELDS)]
    t[k or 1] = value(3)
    if random(6) == 1 then return setmetatable({}, {__index = t}) end
    return t
  end
  local function work() return functions[random(#functions)] end
  local function session_options()
    return flaw {name = random(3) == 1 and "random" or nil,
      memory = one_of {false, false, 1e6, 1e5, 20000, huge} or nil,
      tasks = one_of {false, 1, 3} or nil,
      cpu = one_of {false, 0.01, huge} or nil,
      libs = one_of {"all", {"string", "table"}, {}},
      init = random(4) == 1 and work() or nil}
  end
  local supervisor_options
  local function child(depth)
    local t = {id = one_of {"a", "b", "c", 1, 2},
      restart = one_of {"permanent", "transient", "temporary"},
      shutdown = one_of {0, 0.001, 5}, args = list_of(value, 3)}
    if random(4) == 1 then t.session = session_options() end
    if depth < 3 and random(5) == 1 then
      t.supervisor, t.args = supervisor_options(depth + 1), nil
    else
      t.start = one_of {work(), work(), "require('casting').sleep(0.01)"}
    end
    return flaw(t)
  end
  function supervisor_options(depth)
    depth = depth or 0
    return flaw {strategy = one_of {"one_for_one", "one_for_all",
        "rest_for_one"},
      intensity = random(3) - 1, period = one_of {0.1, 5},
      events = casting.channel(1),
      children = list_of(function() return child(depth) end, 3)}
  end
  local function map_options()
    return flaw {sessions = one_of {1, 2, list_of(function()
        return pool[random(#pool)]
      end, 2)}, window = random(4), batch = random(4),
      progress = random(3) == 1 and work() or nil}
  end
  local function member()
    return random(2) == 1 and work() or pool[random(#pool)]
  end
  local function case()
    local ch = one_of {casting.channel(1), casting.channel(),
      pool[random(#pool)]}
    return one_of {false, ch, {ch, value(3), value(3)},
      sockets.case(pool[random(#pool)], one_of {"r", "w"})}
  end
  local function cases()
    local t = list_of(case, 4)
    t.timeout = one_of {0, 0.001, false} or nil
    return flaw(t)
  end
  local right = {session_options, child, supervisor_options, map_options, cases,
    function() return sockets.options(random, flaw) end,
    function() return flaw(list_of(member, 4)) end,
    function() return flaw(list_of(value, 6)) end}

  function value(depth)
    depth = depth or 0
    if depth == 0 and random(4) == 1 then return right[random(#right)](0) end
    if depth < 4 and random(depth == 0 and 3 or 5) == 1 then
      return fields(depth)
    end
    return kinds[random(#kinds)]()
  end
  return value
end

-- -- handles ------------------------------------------------------------------

-- One of each kind that has methods.
local function samples()
  local scope
  local _, failure = pcall(casting.scope, function(s)
    scope = s
    raise()
  end)
  local task = casting.spawn(function() end)
  task:cancel()
  local _, cancelled = task:join()
  local all = {channel = casting.channel(), task = task,
    session = casting.session {name = "sample"}, message = casting.pack(1),
    scope = scope, failure = failure, cancelled = cancelled,
    supervisor = casting.supervisor {name = "sample", children = {}}}
  sockets.samples(function(kind, socket) all[kind] = socket end)
  return all
end

local function idle() require("casting").sleep(huge) end

-- Values that calls share; what they do to them is part of the matter. by[kind]
-- are those with that kind's methods.
local function new_pool()
  local all, by = {}, {}
  local function put(kind, v)
    by[kind] = by[kind] or {}
    table.insert(by[kind], v)
    all[#all + 1] = v
  end
  for kind, v in pairs(samples()) do put(kind, v) end
  for _, capacity in ipairs {0, 1, 3, huge} do
    put("channel", casting.channel(capacity))
  end
  put("channel", casting.after(0.001))
  put("channel", casting.every(0.001))
  local closed = casting.channel()
  closed:close()
  put("channel", closed)
  local session = casting.session {name = "pool"}
  put("session", session)
  put("session", casting.session {name = "small", tasks = 2, memory = 1e6,
    cpu = 0.5})
  local gone = casting.session {name = "gone"}
  gone:close()
  put("session", gone)
  for _, body in ipairs {idle, raise, function() return 1 end} do
    put("task", casting.spawn(body))
  end
  put("task", session:spawn(idle))
  put("task", session:spawn("error('on purpose', 0)"))
  put("message", casting.pack({1}, "x", nil))
  put("message", casting.pack(function() return 1 end))
  put("supervisor", casting.supervisor {name = "pool", children = {
    {id = "a", start = idle}, {id = 1, start = idle, restart = "temporary"}}})
  local pool = {all = all, by = by}
  pool.port, pool.udp_port = sockets.fill(put)
  return pool
end

local function drop_pool(pool)
  for _, s in ipairs(pool.by.supervisor) do pcall(s.stop, s, 0) end
  for _, s in ipairs(pool.by.session) do pcall(s.close, s, 0) end
  for _, t in ipairs(pool.by.task) do pcall(t.cancel, t) end
  for _, c in ipairs(pool.by.channel) do pcall(c.close, c) end
  for _, v in ipairs(pool.all) do sockets.dispose(v) end
end

-- What a call has made and nobody needs.
local function dispose(...)
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    sockets.dispose(v)
    local kind = type(v) == "userdata" and debug.getmetatable(v)
    kind = kind and rawget(kind, "__metatable")
    if kind == "casting.session" then
      pcall(v.close, v, 0)
    elseif kind == "casting.task" then
      pcall(v.cancel, v)
    elseif type(v) == "table" and
        getmetatable(v) == "casting.supervisor" then
      pcall(rawget(v, "task").cancel, rawget(v, "task"), "shutdown")
    end
  end
  return ...
end

-- -- judging ------------------------------------------------------------------

-- What frames another error, which is judged then.
local FRAMES = {"^init of session '.-' failed: ",
  "^supervisor '.-': child '.-' did not start: ",
  "^supervisor: child '.-' did not start: ",
  "^map: a worker was stopped: "}

-- What is told in these words, without a function: conditions that the manual
-- names, and what Lua itself says of functions that were passed.
local CONDITIONS = {"^not enough memory$", "has used up its .* of cpu$",
  "^attempt to yield", "^a task cannot join itself$",
  "^a task cannot await itself$", "^cannot yield", "C stack overflow",
  "^error in __", "^cannot resume", "^cannot receive ",
  "^a scope cannot leave its session$",
  "^module '.-' not found:", "^error loading module '"} -- as Lua's require

-- nil if the error is a fair one; else what is wrong with it. `names` has the
-- functions that may be named.
local function judge(e, names)
  if type(e) ~= "string" then return nil end -- raised on purpose, or a class
  if e == "<no error object>" or e == "nil" then return nil end -- error(nil)
  if e:find(PURPOSE, 1, true) then return nil end
  -- Lua puts the place of whoever has called a function in C, as what
  -- coroutine.wrap has made, or coroutine.yield.
  if e:find "^casting/.-: cannot resume dead coroutine$" or
      e:find "^casting/.-: attempt to yield across" then
    return nil
  end
  if e:find "^casting/" then return "it tells of a line of the library" end
  local text = e:gsub("^[^\n:]*:%d+: ", "", 1)
  for _, frame in ipairs(FRAMES) do
    local _, last = text:find(frame)
    if last then return judge(text:sub(last + 1), names) end
  end
  for _, condition in ipairs(CONDITIONS) do
    if text:find(condition) then return nil end
  end
  if text:find "^cannot send a .- %(.+%)" then return nil end
  local name = text:match "^bad argument #%d+ to '([%w_]+)' %(.+%)$" or
    text:match "^calling '([%w_]+)' on bad self %(.+%)$" or
    text:match "^([%w_]+): .+"
  if not name then return "it names no function" end
  if not names[name] then return "it names another function" end
  return nil
end

-- -- calls --------------------------------------------------------------------

local function describe(v, depth)
  if type(v) == "string" then return ("%q"):format(v:sub(1, 40)) end
  if type(v) ~= "table" then
    local meta = type(v) == "userdata" and debug.getmetatable(v)
    return meta and tostring(rawget(meta, "__name")) or
      type(v) == "userdata" and "userdata" or tostring(v)
  end
  if depth > 3 then return "{...}" end
  local words = {}
  for k, member in next, v do
    if #words == 6 then break end
    words[#words + 1] = (type(k) == "string" and k or "[" .. describe(k, 4) ..
      "]") .. " = " .. describe(member, depth + 1)
  end
  local meta = debug.getmetatable(v)
  if meta then words[#words + 1] = "(metatable)" end
  return "{" .. table.concat(words, ", ") .. "}"
end

local function show(call)
  local words = {}
  for i = 1, call.n do words[i] = describe(call[i], 0) end
  local entry = call.entry
  return (entry.kind and entry.kind .. "." or "") .. entry.name .. "(" ..
    table.concat(words, ", ") .. ")"
end

local unpack = table.unpack or unpack -- luacheck: ignore

-- A random call: the arguments, n of them; names of functions that its errors
-- may name.
local function draw(random, entries, others, pool)
  local uses = {}
  local value = maker(random, pool.all, uses, others)
  local entry = entries[random(#entries)]
  local call = {entry = entry, n = 0, names = uses}
  may_name(uses, entry)
  -- What the functions among the arguments call.
  uses.sleep, uses.receive, uses.spawn = true, true, true
  if entry.kind and random(20) > 1 then
    local some = pool.by[entry.kind]
    call.n = 1
    call[1] = some[random(#some)]
  end
  for _ = 1, random(5) - 1 do
    call.n = call.n + 1
    call[call.n] = value()
  end
  sockets.correct(entry, call, random, pool)
  if entry.is_net then sockets.tame(entry.name, call, random, pool) end
  return call
end

-- In a task of its own: pcall may be the caller, or a function in Lua.
local function perform(call, seconds, direct)
  local f = call.entry.f
  local function try()
    if direct then return dispose(pcall(f, unpack(call, 1, call.n))) end
    return dispose(pcall(function()
      return f(unpack(call, 1, call.n))
    end))
  end
  if not seconds then return try() end
  local function unwrap(in_time, ...)
    if in_time then return ... end
    return true
  end
  return unwrap(casting.with_timeout(seconds, try))
end

local function check(call, ok, e)
  if ok then return end
  local problem = judge(e, call.names)
  if problem then
    kit.violation("%s raises %q: %s", show(call), tostring(e), problem)
  end
end

local function finish(task, call)
  local got, ok, e = task:join(PATIENCE)
  if got == nil then
    io.stderr:write(casting.report(100), "\n")
    kit.violation("%s does not end: it is %s\n%s", show(call), task:status(),
      tostring((task:traceback())))
  end
  if got then return check(call, ok, e) end
  -- The task itself was cancelled, or linked to one that has failed.
  if not casting.is_cancelled(ok) then check(call, false, ok) end
end

-- Performs so many calls; returns how many functions were called, and how many
-- calls have raised an error.
function caller.run(seed, calls)
  local random = kit.generator(seed)
  local entries, others = discover(samples())
  local sink = casting.channel(huge)
  local called, pool, round = {}, nil, 0
  while calls > 0 do
    if round % FRESH == 0 then
      if pool then drop_pool(pool) end
      pool = new_pool()
    end
    round = round + 1
    casting.on_error(sink)
    casting.threads(1, 8)
    local tasks, list = {}, {}
    for i = 1, math.min(WIDTH, calls) do
      local call = draw(random, entries, others, pool)
      local seconds = ({0, 0.001, 0.005, 0.05})[random(4)]
      called[call.entry] = true
      list[i] = call
      tasks[i] = casting.spawn(perform, call, seconds, random(2) == 1)
      if random(10) == 1 then tasks[i]:cancel("at random") end
    end
    for i, task in ipairs(tasks) do finish(task, list[i]) end
    calls = calls - #tasks
    while sink:try_receive() do end -- luacheck: ignore
    if random(10) == 1 then collectgarbage() end
  end
  if pool then drop_pool(pool) end
  sockets.clean()
  local n = 0
  for _ in pairs(called) do n = n + 1 end
  casting.on_error(sink) -- for what comes until the end
  return n, #entries
end

return caller
