-- answer.lua - what a server has answered a request of the client.
-- SPDX-License-Identifier: MIT
--
-- An answer, which the manual calls a response:
--   status, reason
--   headers       as the server's requests have them
--   url           of the last request, if there were redirects
--   decoded       the coding that was taken off the body, or false
--   body          all of it, if it was not to be streamed
--   exchange      of one that is streamed
--
-- Of a body that is unpacked, `incoming` has more fields:
--   inflater      of inflate.c
--   packed, at    what has come and where to go on in it; nil: nothing
--   whole         what has come so far is whole; nil: nothing has come

local Body = require "casting.http.body"
local core = require "casting.http.core"
local Exchange = require "casting.http.exchange"
local Request = require "casting.http.request"
local Url = require "casting.http.url"

local Answer = {}
local methods = {}
local PIECE = 65536 -- bytes that are read in one go

-- -- what is unpacked ---------------------------------------------------------

local function broken(incoming, why)
  incoming.state, incoming.why = "broken", why
  incoming.conn.keeps = false
  core.inflated(incoming.inflater)
  return nil, why
end

-- The next piece of a body that is unpacked: as Body.some.
local function unpack_some(incoming, most)
  if incoming.state == "broken" then return nil, incoming.why end
  local inflater = incoming.inflater
  while true do
    if not incoming.packed then
      local data, why = Body.some(incoming, PIECE)
      if not data then
        if why ~= "closed" then return nil, why end
        if incoming.whole == false then return broken(incoming, "truncated") end
        core.inflated(inflater)
        return nil, why
      end
      incoming.packed, incoming.at = data, 1
    end
    local data, at, whole = core.inflate(inflater, incoming.packed,
      incoming.at, math.min(most, PIECE))
    if not data then return broken(incoming, "malformed") end
    incoming.at, incoming.whole = at, whole
    if data ~= "" then return data end
    incoming.packed = nil
  end
end

local CODINGS = {gzip = true, ["x-gzip"] = true, deflate = true}

-- The coding of the body that is taken off; or false.
local function decode(x, headers)
  local coding = headers["content-encoding"]
  coding = coding and coding:lower()
  if not CODINGS[coding] or not Exchange.decodes(x.job) or
      x.incoming.state == "done" then
    return false
  end
  headers["content-encoding"], headers["content-length"] = nil, nil
  x.incoming.inflater = core.inflater(coding ~= "deflate")
  return coding
end

-- -- making -------------------------------------------------------------------

local function some_of(incoming)
  return incoming.inflater and unpack_some or Body.some
end

-- All of the body; or nil and why.
local function read_all(x)
  local incoming = x.incoming
  if incoming.state == "done" then return "" end
  if incoming.state == "body" and not incoming.inflater and
      incoming.left > x.job.max_body then
    return Body.too_long(incoming)
  end
  return Body.gather(incoming, some_of(incoming), math.huge)
end

-- Makes the answer of an exchange whose head is there. Returns nil and why if
-- the body cannot be read.
function Answer.new(x)
  local headers = setmetatable(core.fields(x.head), Request.headers)
  local self = {status = x.status, reason = x.reason, headers = headers,
    url = Url.text(x.url), decoded = decode(x, headers)}
  if x.job.stream then
    x.conn.deadline, x.job.deadline = nil, nil
    self.exchange = x
    if x.incoming.state == "done" then x:finish() end
    return setmetatable(self, Answer.meta)
  end
  local why, failure
  self.body, why = read_all(x)
  if not self.body then why, failure = x:cause(why) end
  x:finish()
  if failure then error(failure[1], 0) end
  if not self.body then return nil, why end
  return self
end

-- -- for programs -------------------------------------------------------------

-- response:read([what]): nothing: the next piece; a number: so many bytes, less
-- only at the end; "a": all that is left. Returns nil, "closed" at the end.
function methods:read(what)
  local wanted = Body.wanted(what)
  local x = self.exchange
  local incoming = x.incoming
  -- A read that was cancelled, or ran out of time, leaves a connection that is
  -- good for this body only.
  if x.reading then incoming.conn.keeps = false end
  x.reading = true
  local data, why, rest
  if wanted then
    data, why, rest = Body.gather(incoming, some_of(incoming), wanted)
  else
    data, why = Body.next(incoming, some_of(incoming))
  end
  x.reading = false
  local state, failure = incoming.state, nil
  if why and why ~= "closed" then why, failure = x:cause(why) end
  if x.host and (state == "done" or state == "broken") then
    x:finish()
  elseif why == "timeout" then
    incoming.conn.keeps = false
  end
  if failure then error(failure[1], 0) end
  if data then return data end
  if rest then return nil, why, rest end
  return nil, why
end

-- response:close(): drops what was not read, and the connection with it. True;
-- false: it was over.
function methods:close()
  local x = self.exchange
  local incoming = x.incoming
  if incoming.state ~= "done" then
    incoming.state, incoming.why = "broken", "the response was closed"
  end
  incoming.packed, incoming.kept = nil, nil
  if incoming.inflater then core.inflated(incoming.inflater) end
  if not x.host then return false end
  x:finish()
  return true
end

Answer.meta = {__index = methods, __close = methods.close,
  __name = "response", __tostring = function(self)
    return "response: " .. self.status
  end, __save = function()
    error("the response is streamed: it belongs to one session", 0)
  end}

return Answer
