-- service.lua - casting.service: an object with methods, in a session.
-- SPDX-License-Identifier: MIT
--
-- The object is packed once, and kept with the service: so whoever has the
-- handle can have it served, a supervisor again and again. The task that serves
-- is service_keeper.lua.

local casting, internal = ...
local error, pcall, type = error, pcall, type
local bad, got, kind = internal.bad, internal.got, internal.kind
local Check = internal.check
local insist, shield = internal.insist, internal.shield

local CONCURRENT, CAPACITY = 10000, 1000 -- calls at once; casts that wait

-- -- arguments ----------------------------------------------------------------

local SPECS = {table = true, ["function"] = true, string = true}

local function check_spec(spec)
  local is = kind(spec)
  if not SPECS[is] then
    bad(1, "service", "object, constructor or name of a module expected, got "
      .. is)
  end
  Check.crosses(1, "service", spec, 2)
end

-- Where it lives: the options of a session of its own, or a session.
local function check_session(v)
  if v == nil or kind(v) == "table" then
    local problem = v and internal.session_problem(v)
    if problem then bad(2, "service", "session: " .. problem) end
  elseif kind(v) ~= "session" then
    bad(2, "service",
      "session must be a session or a table of options, got " .. got(v))
  elseif not pcall(v.stats, v) then
    bad(2, "service", "session: it is closed")
  end
end

local function check_numbers(o)
  if not Check.is_integer(o.concurrent, 1, CONCURRENT) then
    bad(2, "service", "concurrent must be an integer from 1 to " ..
      CONCURRENT .. ", got " .. got(o.concurrent))
  elseif o.capacity ~= 1 / 0 and not Check.is_integer(o.capacity, 0) then
    bad(2, "service", "capacity must be an integer from 0 on, or " ..
      "math.huge, got " .. got(o.capacity))
  elseif o.timeout ~= nil and not Check.is_seconds(o.timeout) then
    bad(2, "service", "timeout must be a number of seconds, zero or more, " ..
      "got " .. got(o.timeout))
  end
end

-- A copy of the list of arguments for a constructor, with its n.
local function copy_args(args)
  if args == nil then return {n = 0} end
  if type(args) ~= "table" then
    bad(2, "service", "args must be a list, got " .. got(args))
  end
  local n, problem = Check.length(args)
  if not n then bad(2, "service", "args: " .. problem) end
  if not internal.room(n) then bad(2, "service", "args: too many") end
  local copy = {n = n}
  for i = 1, n do copy[i] = args[i] end
  Check.crosses(2, "service", copy, 2)
  return copy
end

local KNOWN = {name = true, timeout = true, concurrent = true, cancel = true,
  capacity = true, session = true, args = true, child = true}

-- The options, each read once.
local function read(options)
  options = Check.options(2, "service", options, KNOWN)
  local o = {name = options.name, timeout = options.timeout,
    concurrent = options.concurrent, cancel = options.cancel,
    capacity = options.capacity, session = options.session,
    child = options.child, args = copy_args(options.args)}
  for option, expected in internal.builtin.pairs {name = "string",
      cancel = "boolean", child = "boolean"} do
    local problem = Check.mismatch(option, o[option], expected)
    if problem then bad(2, "service", problem) end
  end
  if o.name == "" then bad(2, "service", "name is empty") end
  o.concurrent, o.capacity = o.concurrent or 1, o.capacity or CAPACITY
  check_numbers(o)
  check_session(o.session)
  if o.child and o.session ~= nil then
    bad(2, "service", "a child's session is that of its specification")
  end
  return o
end

-- -- starting -----------------------------------------------------------------

-- Ends what could not be started.
local function abandon(handle, task, session)
  internal.service_drain(handle)
  if task then
    insist(task.cancel, task, "not started")
    pcall(shield, function() internal.notice(task):receive() end)
  end
  if session then insist(session.close, session, 0) end
end

-- The options of a session of its own.
local function own_session(o)
  local options = {}
  for k, v in internal.builtin.pairs(o.session or options) do options[k] = v end
  if options.name == nil then options.name = o.name or "service" end
  return options
end

-- Starts the task that serves, and waits until the object is there.
local function start(handle, o)
  local shared = kind(o.session) == "session" and o.session
  local sign, session, task = casting.channel(1), nil, nil
  local ok, e = pcall(function()
    session = not shared and casting.session(own_session(o)) or nil
    task = (session or shared):spawn(internal.run, "service_keeper", handle,
      sign)
    internal.await(task, sign)
  end)
  if ok then return end
  abandon(handle, task, session)
  error(e, 0)
end

return function(spec, options)
  check_spec(spec)
  local o = read(options)
  local handle = internal.service_new(
    internal.pack_code {spec = spec, args = o.args}, o.concurrent, o.capacity,
    o.cancel, o.child, kind(o.session) ~= "session" and not o.child, o.timeout,
    o.name)
  if not handle then
    bad(2, "service", "another service has the name '" ..
      internal.quote(o.name) .. "'")
  end
  if not o.child then start(handle, o) end
  return handle
end
