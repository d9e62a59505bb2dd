-- service_keeper.lua - serves a service in the session that calls it.
-- SPDX-License-Identifier: MIT
--
-- The task that runs this is the service, as far as others see it: while it
-- lives there are calls, and when it has ended those that wait get "gone"
-- (lib_service.c sees to that, whatever has ended it). It makes the object, and
-- a worker for each seat (service_worker.lua); then it waits for their ends.
--
-- A method runs in its worker with nothing around it: so it can wait in any
-- way, also on versions where a protected call cannot be suspended. If it
-- raises, its worker fails, the caller is told of that, and the seat gets
-- another worker.
--
-- An end is a number, the seat's, which takes no memory to be received. It may
-- come twice, or after the seat has got another worker (see `begin`): so the
-- task is asked.

local casting, internal = ...
local error, pcall, type = error, pcall, type
local insist, work = internal.insist, internal.service_worker

-- What the module of that name is. An error of require is a text that does not
-- say who has called it.
local function load_module(name)
  local ok, v = pcall(internal.require, name)
  if ok then return v end
  if type(v) == "string" and v ~= "not enough memory" then
    v = "service: " .. v
  end
  error(v, 0)
end

-- The object: what was given, or what makes it.
local function make(spec, args)
  if type(spec) == "string" then
    local name = spec
    spec = load_module(name)
    if type(spec) ~= "table" and type(spec) ~= "function" then
      error("service: module '" .. internal.quote(name) ..
        "' is neither an object nor a constructor, but a " .. type(spec), 0)
    end
  end
  if type(spec) == "function" then
    spec = spec(internal.unpack(args, args.n))
    if type(spec) ~= "table" and type(spec) ~= "userdata" then
      error("service: the constructor has returned no object, but a " ..
        type(spec), 0)
    end
  end
  return spec
end

local ENDED = {done = true, failed = true, cancelled = true}

-- `sign`, if given, is sent true when calls can be answered.
return function(service, sign)
  local next_call, fail, seats = internal.service_open(service)
  local ends, workers, live = casting.channel(1 / 0), {}, seats
  local what = internal.service_spec(service):unpack()
  local object = make(what.spec, what.args)

  -- Has a worker at that seat. May be called again if it has failed, for want
  -- of memory: then it goes on.
  local function begin(seat)
    local task = workers[seat] or casting.spawn(work, next_call, seat, object)
    workers[seat] = task
    internal.follow(task)
    internal.notice(task, ends, seat)
  end

  for seat = 1, seats do begin(seat) end
  if sign then sign:try_send(true) end
  while live > 0 do
    local seat = ends:receive()
    local task = workers[seat]
    local status = task and task:status()
    if status == "done" then
      workers[seat] = nil
      live = live - 1
    elseif ENDED[status] then
      insist(function()
        if fail(seat, task) then internal.own(task) end
      end)
      workers[seat] = nil
      insist(begin, seat)
    end
  end
end
