-- request.lua - what a handler of casting.http is asked.
-- SPDX-License-Identifier: MIT
--
-- A request:
--   method, target        as they came
--   path                  of the target, decoded
--   text                  what stands behind the "?" of the target, as it came;
--                         false: there is none
--   authority             what the client calls this server, "host" or
--                         "host:port": that of the target if it is a whole URL
--                         (`absolute`), or the field Host; "": it has not said
--   host, port            the address and the port of the client
--   stream                the connection
--   response              what answers it, see response.lua
-- and what is made when it is first looked at: headers, query, authority, text,
-- host, port, stream,
-- and for the functions here:
--   conn                  the connection, see server.lua
--   head                  as it came
--   reader                reads the parts of a form, see form.lua
--   entries, entry        a form as far as it was read, and a part of it that
--                         was begun; nil: nobody has asked for one
--   form_read, form_why   all of it is there; or why it cannot be read
--   victim                the task that is cancelled when the client has gone
-- and what body.lua needs to read the body

local casting = require "casting"
local Body = require "casting.http.body"
local core = require "casting.http.core"
local Form = require "casting.http.form"

local Request = {}

local methods = {}
local KEEPS = 1

-- -- what is made when it is looked at ----------------------------------------

-- Names are in lower case; another spelling finds them too.
Request.headers = {__index = function(t, name)
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

-- What most requests have not is nowhere until there is some.
local defaults =
  {absolute = false, continues = false, gone = false, got = 0, left = 0}

local made = {
  authority = function(self) return core.field(self.head, "host") or "" end,
  headers = function(self)
    local fields = core.fields(self.head)
    if self.absolute then fields.host = self.authority end
    return setmetatable(fields, Request.headers)
  end,
  query = function(self) return self.text and decode_query(self.text) or {} end,
  text = function(self) return self.target:match "%?(.*)$" or false end,
  host = function(self) return self.conn.host end,
  port = function(self) return self.conn.port end,
  stream = function(self) return self.conn.stream end,
}

Request.meta = {__index = function(self, name)
  local method = methods[name]
  if method then return method end
  local make = made[name]
  if not make then return defaults[name] end
  local value = make(self)
  rawset(self, name, value)
  return value
end, __tostring = function(self)
  return ("request: %s %s"):format(self.method, self.target)
end, __name = "request", __save = function()
  error("a request belongs to one session", 0)
end}

-- Makes a request of a table that has method, target, path, conn, head, flags,
-- state (that of a request without a body) and response (false): what each
-- request needs, so that looking at it calls no function, and no more, since
-- making the table is a large part of what a request costs.
function Request.new(self, length)
  if self.flags ~= KEEPS then
    self.left = length
    Body.begin(self)
  end
  return setmetatable(self, Request.meta)
end

-- -- the body -----------------------------------------------------------------

-- request:read([what]): nothing: the next piece; a number: so many bytes, less
-- only at the end; "a": all that is left. Returns nil, "closed" at the end.
methods.read = Body.read
methods.form, methods.part = Form.read, Form.part

-- request:closed([options]): a channel that closes when the client has gone.
-- From then on nothing else may read of the connection before the handler
-- returns. With the option `cancel` the calling task is cancelled, too.
function methods:closed(options)
  if options ~= nil and type(options) ~= "table" then
    error("bad argument #1 to 'closed' (table expected, got " .. type(options)
      .. ")", 2)
  end
  for name, value in next, options or {} do
    if name ~= "cancel" or type(value) ~= "boolean" then
      error(("bad argument #1 to 'closed' (%s)"):format(name == "cancel" and
        "cancel must be a boolean" or
        ("unknown option '%s'"):format(tostring(name))), 2)
    end
  end
  local state = self.state
  if state == "over" then error("'closed' of a request that is over", 2) end
  if state ~= "done" and state ~= "broken" then
    error("'closed' of a request whose body was not read", 2)
  end
  if options and options.cancel then self.victim = casting.self() end
  local gone = self.gone
  if gone then return gone end
  gone = casting.channel()
  self.gone = gone
  local stream = self.stream
  self.conn.special = true
  self.conn.watcher = casting.spawn(function()
    -- What comes is the next request, which waits; behind it nothing is seen.
    if stream:peek(1) then return end
    gone:close()
    if self.victim then self.victim:cancel "the client has gone" end
  end)
  return gone
end

-- request:websocket([options]): see handshake.lua.
function methods:websocket(options)
  local ws, why = require("casting.http.handshake").accept(self, options)
  return ws, why -- no tail call: errors tell of who has called this
end

return Request
