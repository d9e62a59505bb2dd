-- reverseproxy.lua - a reverse proxy: one address, several servers behind it.
-- SPDX-License-Identifier: MIT
--
-- What it shows: a handler may ask other servers. Bodies go through as they
-- come, in both directions, with nothing kept but a piece; who reads slowly
-- holds the other side back. A request goes to the backend that has the fewest
-- at that time, of equal ones to the next. One that cannot be reached is left
-- out until a task that tries it now and then has reached it; the request goes
-- to another one, if nothing of its body was read. If none is up all are tried.
-- Each session finds out for itself.
--
-- Fields that concern one connection only are not passed on (RFC 9110, 7.6.1);
-- Forwarded (RFC 7239), X-Forwarded-* and Via tell the backend who has asked.
-- It is answered with 502 when a backend fails, and with 504 when it takes too
-- long. If it fails in the middle of a response the connection is reset, since
-- the client must not take a part for the whole.
--
-- Websockets go through, a message after the other, each of them whole: there
-- is one websocket to the client and one to the backend. Trailers are dropped,
-- and CONNECT and other protocols of Upgrade are refused.
--
-- How to run it; a signal ends it when requests have been answered:
--   ./dev run examples/webserver.lua 8001 &
--   ./dev run examples/webserver.lua 8002 &
--   ./dev run examples/reverseproxy.lua \
--     http://127.0.0.1:8001 http://127.0.0.1:8002

local casting = require "casting"
local net = require "casting.net"
local process = require "casting.process"

local USAGE = [[
usage: reverseproxy.lua [options] BACKEND ...    such as http://127.0.0.1:8001

  --host HOST       where to listen (default 127.0.0.1)
  --port PORT       the port (default 8080)
  --sessions N      in how many sessions, up to 64 (default 2)
  --connect S       seconds to reach a backend (default 3)
  --timeout S       seconds without a byte from a backend (default 30)
  --grace S         seconds for what is under way at the end (default 10)
  --help            print this
]]

local RETRY = 1           -- seconds between attempts to reach a backend again
local BODY = 2 ^ 40       -- bytes of a request's body
local MESSAGE = 16777216  -- bytes of a message of a websocket
local PLACES = 1000       -- connections to one backend, of each session
local NAME = "reverseproxy"

local function give_up(status, ...)
  io.stderr:write("reverseproxy: ", string.format(...), "\n")
  if status == 2 then io.stderr:write(USAGE) end
  os.exit(status)
end

local found, http = pcall(require, "casting.http")
if not found then give_up(1, "needs casting.http") end

-- --------------------------------------------------------------- backends --

-- A backend: url, host, port; busy, how many requests it has; down, whether it
-- was not reached. Each session has a copy of them.

-- The best one that was not tried: of those that are up, or if none is, of all.
local function choose(proxy, tried)
  local best
  for i = 1, #proxy.backends do
    local backend = proxy.backends[(proxy.last + i - 1) % #proxy.backends + 1]
    if not tried[backend] and (not best or
      (best.down and not backend.down) or
      (best.down == backend.down and backend.busy < best.busy)) then
      best = backend
    end
  end
  proxy.last = (proxy.last + 1) % #proxy.backends
  return best
end

-- It was not reached: it is tried again, without a request, until it is, or the
-- proxy ends.
local function mark_down(proxy, backend)
  if backend.down then return end
  backend.down = true
  casting.spawn(function()
    repeat
      if casting.with_timeout(RETRY, proxy.listener.wait, proxy.listener) then
        return
      end
      local stream = net.connect(backend.host, backend.port,
        {timeout = proxy.connect})
      if stream then
        stream:close()
        backend.down = false
      end
    until not backend.down
  end)
end

-- What http.request says when a server was not reached at all. What takes less
-- time than a backend has was the connection.
local function was_not_reached(proxy, why, seconds)
  if why == "timeout" then return seconds < proxy.timeout end
  return why ~= "closed" and why ~= "truncated" and
    not why:find "^malformed" and not why:find "^too "
end

-- ----------------------------------------------------------------- fields --

local HOP_BY_HOP = {connection = true, ["keep-alive"] = true, te = true,
  ["proxy-connection"] = true, ["proxy-authorization"] = true, trailer = true,
  ["proxy-authenticate"] = true, ["transfer-encoding"] = true, upgrade = true}

-- The fields that go on: a new table.
local function end_to_end(headers)
  local result = {}
  for name, value in pairs(headers) do
    if not HOP_BY_HOP[name] then result[name] = value end
  end
  for name in (headers.connection or ""):gmatch "[^%s,]+" do
    result[name:lower()] = nil
  end
  return result
end

local function with(list, value)
  return list and list ~= "" and list .. ", " .. value or value
end

-- The fields of a request to a backend. What the client has told of those
-- before it stays in front; nobody should trust in that part.
local function fields_for(request)
  local fields, host = end_to_end(request.headers), request.headers.host
  fields.expect = nil -- the server of this program has seen to it
  fields.host = host
  local client = request.host
  local node = client:find(":", 1, true) and ('"[%s]"'):format(client) or client
  fields.forwarded = with(fields.forwarded,
    ('for=%s;host="%s";proto=http'):format(node, host or ""))
  fields["x-forwarded-for"] = with(fields["x-forwarded-for"], client)
  fields["x-forwarded-host"] = host
  fields["x-forwarded-proto"] = "http"
  fields.via = with(fields.via, "1.1 " .. NAME)
  return fields
end

-- The target as a client may write it: some bytes that the server has let
-- through need percent signs.
local function target_of(request)
  local target = request.target:gsub("^%a[%w+.-]*://[^/?]*", "")
  if target:sub(1, 1) ~= "/" then target = "/" .. target end
  return (target:gsub('["<>\\^`{|}#\128-\255]', function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

-- --------------------------------------------------------------- requests --

local function answer(response, status, text)
  response.status = status
  response:write(text .. "\n")
end

-- The body of the request, for the client; nil: there is none. `state` is told
-- when it is read, and what has come.
local function body_of(request, state)
  local headers = request.headers
  if not headers["content-length"] and not headers["transfer-encoding"] then
    return nil
  end
  return function()
    state.pieces = state.pieces + 1
    local piece, why = request:read()
    if not piece and why ~= "closed" then state.client = why end
    state.pieces = state.pieces + 1
    return piece, why
  end
end

-- Asks one backend. With a body there is no limit for all of it, as that may be
-- long: it is given up when for some time nothing has come and nothing went.
local function ask(proxy, backend, request, state)
  local url = backend.url .. target_of(request)
  local o = {method = request.method, headers = fields_for(request),
    body = body_of(request, state), stream = true, timeout = proxy.timeout}
  if not o.body then return proxy.client:request(url, o) end
  o.timeout = math.huge
  return casting.scope(function(scope)
    local task = scope:spawn(proxy.client.request, proxy.client, url, o)
    while true do
      local before = state.pieces
      local ok, response, why = task:join(proxy.timeout)
      if ok then return response, why end
      if ok == false then error(response, 0) end
      if state.pieces == before then
        task:cancel()
        return nil, "timeout"
      end
    end
  end)
end

-- Passes a response on. Returns nil and why if the backend has failed in the
-- middle of it.
local function pass(response, from, timeout)
  response.status = from.status
  response.headers = end_to_end(from.headers)
  local knows_length = from.headers["content-length"] ~= nil
  if not knows_length then
    local ok = response:flush()
    if not ok then return true end
  end
  while true do
    local ok, piece, why = casting.with_timeout(timeout, from.read, from)
    if not ok then return nil, "timeout" end
    if not piece then return why == "closed" or nil, why end
    if not response:write(piece) then return true end -- the client has gone
    if not knows_length then response:flush() end
  end
end

local function serve(proxy, backend, request, response, state)
  local from, why = ask(proxy, backend, request, state)
  if not from then return nil, why end
  local ok, passed, reason = pcall(pass, response, from, proxy.timeout)
  from:close()
  if not ok then error(passed, 0) end
  if not passed then
    proxy.tell("%s: %s", backend.url, reason)
    request.stream:abort()
  end
  return true
end

-- Calls f(backend), which returns nil and why when it has failed, with one
-- backend after the other, as long as nobody was reached: what f returns, or
-- nil and why.
local function try(proxy, state, f)
  local tried, why = {}, "there is no backend"
  while true do
    local backend = choose(proxy, tried)
    if not backend then return nil, why end
    tried[backend] = true
    backend.busy = backend.busy + 1
    local began = casting.now()
    local ok, result, problem = pcall(f, backend)
    backend.busy = backend.busy - 1
    if not ok then error(result, 0) end
    if result then return result end
    why = problem
    if state.client then return nil, why end
    proxy.tell("%s: %s", backend.url, why)
    if not was_not_reached(proxy, why, casting.now() - began) then
      return nil, why
    end
    mark_down(proxy, backend)
    if state.pieces > 0 then return nil, why end
  end
end

local function refuse(response, state, why)
  if state.client then return answer(response, 400, state.client) end
  if why == "timeout" then return answer(response, 504, "gateway timeout") end
  answer(response, 502, "bad gateway")
end

-- -------------------------------------------------------------- websockets --

-- Sends what comes from one websocket to the other, and at the end its code.
local function relay(from, to)
  local message, kind, code, reason
  repeat
    message, kind, code, reason = from:receive()
  until not message or not to:send(message, kind)
  if not message then
    if code == 1005 or code == 1006 or not code then code, reason = 1000, "" end
    to:close(code, reason)
  end
end

local OURS = {"sec-websocket-key", "sec-websocket-version",
  "sec-websocket-extensions", "sec-websocket-protocol"}

-- Two tasks, one for each direction, until both have ended.
local function bridge(request, there)
  local here = request:websocket {origins = "*", max_message = MESSAGE,
    protocols = there.protocol and {there.protocol} or nil}
  if not here then return there:close() end
  local back = casting.spawn(relay, there, here)
  relay(here, there)
  back:join()
end

local function serve_websocket(proxy, request, response)
  local state = {pieces = 0}
  local fields, protocols = fields_for(request), {}
  for name in (fields["sec-websocket-protocol"] or ""):gmatch "[^%s,]+" do
    protocols[#protocols + 1] = name
  end
  for _, name in ipairs(OURS) do fields[name] = nil end
  fields["content-length"] = nil
  local ok, why = try(proxy, state, function(backend)
    local there, problem, status = http.websocket(
      backend.url:gsub("^http", "ws") .. target_of(request),
      {headers = fields, protocols = protocols[1] and protocols or nil,
        max_message = MESSAGE, timeout = proxy.timeout})
    if there then
      bridge(request, there)
    elseif status then
      answer(response, status, "the backend refuses")
    else
      return nil, problem
    end
    return true
  end)
  if not ok then refuse(response, state, why) end
end

local function is_websocket(request)
  return request.method == "GET" and
    (request.headers.upgrade or ""):lower() == "websocket"
end

-- The client belongs to a session, so each makes its own at the first request.
local function make_handler(proxy)
  return function(request, response)
    if request.method == "CONNECT" or request.method == "TRACE" or
      request.target == "*" then
      return answer(response, 501, "not implemented")
    end
    proxy.client = proxy.client or http.client {redirects = 0, decode = false,
      proxy = false, jar = false, per_host = PLACES, timeout = math.huge,
      connect = proxy.connect, headers = {}}
    if is_websocket(request) then
      return serve_websocket(proxy, request, response)
    end
    local state = {pieces = 0}
    if not body_of(request, state) then request:closed {cancel = true} end
    local ok, why = try(proxy, state, function(backend)
      return serve(proxy, backend, request, response, state)
    end)
    if not ok then refuse(response, state, why) end
  end
end

-- ---------------------------------------------------------------- program --

local LEAST = {port = 0, sessions = 1, connect = 0.01, timeout = 0.01,
  grace = 0}
local MOST = {port = 65535, sessions = 64, connect = 3600, timeout = 86400,
  grace = 86400}
local WHOLE = {port = true, sessions = true}

local function add_backend(options, url)
  local host, port = url:match "^http://([%w.-]+):?(%d*)/?$"
  if not host then give_up(2, "%s is no backend", url) end
  port = tonumber(port) or 80
  if port < 1 or port > 65535 then give_up(2, "%s is no backend", url) end
  options.backends[#options.backends + 1] = {host = host, port = port,
    url = ("http://%s:%d"):format(host, port), busy = 0, down = false}
end

local function read_arguments()
  local options = {host = "127.0.0.1", port = 8080, sessions = 2, connect = 3,
    timeout = 30, grace = 10, backends = {}}
  local i = 1
  while arg[i] do
    local name, value = arg[i]:match "^%-%-(%l+)$", arg[i + 1]
    if name == "help" then
      io.write(USAGE)
      os.exit(0)
    elseif not name then
      add_backend(options, arg[i])
    elseif not (LEAST[name] or name == "host") then
      give_up(2, "what is %s?", arg[i])
    elseif not value then
      give_up(2, "--%s needs a word", name)
    else
      local n = tonumber(value)
      if name ~= "host" and (not n or n < LEAST[name] or n > MOST[name] or
        (WHOLE[name] and n % 1 ~= 0)) then
        give_up(2, "--%s: %s is none", name, value)
      end
      options[name] = name == "host" and value or n
      i = i + 1
    end
    i = i + 1
  end
  if not options.backends[1] then give_up(2, "which BACKEND?") end
  return options
end

local options = read_arguments()
local listener, why = net.listen(options.host, options.port)
if not listener then give_up(1, "cannot listen: %s", why) end

local ends = process.signals("INT", "TERM")
casting.spawn(function()
  ends:receive()
  listener:close()
end)

-- What goes wrong is told by one task; when that is too much it is dropped.
local lines = casting.channel(100)
local teller = casting.spawn(function()
  for line in lines do io.stderr:write(NAME, ": ", line, "\n") end
end)

print(("http://%s:%d/"):format(listener:name()))
io.stdout:flush()
http.serve(listener, make_handler {
  backends = options.backends, last = 0, listener = listener, client = false,
  connect = options.connect, timeout = options.timeout,
  tell = function(...) lines:try_send(string.format(...)) end,
}, {sessions = options.sessions, grace = options.grace, body = BODY})
lines:close()
teller:await()
