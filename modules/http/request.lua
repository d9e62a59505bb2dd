-- request.lua - what a handler of casting.http is asked, and the body of it.
-- SPDX-License-Identifier: MIT
--
-- A request:
--   method, target        as they came
--   path                  of the target, decoded
--   text                  what stands behind the "?" of the target, as it came;
--                         false: there is none
--   host, port            the address and the port of the client
--   stream                the connection
--   headers, query        made when they are first looked at
-- and for the functions here:
--   conn                  the connection, see server.lua
--   head                  as it came
--   flags                 what core.request has said
--   left                  bytes of the body, or of its chunk, that are not read
--   got                   bytes of the body so far
--   state                 "body", "chunk" (a line with a size comes next), or
--                         "done"
--   continues             the client waits for 100 Continue
--   reader                reads the parts of a form, see form.lua
--   victim                the task that is cancelled when the client has gone

local casting = require "casting"
local core = require "casting.http.core"
local Form = require "casting.http.form"

local Request = {}

local CHUNKED, EXPECTS, HAS_LENGTH = 2, 4, 32
local function has(flags, flag) return flags % (2 * flag) >= flag end
Request.has = has

-- Bytes of a line before a chunk, and of all lines behind the last one.
local MOST_LINE, MOST_TRAILER = 4096, 16384
-- Bytes that are read in one go.
local PIECE = 65536

local methods = {}

-- -- what is made when it is looked at ----------------------------------------

-- Names are in lower case; another spelling finds them too.
local Headers = {__index = function(t, name)
  if type(name) ~= "string" then return nil end
  local lower = name:lower()
  if lower == name then return nil end
  return rawget(t, lower)
end}

local function decode_query(text)
  local query = {}
  Form.each(text, function(name, value)
    if query[name] == nil then query[name] = value end
  end)
  return query
end

local made = {
  headers = function(self)
    return setmetatable(core.fields(self.head), Headers)
  end,
  query = function(self) return self.text and decode_query(self.text) or {} end,
}

Request.meta = {__index = function(self, name)
  local method = methods[name]
  if method then return method end
  local make = made[name]
  if not make then return nil end
  local value = make(self)
  rawset(self, name, value)
  return value
end, __tostring = function(self)
  return ("request: %s %s"):format(self.method, self.target)
end, __name = "request"}

-- Makes a request of a table with all of its fields, so that looking at one
-- does not call a function: `left` is the length that was said.
function Request.new(self)
  local flags = self.flags
  if has(flags, CHUNKED) then
    self.state, self.left = "chunk", 0
    self.continues = has(flags, EXPECTS)
  elseif has(flags, HAS_LENGTH) and self.left > 0 then
    self.state = "body"
    self.continues = has(flags, EXPECTS)
  else
    self.state = "done"
  end
  return setmetatable(self, Request.meta)
end

-- -- the body -----------------------------------------------------------------

-- The body cannot be read on: the connection is of no use any more.
local function broken(self, why)
  self.state = "broken"
  self.why = why
  self.conn.keeps = false
  return nil, why
end

-- The fields behind the last chunk, which are dropped.
local function read_trailer(self, stream, timeout)
  local left = MOST_TRAILER
  while true do
    local line, why = stream:read_until("\r\n", left, timeout)
    if not line then return broken(self, why) end
    if line == "" then
      self.state = "done"
      return true
    end
    left = left - #line
    if left <= 0 or not core.trailer(line) then
      return broken(self, "malformed")
    end
  end
end

-- The line before the next chunk. Returns true; or nil and why.
local function next_chunk(self, stream, timeout)
  local line, why = stream:read_until("\r\n", MOST_LINE, timeout)
  local size = line and core.chunk_size(line)
  if not size then return broken(self, line and "malformed" or why) end
  if size == 0 then return read_trailer(self, stream, timeout) end
  self.left = size
  self.state = "body"
  return true
end

-- The next piece, of `most` bytes at most; nil, "closed" at the end; or nil and
-- why.
local function read_some(self, most)
  local stream, timeout = self.stream, self.conn.timeout
  if self.continues then
    self.continues = false
    local ok, why = stream:write("HTTP/1.1 100 Continue\r\n\r\n", timeout)
    if not ok then return broken(self, why) end
  end
  if self.state == "chunk" then
    local ok, why = next_chunk(self, stream, timeout)
    if not ok then return nil, why end
  end
  if self.state == "broken" then return nil, self.why end
  if self.state == "done" then return nil, "closed" end
  if most > self.left then most = self.left end
  if most > PIECE then most = PIECE end
  local data, why = stream:read(nil, {max = most, timeout = timeout})
  if not data then
    if why == "timeout" then return nil, why end
    return broken(self, why == "closed" and "truncated" or why)
  end
  self.left = self.left - #data
  self.got = self.got + #data
  if self.left == 0 then
    if not has(self.flags, CHUNKED) then
      self.state = "done"
    else
      local ending
      ending, why = stream:read(2, timeout)
      if ending ~= "\r\n" then
        broken(self, ending and "malformed" or why)
      else
        self.state = "chunk"
      end
    end
  end
  return data
end

local function too_long(self)
  self.conn.keeps = false
  return nil, "too long"
end

-- request:read([what]): nothing: the next piece; a number: so many bytes, less
-- only at the end; "a": all that is left. Returns nil, "closed" at the end.
function methods:read(what)
  local most = self.conn.body
  if what == nil then
    if self.state ~= "done" and self.got >= most and most > 0 and
        self.left > 0 then
      return too_long(self)
    end
    return read_some(self, PIECE)
  end
  local wanted
  if what == "a" then
    wanted = math.huge
  elseif type(what) == "number" and what >= 0 and what % 1 == 0 then
    wanted = what
  else
    error("bad argument #1 to 'read' (a number of bytes or \"a\" expected, " ..
      "got " .. (type(what) == "string" and ("%q"):format(what) or type(what))
      .. ")", 2)
  end
  local parts, n, size = {}, 0, 0
  while size < wanted do
    if size > most then return too_long(self) end
    local data, why = read_some(self, wanted - size)
    if not data then
      if why ~= "closed" then return nil, why, table.concat(parts) end
      if size == 0 and what ~= "a" then return nil, why end
      break
    end
    n = n + 1
    parts[n] = data
    size = size + #data
  end
  if size > most then return too_long(self) end
  return table.concat(parts)
end

methods.form, methods.part = Form.read, Form.part

-- Reads what the handler has left of the body, if that is not much. Returns
-- whether the connection can go on.
function Request.drain(self)
  if self.state == "done" then return true end
  -- The client has perhaps not begun to send it, or has.
  if self.continues or self.state == "broken" then return false end
  local left = 4 * PIECE
  while left > 0 do
    local data, why = read_some(self, PIECE)
    if not data then return why == "closed" end
    left = left - #data
  end
  return false
end

-- request:closed([options]): a channel that closes when the client has gone.
-- From then on nothing else may read of the connection before the handler
-- returns. With the option `cancel` the calling task is cancelled, too.
function methods:closed(options)
  if options ~= nil and type(options) ~= "table" then
    error("bad argument #1 to 'closed' (table expected, got " .. type(options)
      .. ")", 2)
  end
  for name, value in pairs(options or {}) do
    if name ~= "cancel" or type(value) ~= "boolean" then
      error(("bad argument #1 to 'closed' (%s)"):format(name == "cancel" and
        "cancel must be a boolean" or
        ("unknown option '%s'"):format(tostring(name))), 2)
    end
  end
  if options and options.cancel then self.victim = casting.self() end
  local gone = self.gone
  if gone then return gone end
  gone = casting.channel()
  self.gone = gone
  local stream = self.stream
  self.watcher = casting.spawn(function()
    -- What comes is the next request, which waits; behind it nothing is seen.
    if stream:peek(1) then return end
    gone:close()
    if self.victim then self.victim:cancel "the client has gone" end
  end)
  return gone
end

return Request
