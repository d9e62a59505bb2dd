-- stream.lua - casting.stream: items that go through functions, many at once.
-- SPDX-License-Identifier: MIT
--
-- A pipeline is a description, the last of its stages; each stage knows the one
-- before it. Nothing happens before one of each, collect, fold and into is
-- called (stream_run.lua). What the program holds is an empty table; what is
-- kept of it is out of its reach.
--   is        "source", "map", "filter", "batch" or "take"
--   before    the stage before; nil: it is the source

local _, internal = ...
local error, setmetatable, type = error, setmetatable, type
local Check = internal.check
local bad, got, kind = internal.bad, internal.got, internal.kind

local Pipeline = {}
local Class = {__name = "casting.pipeline", __metatable = "casting.pipeline",
  __index = Pipeline}
local inners = setmetatable({}, {__mode = "k"})

local MOST = 1000000000 -- of whatever is counted

local function check_self(self, what)
  local stage
  if type(self) == "table" then stage = inners[self] end
  if not stage then bad(1, what, "pipeline expected, got " .. kind(self)) end
  return stage
end

local function new(stage)
  local pipeline = setmetatable({}, Class)
  inners[pipeline] = stage
  return pipeline
end

-- -- stages -------------------------------------------------------------------

local KNOWN = {sessions = true, tasks = true, ordered = true, window = true,
  batch = true, progress = true}

local function read_count(options, name, default)
  local v = options[name]
  if v == nil then return default end
  if not Check.is_integer(v, 1, MOST) then
    bad(3, "map", name .. " must be an integer from 1 on, " .. MOST ..
      " at most, got " .. got(v))
  end
  return v
end

local function read_options(options)
  options = Check.options(3, "map", options, KNOWN)
  local o = {tasks = read_count(options, "tasks", 1),
    window = read_count(options, "window"),
    batch = read_count(options, "batch"),
    ordered = options.ordered, progress = options.progress}
  local problem = Check.mismatch("ordered", o.ordered, "boolean") or
    Check.mismatch("progress", o.progress, "function")
  if problem then bad(3, "map", problem) end
  if o.tasks > 100000 then bad(3, "map", "tasks: 100000 at most") end
  o.ordered = o.ordered ~= false
  o.sessions = internal.map_sessions(3, "map", options.sessions, 0)
  return o
end

function Pipeline:map(f, options)
  local before = check_self(self, "map")
  Check.expect(2, "map", f, "function")
  local o = read_options(options)
  if o.sessions.n > 0 then
    local crosses, why = internal.spawnable(f)
    if not crosses then bad(2, "map", why) end
    Check.crosses(2, "map", f, o.sessions.n * o.tasks)
  end
  return new {is = "map", before = before, f = f, options = o}
end

function Pipeline:filter(f)
  local before = check_self(self, "filter")
  Check.expect(2, "filter", f, "function")
  return new {is = "filter", before = before, f = f}
end

local function check_count(what, n, least)
  if not Check.is_integer(n, least, MOST) then
    bad(2, what, "an integer from " .. least .. " on expected, " .. MOST ..
      " at most, got " .. got(n))
  end
end

function Pipeline:batch(n)
  local before = check_self(self, "batch")
  check_count("batch", n, 1)
  return new {is = "batch", before = before, size = n}
end

function Pipeline:take(n)
  local before = check_self(self, "take")
  check_count("take", n, 0)
  return new {is = "take", before = before, size = n}
end

-- -- what runs it -------------------------------------------------------------

-- A function that returns the next items as a list with its n, in which there
-- may be nil; or nil at the end.
local function lister(pull, lists)
  if lists then
    return lists
  end
  local one = {n = 1}
  return function()
    local item = pull()
    if item == nil then return nil end
    one[1] = item
    return one
  end
end

function Pipeline:each(f)
  local stage = check_self(self, "each")
  Check.expect(2, "each", f, "function")
  return internal.stream_run(stage, function(pull, context, lists)
    local next_list, n = lister(pull, lists), 0
    while true do
      context.number = nil
      local list = next_list()
      if not list then return n end
      for i = 1, list.n do
        local item = list[i]
        if item ~= nil then
          n = n + 1
          context.number = n
          f(item, n)
        end
      end
    end
  end)
end

function Pipeline:collect()
  return internal.stream_run(check_self(self, "collect"),
    function(pull, _, lists)
      local next_list, all, n = lister(pull, lists), {}, 0
      while true do
        local list = next_list()
        if not list then return all end
        for i = 1, list.n do
          local item = list[i]
          if item ~= nil then
            n = n + 1
            all[n] = item
          end
        end
      end
    end)
end

function Pipeline:fold(f, value)
  local stage = check_self(self, "fold")
  Check.expect(2, "fold", f, "function")
  return internal.stream_run(stage, function(pull, context, lists)
    local next_list, n, value = lister(pull, lists), 0, value -- luacheck: ignore
    while true do
      context.number = nil
      local list = next_list()
      if not list then return value end
      for i = 1, list.n do
        local item = list[i]
        if item ~= nil then
          n = n + 1
          context.number = n
          value = f(value, item, n)
        end
      end
    end
  end)
end

function Pipeline:into(channel)
  local stage = check_self(self, "into")
  Check.expect(2, "into", channel, "channel")
  return internal.stream_run(stage, function(pull, context)
    local n = 0
    while true do
      local item = pull()
      if item == nil then return n end
      context.number = n + 1
      if not channel:send(item) then return n end
      context.number = nil
      n = n + 1
    end
  end)
end

-- Called when one is sent.
function Class.__save()
  error("a pipeline cannot leave its session", 0)
end

function Class:__tostring()
  local stage, text = check_self(self, "__tostring"), ""
  while stage.before do
    text = ":" .. stage.is .. text
    stage = stage.before
  end
  return "pipeline of " .. kind(stage.from) .. text
end

return function(source, state, control, closing)
  local is = kind(source)
  local n, problem
  if is == "table" then
    n, problem = Check.length(source)
    if problem then bad(1, "stream", problem) end
  elseif is ~= "function" and is ~= "channel" then
    bad(1, "stream", "list, iterator or channel expected, got " .. is)
  end
  if is ~= "function" then state, control, closing = nil, nil, nil end
  return new {is = "source", from = source, n = n, state = state,
    control = control, closing = closing}
end
