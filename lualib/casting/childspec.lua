-- childspec.lua - the specifications of supervisors and children, checked, and
-- completed with the defaults.
-- SPDX-License-Identifier: MIT
--
-- The task that calls checks them, so that an error names its line; the
-- supervisor gets tables in which every field is there. A specification may
-- have an __index, which may return another value each time: each field is read
-- once, and the value that was checked is the one that counts.
--
-- A place tells where a specification lies in the arguments of a call:
--   name, argument   the name of the function; the number of the argument
--   path             the children on the way to it, for messages
--   depth            how many supervisors it lies in

local _, internal = ...
local pairs, setmetatable, tostring, type = pairs, setmetatable, tostring, type
local Check, got, quote = internal.check, internal.got, internal.quote

local Spec = {}

local DEPTH = 30 -- of supervisors in each other

-- The default comes first.
local STRATEGIES = {"one_for_one", "one_for_all", "rest_for_one"}
local RESTARTS = {"permanent", "transient", "temporary"}
local AUTO = {"never", "any_significant", "all_significant"}

local SUPERVISOR = {strategy = true, intensity = true, period = true,
  children = true, auto_shutdown = true, name = true, events = true,
  detached = true}
local CHILD = {id = true, start = true, supervisor = true, service = true,
  args = true, restart = true, shutdown = true, significant = true,
  session = true}

local Place = {}
Place.__index = Place

function Spec.place(name, argument)
  return setmetatable({name = name, argument = argument, path = "", depth = 0},
    Place)
end

-- Raises an error about that place.
function Place:bad(what)
  internal.bad(self.argument, self.name, self.path .. what)
end

-- The place of a child there.
function Place:of_child(id)
  return setmetatable({name = self.name, argument = self.argument,
    path = self.path .. "child '" .. quote(id) .. "': ",
    depth = self.depth + 1}, Place)
end

function Place:check_fields(t, known)
  local key = Check.unknown(t, known)
  if key ~= nil then self:bad("unknown field '" .. quote(key) .. "'") end
end

-- One of the words; the first one by default.
function Place:word(v, words, name)
  if v == nil then return words[1] end
  local list = ""
  for i = 1, #words do
    if v == words[i] then return v end
    list = list .. (i > 1 and ", " or "") .. words[i]
  end
  self:bad(name .. " must be one of " .. list .. ", got " ..
    (type(v) == "string" and "'" .. quote(v) .. "'" or got(v)))
end

-- A value of that kind, or nil.
function Place:optional(v, expected, name)
  local problem = Check.mismatch(name, v, expected)
  if problem then self:bad(problem) end
  return v
end

function Place:boolean(v, name)
  return self:optional(v, "boolean", name) == true
end

-- Seconds, or another number that is not negative.
function Place:number(v, default, name)
  if v == nil then return default end
  if not Check.is_seconds(v) then
    self:bad(name .. " must be a number, 0 or more, got " .. got(v))
  end
  return v
end

-- An integer, or math.huge.
function Place:count(v, default, name)
  v = self:number(v, default, name)
  if v ~= 1 / 0 and not Check.is_integer(v, 0) then
    self:bad(name .. " must be an integer, or math.huge, got " .. got(v))
  end
  return v
end

-- A copy of the list, with its n; an empty one for nil. Without `holes` no item
-- may be nil, and the copy ends at the first one that is: the rest of a large n
-- is not looked at.
function Place:list(v, name, holes)
  if v == nil then return {n = 0} end
  if type(v) ~= "table" then
    self:bad(name .. " must be a list, got " .. got(v))
  end
  local n, problem = Check.length(v)
  if not n then self:bad(name .. ": " .. problem) end
  local copy = {n = n}
  if holes and not internal.room(n) then self:bad(name .. ": too many") end
  for i = 1, n do
    copy[i] = v[i]
    if copy[i] == nil and not holes then break end
  end
  return copy
end

-- Arguments, which must fit on a stack.
function Place:args(v)
  return self:list(v, "args", true)
end

-- A copy of the options of a child's session, whose name is the child's id by
-- default.
function Place:options(v, id)
  if v ~= nil and type(v) ~= "table" then
    self:bad("session must be a table of options, got " .. got(v))
  end
  local copy = {}
  for k, option in pairs(v or copy) do copy[k] = option end
  local by_id = copy.name == nil
  if by_id then copy.name = tostring(id) end
  local problem = internal.session_problem(copy)
  if not problem then return copy end
  if by_id and internal.session_problem {name = copy.name} then
    self:bad("id as the name of its session: " .. problem)
  end
  self:bad("session: " .. problem)
end

-- What the child runs; nil for a supervisor (`nested` is its specification) and
-- for a service.
function Place:start(spec, nested, service)
  local start = spec.start
  self:optional(service, "service", "service")
  if service ~= nil then
    if start ~= nil or spec.args ~= nil or nested ~= nil then
      self:bad("a service has neither start nor args nor supervisor")
    end
  elseif nested ~= nil then
    if start ~= nil or spec.args ~= nil then
      self:bad("a supervisor has neither start nor args")
    end
  elseif type(start) ~= "function" and type(start) ~= "string" then
    self:bad("start must be a function or source text, got " .. got(start))
  elseif type(start) == "string" then
    local problem = internal.source_problem(start)
    if problem then self:bad("start: " .. problem) end
  end
  return start
end

-- A child's specification. `auto` is the auto_shutdown of its supervisor.
function Spec.child(spec, auto, place)
  if type(spec) ~= "table" then
    place:bad("a child must be a table, got " .. got(spec))
  end
  local id = spec.id
  if type(id) ~= "string" and type(id) ~= "number" or id ~= id then
    place:bad("id must be a string or a number, got " ..
      got(id))
  end
  place = place:of_child(id)
  place:check_fields(spec, CHILD)
  local nested, service = spec.supervisor, spec.service
  local child = {id = id, start = place:start(spec, nested, service),
    service = service,
    restart = place:word(spec.restart, RESTARTS, "restart"),
    shutdown = place:number(spec.shutdown, nested ~= nil and 1 / 0 or 5,
      "shutdown"),
    session = place:options(spec.session, id),
    significant = place:boolean(spec.significant, "significant")}
  if nested == nil then child.args = place:args(spec.args) end
  if child.significant and child.restart == "permanent" then
    place:bad("a permanent child cannot be significant")
  elseif child.significant and auto == "never" then
    place:bad("significant means nothing while auto_shutdown is 'never'")
  end
  -- A nested supervisor's children are checked each.
  local crosses, why = internal.spawnable(child)
  if not crosses then place:bad(why) end
  if nested ~= nil then child.supervisor = Spec.supervisor(nested, place) end
  return child
end

-- A supervisor's specification.
function Spec.supervisor(spec, place)
  if type(spec) ~= "table" then
    if place.depth == 0 then
      place:bad("table of options expected, got " .. internal.kind(spec))
    end
    place:bad("supervisor must be a table of options, got " .. got(spec))
  elseif place.depth > DEPTH then
    place:bad("supervisors lie too deep in each other")
  end
  place:check_fields(spec, SUPERVISOR)
  local s = {name = spec.name, events = spec.events,
    detached = place:boolean(spec.detached, "detached"),
    strategy = place:word(spec.strategy, STRATEGIES, "strategy"),
    auto_shutdown = place:word(spec.auto_shutdown, AUTO, "auto_shutdown"),
    intensity = place:count(spec.intensity, 1, "intensity"),
    period = place:number(spec.period, 5, "period"),
    children = place:list(spec.children, "children")}
  if s.period <= 0 then place:bad("period must be more than 0") end
  place:optional(s.name, "string", "name")
  place:optional(s.events, "channel", "events")
  local ids = {}
  for i = 1, s.children.n do
    local child = Spec.child(s.children[i], s.auto_shutdown, place)
    if ids[child.id] then
      place:bad("two children have the id '" .. quote(child.id) .. "'")
    end
    ids[child.id] = true
    s.children[i] = child
  end
  return s
end

return Spec
