-- body.lua - the body of a message that comes, read piece by piece.
-- SPDX-License-Identifier: MIT
--
-- Where it ends is said by the head (RFC 9112, 6.3). What has a body, a request
-- in the server or a response in the client, has these fields:
--   stream
--   conn        of it: `timeout`, seconds of one read; or `deadline`, when all
--               must be over; `body`, bytes that there may be; `keeps`, which
--               is false when the connection is of no use any more
--   flags       what core.request or core.response has said
--   left        bytes of the body, or of its chunk, that are not read
--   got         bytes of the body so far
--   state       "body"; "chunk": a line with a size comes next; "ending": the
--               end of a chunk does; "trailer": fields behind the last one, of
--               which `left` bytes may come; "bare": all to the end of the
--               connection is body; "done"; "broken"; or "over": it belonged to
--               a request whose handler has returned
--   why         it is broken
--   folds       a line of the trailer has come that may be folded
--   kept        pieces that a read had taken when it was cancelled, or nil
--   extras      bytes of chunk lines beside the sizes; nil: there were none
--   continues   the client waits for 100 Continue

local casting = require "casting"
local core = require "casting.http.core"

local Body = {}

local CHUNKED, EXPECTS, HAS_LENGTH = 2, 4, 32
local function has(flags, flag) return flags % (2 * flag) >= flag end
Body.has = has

-- Bytes of a line before a chunk, and of all lines behind the last one.
local MOST_LINE, MOST_TRAILER = 4096, 16384
-- Bytes that the lines before chunks may have beside the sizes, in all, and one
-- more for so many bytes of the body: extensions are read, and are of no use.
local MOST_EXTRAS, BYTES_PER_EXTRA = 16384, 8
local SIZE = 12 -- digits of a size
-- Bytes that are read in one go.
local PIECE = 65536
-- Bytes of a body that are dropped for the sake of the connection, and seconds.
local MOST_DRAINED, PATIENCE = 262144, 2

-- Sets the state of a body, of which `flags` and `left`, the length, are there.
-- `bare`: without a length it goes on to the end of the connection, as that of
-- a response does.
function Body.begin(self, bare)
  local flags = self.flags
  if has(flags, CHUNKED) then
    self.state, self.left = "chunk", 0
  elseif has(flags, HAS_LENGTH) then
    self.state = self.left > 0 and "body" or "done"
  else
    self.state = bare and "bare" or "done"
  end
  if self.state ~= "done" then self.continues = has(flags, EXPECTS) end
end

-- The body cannot be read on: the connection is of no use any more.
local function broken(self, why)
  if self.state == "broken" then return nil, self.why end
  self.state = "broken"
  self.why = why
  self.conn.keeps = false
  return nil, why
end

local function timeout_of(conn)
  local deadline = conn.deadline
  if not deadline then return conn.timeout end
  return math.max(0, deadline - casting.now())
end

-- A part of the body is missing, or the connection cannot be read; or that
-- takes too long, and the next read goes on.
local function failed(self, why)
  if why == "timeout" then return nil, why end
  return broken(self, why == "closed" and "truncated" or why)
end

-- The fields behind the last chunk, which are dropped. Those of a response may
-- be folded, as in its head.
local function read_trailer(self, stream)
  while true do
    local line, why =
      stream:read_until("\r\n", self.left, timeout_of(self.conn))
    if not line then return failed(self, why) end
    if line == "" then
      self.state = "done"
      return true
    end
    self.left = self.left - #line - 2
    if self.left <= 0 then return broken(self, "too long") end
    local goes_on = self.folds and line:find "^[ \t]" and core.is_value(line)
    if not goes_on and not core.trailer(line) then
      return broken(self, "malformed")
    end
    self.folds = not self.conn.server
  end
end

-- The line before the next chunk, and the end of the one before it. Returns
-- true; or nil and why.
local function next_chunk(self, stream)
  if self.state == "trailer" then return read_trailer(self, stream) end
  if self.state == "ending" then
    local ending, why = stream:read(2, timeout_of(self.conn))
    if not ending then return failed(self, why) end
    if ending ~= "\r\n" then return broken(self, "malformed") end
    self.state = "chunk"
  end
  local line, why = stream:read_until("\r\n", MOST_LINE, timeout_of(self.conn))
  if not line then return failed(self, why) end
  local size = core.chunk_size(line)
  if not size then return broken(self, "malformed") end
  if #line > SIZE then
    self.extras = (self.extras or 0) + #line - SIZE
    if self.extras > MOST_EXTRAS + self.got / BYTES_PER_EXTRA then
      return broken(self, "too long")
    end
  end
  if size == 0 then
    self.state, self.left = "trailer", MOST_TRAILER
    return read_trailer(self, stream)
  end
  -- All that a client sends is bounded, however it is read; what a server
  -- sends, only where it is read as a whole.
  local conn = self.conn
  if conn.server and self.got + size > conn.body then
    return broken(self, "too long")
  end
  self.left = size
  self.state = "body"
  return true
end

-- The end of the connection, which is that of a bare body. "a" tells a reset
-- from it.
local function bare_end(self, stream, why)
  if why ~= "closed" or stream:read("a", 0) ~= "" then
    return failed(self, why)
  end
  self.state = "done"
  return nil, "closed"
end

-- The next piece, of `most` bytes at most; nil, "closed" at the end; or nil and
-- why.
local function read_some(self, most)
  local stream = self.stream
  if self.continues then
    self.continues = false
    local ok, why =
      stream:write("HTTP/1.1 100 Continue\r\n\r\n", timeout_of(self.conn))
    if not ok then return broken(self, why) end
  end
  local state = self.state
  if state == "chunk" or state == "ending" or state == "trailer" then
    local ok, why = next_chunk(self, stream)
    if not ok then return nil, why end
  end
  if self.state == "broken" then return nil, self.why end
  if self.state == "done" then return nil, "closed" end
  local bare = self.state == "bare"
  if not bare and most > self.left then most = self.left end
  if most > PIECE then most = PIECE end
  local data, why =
    stream:read(nil, {max = most, timeout = timeout_of(self.conn)})
  if not data then
    if why == "timeout" then return nil, why end
    if bare then return bare_end(self, stream, why) end
    return failed(self, why)
  end
  self.got = self.got + #data
  if bare then return data end
  self.left = self.left - #data
  if self.left == 0 then
    self.state = has(self.flags, CHUNKED) and "ending" or "done"
  end
  return data
end

Body.some = read_some

-- There is more than is read of a body as a whole.
function Body.too_long(self)
  self.conn.keeps = false
  return nil, "too long"
end
local too_long = Body.too_long

-- How much is read, for a method `read`: nil: the next piece.
function Body.wanted(what)
  if what == nil then return nil end
  if what == "a" then return math.huge end
  if type(what) == "number" and what >= 0 and what % 1 == 0 then return what end
  local got = type(what) == "number" and tostring(what) or type(what)
  if got == "string" and #what < 20 then got = ("%q"):format(what) end
  error("bad argument #1 to 'read' (a number of bytes or \"a\" expected, " ..
    "got " .. got .. ")", 3)
end

-- What a cancelled read has taken, `most` bytes of it at most; nil: nothing.
local function take_kept(self, most)
  local text = table.concat(self.kept)
  self.kept = nil
  if #text > most then
    self.kept = {text:sub(most + 1)}
    text = text:sub(1, most)
  end
  return text
end

function Body.next(self, some)
  if self.kept then return take_kept(self, math.huge) end
  return some(self, PIECE)
end

-- Reads `wanted` bytes of what some(self, n) gives, less only at the end; of
-- math.huge, which is all, that may be nothing. Returns a string; or nil and
-- why, and what has come before.
function Body.gather(self, some, wanted)
  local most = self.conn.body
  local parts, n, size = {}, 0, 0
  if self.kept then
    parts[1] = take_kept(self, wanted)
    n, size = 1, #parts[1]
  end
  while size < wanted do
    if size > most then return too_long(self) end
    local ok, data, why = pcall(some, self, wanted - size)
    if not ok then
      if n > 0 then self.kept = parts end
      error(data, 0)
    end
    if not data then
      if why ~= "closed" then return nil, why, table.concat(parts) end
      if size == 0 and wanted ~= math.huge then return nil, why end
      break
    end
    n = n + 1
    parts[n] = data
    size = size + #data
  end
  if size > most then return too_long(self) end
  return n == 1 and parts[1] or table.concat(parts)
end

-- body:read([what]): nothing: the next piece; a number: so many bytes, less
-- only at the end; "a": all that is left. Returns nil, "closed" at the end.
function Body.read(self, what)
  if type(self) ~= "table" then
    error("'read' needs its request: call it with a colon, request:read(...)",
      2)
  end
  local wanted = Body.wanted(what)
  if self.state == "over" then
    error("'read' of a request that is over", 2)
  end
  if wanted then return Body.gather(self, read_some, wanted) end
  return Body.next(self, read_some)
end

-- Reads what nobody has read of the body, if that is not much, and does not
-- take long. Returns whether the connection can go on.
function Body.drain(self)
  if self.state == "done" then return true end
  -- The client has perhaps not begun to send it, or has.
  if self.continues or self.state == "broken" then return false end
  local conn, left = self.conn, MOST_DRAINED
  if self.state == "body" and self.left > left then return false end
  self.kept = nil
  local before, deadline = conn.deadline, casting.now() + PATIENCE
  conn.deadline = before and math.min(before, deadline) or deadline
  local data, why
  repeat
    data, why = read_some(self, PIECE)
    left = left - (data and #data or left)
  until left <= 0
  conn.deadline = before
  return not data and why == "closed"
end

return Body
