-- exchange.lua - one request of the client, and the head of its response.
-- SPDX-License-Identifier: MIT
--
-- An exchange:
--   pool, job     see pool.lua, asking.lua
--   url, route    of this request: a job may have several, one after the other
--   host, conn, waits   as a taker of connections has them
--   head          of the response
--   status, reason, flags
--   incoming      the body of the response, see body.lua
--   silent        the connection ended before a byte had come
--   over          finish was called
-- and if a task sends the body of the request:
--   writer        the task
--   sent          all has gone out
--   why           it has not; or
--   failure       {e}: what the program's function has raised
--   dropped       nobody wants to know of that any more
--   written       a channel that closes when it is over
--
-- A body that may be long is sent by a task of its own, while the response is
-- read: a server may answer before it has read all, and one that echoes stops
-- reading when nobody reads what it says.

local casting = require "casting"
local Body = require "casting.http.body"
local core = require "casting.http.core"
local Dial = require "casting.http.dial"

local Exchange = {}
Exchange.__index = Exchange

local has = Body.has
local KEEPS = 1
local SHORT = 16384 -- bytes of a body that needs no task
local MOST_INTERIM = 32 -- responses with a status of 1xx
local PATIENCE = 0.05 -- seconds for the end of a body that nobody waits for

-- The seconds that are left. When a response is streamed there is no end for
-- all of it, and the rest of the request has as long each time.
local function left(job)
  local deadline = job.deadline
  return deadline and math.max(0, deadline - casting.now()) or job.timeout
end

function Exchange.new(pool, job, url)
  return setmetatable({pool = pool, job = job, url = url}, Exchange)
end

-- -- the connection -----------------------------------------------------------

-- Gets a connection: one of the pool, or a new one. Returns true; or nil and
-- why.
function Exchange:open(route, fresh)
  local job, pool = self.job, self.pool
  self.route = route
  local ok, why = pool:take(route.key, self, left(job), fresh)
  if not ok then return nil, why end
  if not self.conn then
    local deadline = math.min(job.deadline, casting.now() + job.connect)
    ok, why = Dial.connect(route, deadline, function(stream)
      pool:add(self, {stream = stream})
    end)
    if not ok then return nil, why end
  end
  local conn = self.conn
  conn.keeps, conn.body = true, job.max_body
  conn.deadline, conn.timeout = job.deadline, job.timeout
  return true
end

-- The exchange is over: the connection goes back to the pool if nothing is left
-- of either message, and is closed otherwise.
function Exchange:finish()
  local conn, incoming = self.conn, self.incoming
  -- Called again, it was interrupted before.
  local keeps = not self.over and conn and incoming and conn.keeps and
    incoming.state == "done"
  self.over = true
  if self.writer and not self.sent then
    -- The end of the body may be on its way.
    if keeps then
      self.written:receive(math.min(PATIENCE, left(self.job)))
      keeps = self.sent
    end
    if not self.sent then
      self.dropped = true
      self.writer:cancel()
    end
  end
  if keeps and conn.stream:stats().buffered > 0 then keeps = false end
  if incoming then
    -- Of a response that is streamed something may be left to be unpacked.
    if incoming.inflater and
        not (self.job.stream and incoming.state == "done") then
      core.inflated(incoming.inflater)
    end
    -- The connection may be another one's by the next read of the body.
    incoming.conn = {body = incoming.conn.body}
    incoming.stream = nil
  end
  self.pool:give_back(self, keeps)
end

-- -- the request --------------------------------------------------------------

-- The fields of the program, as lines. They are made once for all requests of a
-- job that do not change them.
local function lines_of(job)
  if not job.lines then
    local fields = {}
    for _, field in pairs(job.fields) do fields[field[1]] = field[2] end
    job.lines = core.lines(fields)
  end
  return job.lines
end

local function cookies_of(job, url)
  local stored = job.jar and job.jar:header(url)
  if not stored then return job.cookie end
  return job.cookie and job.cookie .. "; " .. stored or stored
end

local function length_of(job)
  if job.length then return ("Content-Length: %.0f\r\n"):format(job.length) end
  if job.body then return "Transfer-Encoding: chunked\r\n" end
  local method = job.method
  if method == "POST" or method == "PUT" or method == "PATCH" then
    return "Content-Length: 0\r\n"
  end
  return ""
end

-- May the body of the response be compressed, and is unpacked here? Not if the
-- program has asked for a coding itself, or for a part of it.
function Exchange.decodes(job)
  local fields = job.fields
  return job.decode and not fields["accept-encoding"] and not fields.range
end

local AGENT = "User-Agent: casting/" .. casting._VERSION .. "\r\n"

local function head_of(self)
  local job, url, route = self.job, self.url, self.route
  local fields, cookies = job.fields, cookies_of(job, url)
  local target = url.target
  local proxy_user = route.absolute and Dial.basic(route.proxy)
  if route.absolute then target = "http://" .. url.authority .. target end
  local own = not fields.authorization and Dial.basic(url)
  return table.concat {job.method, " ", target, " HTTP/1.1\r\n",
    fields.host and "" or "Host: " .. url.authority .. "\r\n", lines_of(job),
    fields["user-agent"] and "" or AGENT,
    Exchange.decodes(job) and "Accept-Encoding: gzip\r\n" or "",
    own and "Authorization: " .. own .. "\r\n" or "",
    proxy_user and "Proxy-Authorization: " .. proxy_user .. "\r\n" or "",
    cookies and "Cookie: " .. cookies .. "\r\n" or "", length_of(job), "\r\n"}
end

-- The next piece of a body that comes of a function; nil: it is over; or nil
-- and why there is no more, such as a file that cannot be read.
local function next_piece(body)
  while true do
    local piece, why = body()
    if piece == nil then
      return nil, why ~= nil and why ~= "closed" and tostring(why) or nil
    end
    if type(piece) ~= "string" then
      error("body: the function must return a string or nil, not a " ..
        type(piece), 0)
    end
    if piece ~= "" then return piece end
  end
end

local function check_length(job, n)
  if job.length and n > job.length then
    error(("body: %.0f bytes more than the header field Content-Length says")
      :format(n - job.length), 0)
  end
end

-- Sends the head and a body that a function gives. Returns true; or nil and
-- why.
local function write_pieces(self, head)
  local job, stream = self.job, self.conn.stream
  local ok, why = stream:write(head, left(job))
  local n = 0
  while ok do
    local piece, problem = next_piece(job.body)
    if problem then return nil, "body: " .. problem end
    if not piece then break end
    n = n + #piece
    check_length(job, n)
    ok, why = stream:write(job.length and piece or
      {core.chunk_head(#piece), piece, "\r\n"}, left(job))
  end
  if not ok then return nil, why end
  if not job.length then return stream:write("0\r\n\r\n", left(job)) end
  if n < job.length then
    error(("body: %.0f bytes less than the header field Content-Length says")
      :format(job.length - n), 0)
  end
  return true
end

local function write_long(self, head)
  local job = self.job
  if type(job.body) == "function" then return write_pieces(self, head) end
  return self.conn.stream:write({head, job.body}, left(job))
end

-- The task that sends a long body. When it cannot go on, the server gets no
-- more, and must not take what it has for all; who waits for the response
-- learns of it by the end of the connection. When the server has closed that,
-- it may have said why.
local function send(self, stream, head)
  local ok, done, why = pcall(write_long, self, head)
  self.sent = ok and done or false
  -- First of all, since there may be no memory for the rest.
  if not self.sent and why ~= "closed" then stream:abort() end
  if not self.dropped then
    if not ok then
      self.failure = {done}
    elseif not done then
      self.why = why
    end
  end
  self.written:close()
end

-- Sends the request, or begins to. Returns true; or nil and why.
local function begin(self)
  local job, stream, head = self.job, self.conn.stream, head_of(self)
  local body = job.body
  if type(body) == "function" or body and #body > SHORT then
    self.sent = false
    self.written = casting.channel()
    self.writer = casting.spawn(send, self, stream, head)
    return true
  end
  if body then head = head .. body end
  local ok, why = stream:write(head, left(job))
  -- It may have answered before it has closed the connection.
  if ok or why == "closed" then return true end
  return nil, why
end

-- -- the response -------------------------------------------------------------

local function malformed(why) return nil, "malformed response: " .. why end

-- Reads the head of the response. Returns true; or nil and why.
local function receive(self)
  local job, stream = self.job, self.conn.stream
  for i = 1, MOST_INTERIM do
    local head, why, rest =
      stream:read_until("\r\n\r\n", job.max_header, left(job))
    if not head then
      if why == "too long" then return malformed "the header is too long" end
      if why ~= "closed" then return nil, why end
      self.silent = i == 1 and (rest or "") == ""
      return nil, self.silent and why or "truncated"
    end
    head = core.unfold(head)
    local status, reason, flags, length = core.response(head)
    if not status then return malformed(reason) end
    if status >= 200 then
      self.head, self.status, self.reason = head, status, reason
      self.flags, self.length = flags, length
      return true
    end
    if status == 101 then
      return malformed "nobody has asked for another protocol"
    end
  end
  return malformed "too many responses before the last one"
end

-- What the head says of the body.
local function begin_body(self)
  local conn, status, flags = self.conn, self.status, self.flags
  local incoming = {stream = conn.stream, conn = conn, flags = flags,
    left = self.length, got = 0, state = "done", why = false,
    continues = false}
  if self.job.method ~= "HEAD" and status ~= 204 and status ~= 304 then
    Body.begin(incoming, true)
  end
  conn.keeps = has(flags, KEEPS) and incoming.state ~= "bare" and
    not self.job.closes
  self.incoming = incoming
end

-- Sends the request, and reads the response up to its body. Returns true; or
-- nil and why.
function Exchange:ask()
  local ok, why = begin(self)
  if ok then ok, why = receive(self) end
  if ok then
    begin_body(self)
    return true
  end
  local failure
  why, failure = self:cause(why)
  if failure then error(failure[1], 0) end
  return nil, why
end

-- Why nothing comes any more: perhaps since the request could not be sent. And
-- {e}: what the program's function has raised, which the caller raises when
-- nothing is left to be done.
function Exchange:cause(why)
  if self.dropped then return why end
  return self.why and self.why ~= "closed" and self.why or why, self.failure
end

return Exchange
