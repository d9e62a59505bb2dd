-- server.lua - http.serve: a task for each connection, a request after the
-- other.
-- SPDX-License-Identifier: MIT
--
-- What HTTP says of a connection (RFC 9112) is done here; bodies are read in
-- body.lua and written in response.lua. A connection:
--   stream, host, port
--   server       what the connections of one session have in common
--   keeps        another request may come
--   timeout      seconds of one read or write in the middle of a message
--   body         bytes that the body of a request may have
--   served       requests so far
--   response     to the request that is with its handler; or false
--   broken       why the client gets no more; nil: it does
--   began        when the handler began, if that is logged
--   special      whether one of these may be there; they are nil else:
--   watcher      the task that waits for the client to go
--   pinger       the task that writes when nothing else does
--   websocket    what it has become
-- A server, one in each session that serves:
--   closing      the listener was closed
--   idle         the streams that wait for a request: stream -> the connection
--   patience     seconds that the header of a request may take
--   leave        tells its websockets of that; false: it has had none

local casting = require "casting"
local Body = require "casting.http.body"
local core = require "casting.http.core"
local Request = require "casting.http.request"
local Response = require "casting.http.response"

local Server = {}
local KEEPS = 1 -- the lowest bit of what core.request says
local LINGER, MUCH = 2, 1048576 -- seconds, and bytes, see linger
local PAUSE, TRIES = 0.05, 100 -- seconds, and how often, see watch
local MOST_TOLD = 200 -- bytes of a target in the report of a failure

-- -- servers ------------------------------------------------------------------

local servers = {} -- listener -> server

-- Does the task go on? One for which there was no memory has not said that it
-- ends.
local function goes_on(task)
  local status = task and task:status()
  return status and status ~= "failed" and status ~= "cancelled"
end

-- Ends the connections that only wait for a request. May be called again.
local function end_idle(server)
  for stream in pairs(server.idle) do stream:close() end
  if server.sweeper then server.sweeper:cancel() end
  if server.leave then server.leave(server) end
end

-- When the listener has been closed, connections that only wait for a request
-- end. Others see to it when their response begins. There may be no memory for
-- that at first.
local function watch(listener, server)
  listener:wait()
  server.closing = true
  servers[listener] = nil
  local ok, e
  for _ = 1, TRIES do
    ok, e = pcall(end_idle, server)
    if ok then return end
    if casting.is_cancelled(e) then break end
    casting.sleep(PAUSE)
  end
  error(e, 0)
end

-- A header that comes byte by byte must not take as long as a connection may be
-- idle. So who waits for a request is looked at now and then: what is there of
-- one at two looks in a row, which are `patience` apart, takes too long. (To
-- wait for the first byte, and then for the rest, would be two waits for each
-- request.)
local function look(server, begun)
  local found = {}
  for stream, conn in pairs(server.idle) do
    if server.closing then -- the watcher has failed
      stream:close()
    elseif stream:stats().buffered > 0 then
      if begun[stream] == conn.served then
        stream:close()
      else
        found[stream] = conn.served
      end
    end
  end
  return found
end

local function sweep(server)
  local begun = {}
  while next(server.idle) do
    casting.sleep(server.patience)
    begun = look(server, begun)
  end
  server.sweeper = false
end

-- The connection waits for a request from here on. If there is no memory for
-- the sweeper, the next one makes it. To ask how that is costs a call: once for
-- each connection will do.
local function rest(server, stream, conn)
  server.idle[stream] = conn
  local sweeper = server.sweeper
  if sweeper and conn.served > 1 or goes_on(sweeper) then return end
  local ok, task = pcall(casting.spawn, sweep, server)
  server.sweeper = ok and task
end

local function server_of(listener, o)
  local server = servers[listener]
  if not server then
    server = {closing = false, idle = {}, sweeper = false, patience = o.header,
      leave = false, watcher = false}
    servers[listener] = server
  end
  if not goes_on(server.watcher) then
    server.watcher = casting.spawn(watch, listener, server)
  end
  return server
end

-- The calling session serves no more.
function Server.leave(listener)
  local server = servers[listener]
  if not server then return end
  servers[listener] = nil
  if server.watcher then server.watcher:cancel() end
  if server.sweeper then server.sweeper:cancel() end
end

-- -- one request --------------------------------------------------------------

-- Ends our side of a connection on which more may come. That is read for a
-- while, since the system would else throw the answer away (RFC 9112, 9.6).
local function linger(stream)
  if not stream:shutdown() then return end
  local deadline, left = casting.now() + LINGER, MUCH
  repeat
    local data = stream:read(nil, math.max(0, deadline - casting.now()))
    left = left - (data and #data or left)
  until left <= 0
end

-- Answers with a text, and ends the connection. `is_head`: the answer has no
-- body. Returns how many bytes that has.
local function turn_away(conn, status, why, is_head)
  local size = #why + 1
  local text =
    core.head(status, nil, 1, size, not is_head and why .. "\n" or nil)
  conn.keeps = false
  if conn.stream:write(text, conn.timeout) then linger(conn.stream) end
  return is_head and 0 or size
end

-- Answers what is no request, after which nobody knows where the next one would
-- begin. What is not known of it is "-" for the log.
local function refuse(conn, o, status, why, method, target)
  local size = turn_away(conn, status, why, method == "HEAD")
  if not o.log then return end
  local headers = setmetatable({}, Request.headers)
  o.log(Request.new {method = method or "-", target = target or "-",
    path = target or "-", conn = conn, head = "", headers = headers,
    authority = "", flags = KEEPS, state = "over", response = false}, status,
    size, 0)
end

-- No header has come, and the connection is over.
local function give_up(conn, o, why)
  local stream = conn.stream
  if why == "too long" then
    -- An empty line may come before the first one.
    local begun = stream:peek(math.min(o.max_header, MUCH), 0)
    if begun and begun:find("\n", 3, true) then
      refuse(conn, o, 431, "the header is too long")
    else
      refuse(conn, o, 414, "the target is too long")
    end
  elseif why == "timeout" and stream:stats().buffered > 0 then
    refuse(conn, o, 408, "the header takes too long")
  end
end

-- The request of a header; or nil, and the connection is over.
local function understand(conn, o, head)
  local method, target, flags, length, path = core.request(head)
  if not method then
    return refuse(conn, o, target, flags, head:match "^\r?\n?(HEAD) ")
  end
  if method == "CONNECT" then
    return refuse(conn, o, 501, "CONNECT is for proxies", method, target)
  end
  local authority, _
  if not path then path, _, authority = core.target(target) end
  if not path or path == "*" and method ~= "OPTIONS" then
    return refuse(conn, o, 400, "the target is malformed", method, target)
  end
  conn.keeps = flags % 2 == KEEPS
  local request = Request.new({method = method, target = target, path = path,
    conn = conn, head = head, flags = flags, state = "done", response = false},
    length)
  if authority then request.authority, request.absolute = authority, true end
  if request.state == "body" and length > o.body then
    return refuse(conn, o, 413, "the body is too long", method, target)
  end
  return request
end

local function trace(e)
  if type(e) ~= "string" or casting.is_cancelled(e) then return e end
  return debug.traceback(e, 2)
end

-- What the handler has raised, with what it was asked before the traceback. The
-- query is left out: it may have secrets.
local function with_request(e, request)
  if type(e) ~= "string" then return e end
  local message, rest = e:match "^(.-)(\nstack traceback:.*)$"
  if not message then return e end
  return ("%s\nin the answer to %s %s%s"):format(message, request.method,
    request.target:match("^[^?]*"):sub(1, MOST_TOLD), rest)
end

-- The handler has raised something, perhaps a cancellation. The client learns
-- of it: from the status, or from the end of the connection.
local function fail(conn, request, response, e)
  conn.keeps = false
  if response.state then
    if response.state ~= "done" then conn.stream:abort() end
  elseif not casting.is_cancelled(e) then
    response.told = 500
    response.sent = turn_away(conn, 500, "internal server error",
      request.method == "HEAD")
  end
end

-- The same of a websocket, which ends with its handler.
local function finish_websocket(conn, ok, e)
  require("casting.http.websocket").finish(conn.websocket, ok, e)
end

-- Ends a task that was for one request; also if this one was cancelled.
local function dismiss(conn, name)
  local task = conn[name]
  conn[name] = nil
  task:cancel()
  pcall(casting.shield, task.join, task)
end

local function run(f, ...) return f(...) end

-- The handler is over: `ok` and e say how.
local function conclude(conn, o, ok, e)
  local response = conn.response
  local request = response.request
  conn.response, conn.special = false, false
  if conn.pinger then dismiss(conn, "pinger") end
  if conn.watcher then dismiss(conn, "watcher") end
  -- In a task that was cancelled all that waits raises that again.
  if conn.websocket then
    local ended, problem = pcall(finish_websocket, conn, ok, e)
    if ok and not ended then ok, e = false, problem end
  end
  -- What has not gone out as a whole must not be taken for that.
  if conn.broken then pcall(conn.stream.abort, conn.stream) end
  if not ok then pcall(fail, conn, request, response, e) end
  local told, problem = true, nil
  if o.log then
    told, problem = pcall(ok and run or casting.shield, o.log, request,
      response.told or 0, response.sent, casting.now() - conn.began)
  end
  if ok and told then return end
  request.state = "over"
  error(ok and problem or with_request(e, request), 0)
end

local function answer(conn, handler, o, head)
  local request = understand(conn, o, head)
  if not request then return end
  local response = Response.new(conn, request)
  request.response, conn.response = response, response
  if o.log then conn.began = casting.now() end
  handler(request, response)
  -- Nothing behind the end.
  if conn.special and conn.pinger then dismiss(conn, "pinger") end
  if response.state ~= "done" then response:finish() end
  if o.log or conn.special or conn.broken then
    conclude(conn, o, true)
  else
    conn.response = false
  end
  if conn.keeps and request.state ~= "done" then
    conn.keeps = Body.drain(request)
  end
  local done = request.state == "done"
  request.state = "over"
  if not conn.keeps and not conn.websocket and (not done or
      conn.stream:stats().buffered > 0) then
    linger(conn.stream)
  end
  conn.served = conn.served + 1
end

-- Serves a connection until it ends. It waits here, and not in functions that
-- this calls: what these had on the stack of the coroutine would stay in memory
-- while the connection is idle, such as the request before.
local function serve(conn, handler, o)
  local stream, server = conn.stream, conn.server
  local seconds, empty = o.header, false
  repeat
    if conn.served > 0 then
      if server.closing then return end
      rest(server, stream, conn)
      seconds = o.idle
    end
    local head, why = stream:read_until("\r\n\r\n", o.max_header, seconds)
    server.idle[stream] = nil
    if not head then return give_up(conn, o, why) end
    -- An empty line or two come of old clients.
    empty = head == "" and not empty
    if not empty then answer(conn, handler, o, head) end
  until not conn.keeps
end

-- xpcall passes no arguments on in Lua 5.1.
local call = xpcall
if not select(2, xpcall(function(v) return v end, trace, true)) then
  function call(f, handle, a, b, c)
    return xpcall(function() return f(a, b, c) end, handle)
  end
end

-- One protected call is enough for all requests of a connection: behind one
-- that has failed there is none. Like serve, this has few registers.
local function protect(conn, handler, o)
  local ok, e = call(serve, trace, conn, handler, o)
  if ok then return end
  conn.server.idle[conn.stream] = nil
  if conn.response then return conclude(conn, o, false, e) end
  error(e, 0)
end

-- There may be many that are idle: eight fields are half of nine. What all have
-- in common is in a table behind it, and the rest not there until it is needed.
function Server.connection(listener, handler, o, stream, host, port)
  o.meta = o.meta or {__index = {timeout = o.timeout, body = o.body}}
  return protect(setmetatable({stream = stream, host = host, port = port,
    server = server_of(listener, o), keeps = true, served = 0,
    response = false, special = false}, o.meta), handler, o)
end

return Server
