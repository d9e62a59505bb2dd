-- childspec.lua - what a supervisor and its children are to be: checked, and
-- completed with the defaults.
-- SPDX-License-Identifier: MIT
--
-- Checking is done by who calls, so that a mistake is found in his line; the
-- supervisor gets tables with every field in place.

local error, getmetatable, ipairs, pairs, tostring, type =
  error, getmetatable, ipairs, pairs, tostring, type

local Spec = {}

-- The default comes first.
local STRATEGIES = {"one_for_one", "one_for_all", "rest_for_one"}
local RESTARTS = {"permanent", "transient", "temporary"}
local AUTO = {"never", "any_significant", "all_significant"}

local SUPERVISOR = {strategy = true, intensity = true, period = true,
  children = true, auto_shutdown = true, name = true, events = true,
  detached = true}
local CHILD = {id = true, start = true, supervisor = true, args = true,
  restart = true, shutdown = true, significant = true, session = true}

-- For checked.lua.
local function bad(where, what)
  error({argument = 1, text = where .. what}, 0)
end

local function check_fields(t, known, where)
  for k in pairs(t) do
    if not known[k] then bad(where, "unknown field '" .. tostring(k) .. "'") end
  end
end

local function check_word(v, words, where, name)
  if v == nil then return words[1] end
  local list = ""
  for i, word in ipairs(words) do
    if v == word then return v end
    list = list .. (i > 1 and ", " or "") .. word
  end
  bad(where, name .. " must be one of " .. list .. ", got " .. tostring(v))
end

local function check_number(v, default, where, name, least)
  if v == nil then return default end
  if type(v) ~= "number" or v ~= v or v < least then
    bad(where, name .. " must be a number, " .. least .. " or more, got " ..
      tostring(v))
  end
  return v
end

local function check_args(args, where)
  if args == nil then return {n = 0} end
  if type(args) ~= "table" then
    bad(where, "args must be a list, got " .. type(args))
  end
  local copy = {n = args.n or #args}
  for i = 1, copy.n do copy[i] = args[i] end
  return copy
end

local function check_start(spec, where)
  if spec.supervisor ~= nil then
    if spec.start ~= nil or spec.args ~= nil then
      bad(where, "a supervisor has neither start nor args")
    end
    return
  end
  if type(spec.start) ~= "function" and type(spec.start) ~= "string" then
    bad(where, "start must be a function or source text, got " ..
      type(spec.start))
  end
end

-- `auto` is the supervisor's auto_shutdown.
function Spec.child(spec, auto, where)
  where = where or ""
  if type(spec) ~= "table" then
    bad(where, "a child must be a table, got " .. type(spec))
  end
  local id = spec.id
  if type(id) ~= "string" and type(id) ~= "number" then
    bad(where, "id must be a string or a number, got " .. type(id))
  end
  where = where .. "child '" .. tostring(id) .. "': "
  check_fields(spec, CHILD, where)
  check_start(spec, where)
  local child = {id = id, start = spec.start,
    args = check_args(spec.args, where)}
  child.restart = check_word(spec.restart, RESTARTS, where, "restart")
  child.shutdown = check_number(spec.shutdown, spec.supervisor and 1 / 0 or 5,
    where, "shutdown", 0)
  if spec.session ~= nil and type(spec.session) ~= "table" then
    bad(where, "session must be a table of options, got " ..
      type(spec.session))
  end
  child.session = spec.session
  child.significant = spec.significant and true or false
  if child.significant and child.restart == "permanent" then
    bad(where, "a permanent child cannot be significant")
  elseif child.significant and auto == "never" then
    bad(where, "significant means nothing while auto_shutdown is 'never'")
  end
  if spec.supervisor ~= nil then
    child.supervisor = Spec.supervisor(spec.supervisor, where)
  end
  return child
end

local function is_channel(v)
  return getmetatable(v) == "casting.channel"
end

function Spec.supervisor(spec, where)
  where = where or ""
  if type(spec) ~= "table" then
    bad(where, "a supervisor must be a table, got " .. type(spec))
  end
  check_fields(spec, SUPERVISOR, where)
  local s = {children = {}, name = spec.name, events = spec.events,
    detached = spec.detached and true or false}
  s.strategy = check_word(spec.strategy, STRATEGIES, where, "strategy")
  s.auto_shutdown = check_word(spec.auto_shutdown, AUTO, where, "auto_shutdown")
  s.intensity = check_number(spec.intensity, 1, where, "intensity", 0)
  s.period = check_number(spec.period, 5, where, "period", 0)
  if s.period <= 0 then bad(where, "period must be more than 0") end
  if s.name ~= nil and type(s.name) ~= "string" then
    bad(where, "name must be a string, got " .. type(s.name))
  end
  if s.events ~= nil and not is_channel(s.events) then
    bad(where, "events must be a channel, got " .. type(s.events))
  end
  local list, ids = spec.children or {}, {}
  if type(list) ~= "table" then
    bad(where, "children must be a list, got " .. type(list))
  end
  for i = 1, #list do
    local child = Spec.child(list[i], s.auto_shutdown, where)
    if ids[child.id] then
      bad(where, "two children have the id '" .. tostring(child.id) .. "'")
    end
    ids[child.id] = true
    s.children[i] = child
  end
  return s
end

return Spec
