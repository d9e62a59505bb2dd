-- tls.lua - casting.tls: TLS over the streams of casting.net, on OpenSSL.
-- SPDX-License-Identifier: MIT

local core = require "casting.tls.core"

local tls = {}

-- -- arguments ----------------------------------------------------------------

-- What programs call here; all else is called by the library's functions.
local HERE = {context = true, reload = true}

-- Raises, with the line of the program that has called the function `fname`;
-- i: of the argument that is wrong, or nil.
local function bad(fname, i, problem)
  core.bad(i, fname, problem, not HERE[fname])
end

-- What a value is, as messages show it.
local function got(v)
  if v == nil then return "nil" end
  if type(v) == "number" or type(v) == "boolean" then return tostring(v) end
  return type(v)
end

-- Fields of a context, with their types; and those of one connection.
local CONTEXT = {
  server = "boolean", cert = "string", key = "string", password = "string",
  ca = "string", alpn = "table", min = "string", max = "string",
  ciphers = "string", hosts = "table", buffers = "boolean", verify = "any"}
local CONNECTION = {
  name = "string", timeout = "number", context = "any"}
local IDENTITY = {cert = "string", key = "string", password = "string"}

local VERSIONS = {["1.2"] = 0x0303, ["1.3"] = 0x0304}

local function check_fields(fname, i, t, known, more, where)
  for k, v in next, t do
    local wanted = known[k] or more and more[k]
    if not wanted then
      bad(fname, i, ("unknown option '%s'%s"):format(tostring(k), where or ""))
    end
    if wanted ~= "any" and type(v) ~= wanted then
      bad(fname, i, ("%s must be a %s, got %s%s"):format(
        k, wanted, got(v), where or ""))
    end
    if wanted == "string" and v:find "%z" then
      bad(fname, i, ("%s must have no zero bytes%s"):format(k, where or ""))
    end
  end
end

-- A list of protocols, as the protocol has it: each with its length before it.
local function read_alpn(fname, i, list)
  if list == nil then return nil end
  local parts = {}
  for k = 1, #list do
    local name = list[k]
    if type(name) ~= "string" or #name < 1 or #name > 255 then
      bad(fname, i, "alpn must be a list of names of 1 to 255 bytes")
    end
    parts[k] = string.char(#name) .. name
  end
  local text = table.concat(parts)
  if #parts == 0 or #text > 65535 then
    bad(fname, i, "alpn must be a list of names, and not be empty")
  end
  return text
end

local function read_version(fname, i, option, v)
  if v == nil then return nil end
  if not VERSIONS[v] then
    bad(fname, i, ('%s must be "1.2" or "1.3", got "%s"'):format(option, v))
  end
  return VERSIONS[v]
end

local VERIFY = {["optional"] = 2, [true] = 1, [false] = 0}

local function read_verify(fname, i, o)
  local v = o.verify
  if v == nil then v = not o.server end
  if VERIFY[v] == nil or v == "optional" and not o.server then
    bad(fname, i, "verify must be true or false" ..
      (o.server and ', or "optional"' or "") .. ", got " ..
      (type(v) == "string" and '"' .. v .. '"' or got(v)))
  end
  return VERIFY[v]
end

local function read_hosts(fname, i, o)
  if o.hosts == nil then return nil end
  if not o.server then bad(fname, i, "only a server has hosts") end
  local list = {}
  for pattern, own in pairs(o.hosts) do
    if type(pattern) ~= "string" or type(own) ~= "table" then
      bad(fname, i, "hosts must map names to tables with cert and key")
    end
    local where = (" of the host '%s'"):format(pattern)
    check_fields(fname, i, own, IDENTITY, nil, where)
    if not own.cert then bad(fname, i, "cert is missing" .. where) end
    list[#list + 1] = {pattern = pattern:lower(), cert = own.cert,
      key = own.key, password = own.password}
  end
  return list
end

-- The options of a context, as the part in C wants them.
local function read_context(fname, i, o)
  if o.server and not o.cert then
    bad(fname, i, "a server needs a certificate: cert and key are missing")
  end
  if o.key and not o.cert then bad(fname, i, "a key without cert") end
  if o.server and o.verify and not o.ca then
    bad(fname, i, "ca is missing: who has signed the certificates of clients")
  end
  local min = read_version(fname, i, "min", o.min)
  local max = read_version(fname, i, "max", o.max)
  if min and max and min > max then
    bad(fname, i, "min must not be above max")
  end
  return {server = o.server, cert = o.cert, key = o.key, password = o.password,
    ca = o.ca, verify = read_verify(fname, i, o), min = min, max = max,
    alpn = read_alpn(fname, i, o.alpn), ciphers = o.ciphers,
    hosts = read_hosts(fname, i, o), buffers = o.buffers}
end

-- -- contexts -----------------------------------------------------------------

-- tls.context(options): a context; or nil and why.
function tls.context(options)
  if type(options) ~= "table" then
    bad("context", 1, "table expected, got " .. got(options))
  end
  check_fields("context", 1, options, CONTEXT)
  return core.context(read_context("context", 1, options))
end

-- context:reload(options): true; or nil and why, and all is as it was.
function core.methods.reload(context, options)
  local side = core.is_context(context)
  if not side then
    bad("reload", 1, "TLS context expected, got " .. got(context))
  end
  if type(options) ~= "table" then
    bad("reload", 2, "table expected, got " .. got(options))
  end
  check_fields("reload", 2, options, CONTEXT)
  local o = {}
  for k, v in next, options do o[k] = v end
  if o.server == nil then o.server = side == "server" end
  if o.server ~= (side == "server") then
    bad("reload", 2, "this is the context of a " .. side)
  end
  return core.replace(context, read_context("reload", 2, o))
end

-- That of clients who say nothing.
local usual

local function usual_context()
  local why
  if not usual then usual, why = tls.context {} end
  return usual, why
end

-- -- connections --------------------------------------------------------------

local HANDSHAKE = 10 -- seconds that a handshake may take

-- The option `tls` of another function, or the argument of starttls: a table
-- with the context, name and timeout; or nil and why. Raises if it is bad.
function tls.options(fname, i, o, listens)
  if o == true and not listens then o = {} end
  local side = core.is_context(o)
  if side then o = {context = o} end
  if type(o) ~= "table" then
    bad(fname, i, "tls must be " .. (listens and "" or "true, ") ..
      "a table or a TLS context, got " .. got(o))
  end
  check_fields(fname, i, o, CONTEXT, CONNECTION)
  local timeout = o.timeout or HANDSHAKE
  if timeout ~= timeout or timeout < 0 then
    bad(fname, i, "timeout must be a number of seconds, zero or more")
  end
  local own, simple = {}, true
  for k in pairs(CONTEXT) do
    own[k] = o[k]
    if o[k] ~= nil then simple = false end
  end
  if listens and own.server == nil then own.server = true end
  local context, why = o.context
  if context ~= nil then
    side = core.is_context(context)
    if not side then
      bad(fname, i, "context must be a TLS context, got " .. got(context))
    end
    if not simple then
      bad(fname, i, "a context has all options but name and timeout")
    end
  else
    local settings = read_context(fname, i, own)
    if simple and not listens then
      context, why = usual_context()
    else
      context, why = core.context(settings)
    end
    if not context then return nil, why end
    side = core.is_context(context)
  end
  if listens and side ~= "server" then
    bad(fname, i, "a listener needs the context of a server")
  elseif fname == "connect" and side ~= "client" then
    bad(fname, i, "a client needs the context of a client, not of a server")
  end
  return {context = context, side = side, name = o.name, timeout = timeout,
    given = o.timeout}
end

-- Raises if it is not known whose certificate a client has to see.
function tls.need_name(fname, i, o, name)
  if o.side == "client" and not (o.name or name) and
      core.verifies(o.context) then
    bad(fname, i, "name is missing: that of the other side, which its " ..
      "certificate must have; or verify = false")
  end
end

-- A name as certificates have it: without the dot at its end.
local function plain(name)
  if name and #name > 1 and name:sub(-1) == "." then return name:sub(1, -2) end
  return name
end

-- Starts TLS over the stream, with what tls.options has returned. The name is
-- that of the other side, unless the options say another one. Returns the
-- stream; or nil and why, and it is closed.
function tls.begin(fname, stream, o, name, timeout)
  name = plain(o.name or name)
  local key
  if o.side == "client" then
    if name and (#name == 0 or #name > 255 or name:find "^%." or
        name:find "%z") then
      stream:close()
      return nil, "not a host name"
    end
    local host, port = stream:peer()
    key = (name or host or "") .. " " .. tostring(port)
  else
    name = nil
  end
  local ok, why = core.start(stream, o.context, name, key)
  if why == "misuse" then
    bad(fname, nil, stream:name() and "a task waits for this stream" or
      "this stream is no socket")
  elseif why == "twice" then
    bad(fname, nil, "this stream has TLS already")
  end
  local called = true
  if ok then
    if not timeout or o.given and o.given < timeout then timeout = o.timeout end
    called, ok, why = pcall(stream.write, stream, "", timeout)
  end
  if called and ok then return stream end
  pcall(stream.close, stream)
  if not called then error(ok, 0) end
  return nil, why
end

-- stream:starttls(options)
function tls.start(stream, options)
  local o, why = tls.options("starttls", 2, options == nil and true or options)
  if not o then
    stream:close()
    return nil, why
  end
  tls.need_name("starttls", 2, o)
  return tls.begin("starttls", stream, o, nil, nil)
end

-- The listener's connections speak TLS from now on.
function tls.listen(listener, o)
  local ok, why = core.listen(listener, o.context)
  if ok then return listener end
  listener:close()
  return nil, why
end

tls.version = core.version()
tls.is_context = core.is_context

return tls
