-- response.lua - what a handler of casting.http answers.
-- SPDX-License-Identifier: MIT
--
-- What is written is kept until it is more than a little, is flushed, or the
-- handler returns: a short answer goes out in one piece, with its length. A
-- longer one goes out as it is written, in chunks, unless the handler has said
-- how long it will be (the field Content-Length).
--
-- A response:
--   status, headers       for the handler to set, until the head has gone out
-- and for the functions here:
--   conn, request
--   lines                 nil; or its fields, ready, while files.lua answers
--   pending               what was written and has not gone out; or false
--   state                 false; "chunks", "length" (which was said), "bare"
--                         (to the end of the connection), "none" (there is no
--                         body); or "done"
--   left                  bytes that may be written, in the state "length";
--                         nil: core.answer was interrupted
--   sent                  bytes of the body that have gone out
--   told                  the status that has gone out; nil: none has

local Body = require "casting.http.body"
local core = require "casting.http.core"

local Response = {}
local methods = {}
local has = Body.has

local KEEP = 4096 -- bytes that are kept back
local WHOLE = 16384 -- bytes that are copied behind a head, and not sent beside
local KEEPS, OLD = 1, 16
local CLOSES, CHUNKS, SAYS_KEEPS, BARE = 1, 2, 4, 8

Response.meta = {__index = methods, __tostring = function(self)
  return "response: " .. tostring(self.status)
end, __name = "response", __save = function()
  error("a response belongs to one session", 0)
end}

-- With `told` these are eight fields, and a ninth would double the table.
function Response.new(conn, request)
  return setmetatable({status = 200, headers = {}, conn = conn,
    request = request, pending = false, state = false, sent = 0},
    Response.meta)
end

-- -- the head -----------------------------------------------------------------

local function has_no_body(status)
  return status < 200 or status == 204 or status == 205 or status == 304
end

local function check_headers(headers)
  if type(headers) ~= "table" then
    error("headers must be a table, got " .. type(headers), 0)
  end
end

-- The field Content-Length as the handler has set it, a number; or nil. It goes
-- out in digits, whatever kind of number it is.
local function said_length(headers)
  if not headers then return nil end
  check_headers(headers)
  local said, length
  for name, value in pairs(headers) do
    if type(name) == "string" and name:lower() == "content-length" then
      local n = tonumber(value)
      if not n or n < 0 or n % 1 ~= 0 or n > 2^53 then
        error("the header field Content-Length must be a number of bytes, " ..
          "not " .. tostring(value), 0)
      end
      if length then
        error("the header field Content-Length is there twice", 0)
      end
      said, length = name, n
    end
  end
  if said then headers[said] = ("%.0f"):format(length) end
  return length
end

local function check_status(status)
  if type(status) ~= "number" or status % 1 ~= 0 or status < 200 or
      status > 599 then
    error("status must be an integer from 200 to 599, got " ..
      (type(status) == "string" and "the string " or "") ..
      tostring(status), 0)
  end
  return status
end

-- Adds to `how` what the connection will do.
local function with_connection(self, how)
  local conn = self.conn
  local request = self.request
  local flags = request.flags
  if flags == KEEPS and conn.keeps and not conn.server.closing then
    return how
  end
  if not has(flags, KEEPS) or conn.server.closing then conn.keeps = false end
  -- The client waits with the body, and may now leave it out: nobody knows what
  -- comes next. And 100 Continue would come in the middle of the response.
  if request.continues then request.continues, conn.keeps = false, false end
  if not conn.keeps then return how + CLOSES end
  if has(flags, OLD) then return how + SAYS_KEEPS end
  return how
end

-- When this was cancelled, nobody knows what has gone out.
local function send(self, data)
  local conn = self.conn
  local stream = conn.stream
  local ok, sent, why = pcall(stream.write, stream, data, conn.timeout)
  if ok and sent then return true end
  conn.keeps, conn.broken = false, ok and why or "interrupted"
  if not ok then error(sent, 0) end
  return nil, why
end

-- How a body goes out whose end is not known yet: a state, what its head says
-- of that, and its length if the handler has said that.
local function plan(self, status, headers)
  local length = said_length(headers)
  local state, how = "chunks", CHUNKS
  -- RFC 9110, 15.3.6: of 205 the head says that there is nothing.
  if status == 205 then return "none", 0, 0 end
  if has_no_body(status) then return "none", BARE end
  if length then
    state, how = "length", 0
  elseif has(self.request.flags, OLD) then
    state, how = "bare", 0
    self.conn.keeps = false
  end
  if self.request.method == "HEAD" then state = "none" end
  return state, how, length
end

-- Sends the head of such a body, and `data` behind it.
local function begin(self, data)
  local status, headers = check_status(self.status), self.headers
  local state, how, length = plan(self, status, headers)
  local head, closes =
    core.head(status, headers, with_connection(self, how),
    status == 205 and 0 or -1)
  if closes then self.conn.keeps = false end
  self.state, self.left, self.told = state, length, status
  if not data or state == "none" then return send(self, head) end
  return self:write_on(data, head)
end

-- Counts data of a body that has begun.
local function count(self, data)
  if self.state == "length" then
    local left = self.left
    if not left then error("the response was interrupted", 0) end
    if #data > left then
      error(("%d bytes more than the header field Content-Length has said")
        :format(#data - left), 0)
    end
    self.left = left - #data
  end
  if self.state ~= "none" then self.sent = self.sent + #data end
end

-- Sends data in a body that has begun, behind `head` if that is given.
function methods:write_on(data, head)
  local state = self.state
  if state == "none" then return true end
  count(self, data)
  if state == "chunks" then
    if #data == 0 then return not head or send(self, head) end
    return send(self, {head or "", core.chunk_head(#data), data, "\r\n"})
  end
  if head then data = {head, data} end
  return send(self, data)
end

-- -- for handlers -------------------------------------------------------------

-- What is written, as a string: a list may have lists in it.
local function flatten(fname, data)
  local kind = type(data)
  if kind == "string" then return data end
  if kind == "number" then return tostring(data) end
  if kind == "table" then
    local parts = {}
    for i = 1, #data do parts[i] = flatten(fname, data[i]) end
    if not parts[1] and next(data) ~= nil then
      error(("bad argument #1 to '%s' (a table without items is no list)")
        :format(fname), 0)
    end
    return table.concat(parts)
  end
  error(("bad argument #1 to '%s' (string, number or list of them expected, " ..
    "got %s)"):format(fname, kind), 0)
end

local function check_open(self, fname)
  if self.state == "done" then
    error(("'%s' of a response that is over"):format(fname), 0)
  end
end

-- response:write(data): true; or nil and why, when the client has gone.
function methods:write(data)
  check_open(self, "write")
  if type(data) ~= "string" then data = flatten("write", data) end
  if self.state then
    if self.conn.broken then return nil, self.conn.broken end
    return self:write_on(data)
  end
  local pending = self.pending
  if pending then data = pending .. data end
  if #data <= KEEP then
    self.pending = data
    return true
  end
  self.pending = false
  return begin(self, data)
end

-- response:flush(): what was written so far goes out; at least the head.
function methods:flush()
  check_open(self, "flush")
  if self.state then
    if self.conn.broken then return nil, self.conn.broken end
    return true
  end
  local pending = self.pending
  self.pending = false
  return begin(self, pending)
end

-- Sends a body as a whole.
local function send_whole(self, body)
  local status, headers = self.status, self.headers
  local how = 0
  if headers then
    check_headers(headers)
    if next(headers) == nil then headers = nil end
  end
  if status ~= 200 and has_no_body(check_status(status)) then
    how = status == 205 and 0 or BARE
    body = ""
  elseif headers then
    local length = said_length(headers)
    if length and length ~= #body and self.request.method ~= "HEAD" then
      error(("the header field Content-Length has said %.0f bytes, not %d")
        :format(length, #body), 0)
    end
  end
  local size = #body
  local is_head = self.request.method == "HEAD"
  local behind = not is_head and size <= WHOLE and body or nil
  local conn = self.conn
  how = with_connection(self, how)
  local rest, closes
  if behind or is_head then
    rest, closes = core.answer(self, conn.stream, status,
      self.lines or headers, how, size, behind)
  else
    rest, closes = core.head(status, self.lines or headers, how, size)
    rest = {rest, body}
  end
  if closes then conn.keeps = false end
  self.state, self.told = "done", status
  self.sent = is_head and 0 or size
  if not rest then return true end
  return send(self, rest)
end

-- response:finish([data]): the end, with data before it. A handler that returns
-- without it has the same effect.
function methods:finish(data)
  local state = self.state
  if state then check_open(self, "finish") end
  if data ~= nil and type(data) ~= "string" then
    data = flatten("finish", data)
  end
  if not state then
    local pending = self.pending
    if pending then data = data and pending .. data or pending end
    return send_whole(self, data or "")
  end
  if data then count(self, data) end
  self.state = "done" -- at once: nothing may be written behind the end
  local conn = self.conn
  if conn.broken then return nil, conn.broken end
  if state == "none" then return true end
  if state == "chunks" then
    if not data or data == "" then return send(self, "0\r\n\r\n") end
    return send(self, {core.chunk_head(#data), data, "\r\n0\r\n\r\n"})
  end
  if state == "length" and self.left ~= 0 then
    -- The client must not take what is next for the rest.
    conn.keeps = false
    conn.stream:abort()
    if not self.left then error("the response was interrupted", 0) end
    error(("%.0f bytes less than the header field Content-Length has said")
      :format(self.left), 0)
  end
  if data then return send(self, data) end
  return true
end

-- response:events([options]): server-sent events; or nil and why.
function methods:events(options)
  check_open(self, "events")
  if options ~= nil and type(options) ~= "table" then
    error("bad argument #1 to 'events' (table expected, got " ..
      type(options) .. ")", 2)
  end
  for name, value in next, options or {} do
    if not (name == "cancel" and type(value) == "boolean" or name == "ping" and
        type(value) == "number" and value > 0) then
      error(("bad argument #1 to 'events' (%s)"):format(
        name == "cancel" and "cancel must be a boolean" or name == "ping" and
        "ping must be a number of seconds above zero" or
        ("unknown option '%s'"):format(tostring(name))), 2)
    end
  end
  if self.state or self.pending then
    error("'events' of a response that has begun", 2)
  end
  local body = self.request.state
  if body ~= "done" and body ~= "broken" and not (options and
      options.cancel == false) then
    error("'events' of a request whose body was not read", 2)
  end
  return require("casting.http.events").begin(self, options or {})
end

local SEND = {headers = "table", types = "table", max_age = "number"}

-- response:send_file(path [, options]): true; or nil and why.
function methods:send_file(path, options)
  check_open(self, "send_file")
  if type(path) ~= "string" or path:find "%z" then
    error("bad argument #1 to 'send_file' (path of a file expected, got " ..
      type(path) .. ")", 2)
  end
  for name, value in next, options or {} do
    if SEND[name] == nil or type(value) ~= SEND[name] then
      error(("bad argument #2 to 'send_file' (%s)"):format(SEND[name] and
        ("%s must be a %s"):format(name, SEND[name]) or
        ("unknown option '%s'"):format(tostring(name))), 2)
    end
  end
  if self.state or self.pending then
    error("'send_file' of a response that has begun", 2)
  end
  return require("casting.http.files").send(self.request, self, path,
    options or {})
end

return Response
