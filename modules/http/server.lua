-- server.lua - http.serve: a task for each connection, a request after the
-- other.
-- SPDX-License-Identifier: MIT
--
-- What HTTP says of a connection (RFC 9112) is done here; bodies are read in
-- request.lua and written in response.lua. A connection:
--   stream, host, port
--   server       what the connections of one session have in common
--   keeps        another request may come
--   timeout      seconds of one read or write in the middle of a message
--   body         bytes that the body of a request may have
-- A server, one in each session that serves:
--   listener     where connections come from
--   closing      it was closed
--   idle         set of the streams that wait for a request

local casting = require "casting"
local core = require "casting.http.core"
local Request = require "casting.http.request"
local Response = require "casting.http.response"

local Server = {}
local has = Request.has
local KEEPS = 1
local LINGER = 2 -- seconds

-- -- servers ------------------------------------------------------------------

local servers = {} -- listener -> server

-- When the listener has been closed, connections that only wait for a request
-- end. Others see to it when their response begins.
local function watch(listener, server)
  listener:wait()
  server.closing = true
  servers[listener] = nil
  for stream in pairs(server.idle) do stream:close() end
end

local function server_of(listener)
  local server = servers[listener]
  if not server then
    server = {listener = listener, closing = false, idle = {}}
    servers[listener] = server
    server.watcher = casting.spawn(watch, listener, server)
  end
  return server
end

-- The calling session serves no more.
function Server.leave(listener)
  local server = servers[listener]
  if not server then return end
  servers[listener] = nil
  server.watcher:cancel()
end

-- -- one request --------------------------------------------------------------

-- Answers what is no request, and ends the connection: nobody knows where the
-- next one would begin. What the client goes on to send is read for a while,
-- since the system would else throw the answer away.
local function refuse(conn, status, why)
  local text = core.head(status, nil, 1, #why + 1, why .. "\n")
  local stream = conn.stream
  conn.keeps = false
  if not stream:write(text, conn.timeout) then return end
  stream:shutdown()
  local deadline, left = casting.now() + LINGER, 1048576
  repeat
    local data = stream:read(nil, math.max(0, deadline - casting.now()))
    left = left - (data and #data or left)
  until left <= 0
end

-- The next request; or nil, and the connection is over.
local function receive(conn, first, o)
  local stream = conn.stream
  if not first then
    local idle = conn.server.idle
    if conn.server.closing then return nil end
    idle[stream] = true
    local byte = stream:peek(1, o.idle)
    idle[stream] = nil
    if not byte then return nil end
  end
  local head, why = stream:read_until("\r\n\r\n", o.max_header, o.header)
  if head == "" then -- an empty line or two, which old clients send
    head, why = stream:read_until("\r\n\r\n", o.max_header, o.header)
  end
  if not head then
    if why == "too long" then
      refuse(conn, 431, "the header is too long")
    elseif why == "timeout" and stream:stats().buffered > 0 then
      refuse(conn, 408, "the header takes too long")
    end
    return nil
  end
  local method, target, flags, length = core.request(head)
  if not method then return refuse(conn, target, flags) end
  local path, text = core.target(target)
  if not path then return refuse(conn, 400, "the target is malformed") end
  conn.keeps = has(flags, KEEPS)
  local request = setmetatable({method = method, target = target, path = path,
    text = text, host = conn.host, port = conn.port, stream = stream,
    conn = conn, head = head}, Request.meta)
  Request.begin_body(request, flags, length)
  if request.state == "body" and length > o.body then
    return refuse(conn, 413, "the body is too long")
  end
  return request
end

local function trace(e)
  if type(e) ~= "string" or casting.is_cancelled(e) then return e end
  return debug.traceback(e, 2)
end

-- xpcall passes no arguments on in Lua 5.1.
local function call(f, request, response)
  return xpcall(f, trace, request, response)
end
if not select(2, xpcall(function(v) return v end, trace, true)) then
  function call(f, request, response)
    return xpcall(function() return f(request, response) end, trace)
  end
end

-- The handler has raised e. The client learns that something went wrong: from
-- the status, or from the end of the connection.
local function fail(conn, response, e)
  conn.keeps = false
  if response.state then
    if response.state ~= "done" then conn.stream:abort() end
  elseif not casting.is_cancelled(e) then
    refuse(conn, 500, "internal server error")
  end
  error(e, 0)
end

local function answer(conn, handler, request, o)
  local response = setmetatable({status = 200, conn = conn, request = request},
    Response.meta)
  local began = o.log and casting.now()
  local ok, e = call(handler, request, response)
  if ok and response.state ~= "done" then
    ok, e = pcall(response.finish, response)
  end
  if request.watcher then
    request.watcher:cancel()
    request.watcher:join()
  end
  if o.log then
    o.log(request, response.status, response.sent or 0, casting.now() - began)
  end
  if not ok then fail(conn, response, e) end
  if conn.keeps and request.state ~= "done" then
    conn.keeps = Request.drain(request)
  end
end

-- Serves a connection until it ends.
function Server.connection(listener, handler, o, stream, host, port)
  local conn = {stream = stream, host = host, port = port,
    server = server_of(listener), keeps = true, timeout = o.timeout,
    body = o.body}
  local first = true
  repeat
    local request = receive(conn, first, o)
    if not request then return end
    answer(conn, handler, request, o)
    first = false
  until not conn.keeps
end

return Server
