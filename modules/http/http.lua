-- http.lua - casting.http: HTTP/1.1 over the streams of casting.net.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local core = require "casting.http.core"
local net = casting.net

local http = {}

-- -- arguments ----------------------------------------------------------------

local function bad(fname, i, problem, level)
  error(("bad argument #%d to '%s' (%s)"):format(i, fname, problem), level or 3)
end

local function got(v)
  if type(v) == "number" or type(v) == "boolean" then return tostring(v) end
  return type(v)
end

local SERVE = {sessions = "any", limit = "any", grace = "any",
  handshake = "any", header = "seconds", idle = "seconds", timeout = "seconds",
  body = "bytes", max_header = "header", log = "function"}

-- What is wrong with a number of that kind; nil: nothing.
local function problem_of(kind, v)
  local is_above = type(v) == "number" and v > 0
  if kind == "seconds" then
    return not is_above and "a number of seconds above zero" or nil
  elseif kind == "bytes" then
    return not (is_above and (v % 1 == 0 or v == math.huge)) and
      "an integer above zero, or math.huge" or nil
  end
  return not (is_above and v % 1 == 0 and v <= 2147483648) and
    "an integer from 1 to 2^31" or nil
end

local NUMBERS = {seconds = true, bytes = true, header = true}

local function read_options(fname, i, given, known)
  if given == nil then return {} end
  if type(given) ~= "table" then
    bad(fname, i, "table expected, got " .. got(given), 4)
  end
  local o = {}
  for k, v in next, given do
    local wanted = known[k]
    if not wanted then
      bad(fname, i, ("unknown option '%s'"):format(tostring(k)), 4)
    elseif NUMBERS[wanted] then
      local problem = problem_of(wanted, v)
      if problem then
        bad(fname, i, ("%s must be %s, got %s"):format(k, problem, got(v)), 4)
      end
    elseif wanted ~= "any" and type(v) ~= wanted then
      bad(fname, i, ("%s must be a %s, got %s"):format(k, wanted, got(v)), 4)
    end
    o[k] = v
  end
  return o
end

-- -- serving ------------------------------------------------------------------

-- The listener of http.serve: it was given, or is made of {host, port}.
local function listener_of(where)
  local kind = got(where)
  if kind == "userdata" then kind = tostring(where):match "^%a+" end
  if kind == "listener" then return where, false end
  if kind ~= "table" then
    bad("serve", 1, "listener or {host, port} expected, got " .. kind, 4)
  end
  for k in next, where do
    if k ~= 1 and k ~= 2 and k ~= "tls" then
      bad("serve", 1, ("listener or {host, port} expected, got a table with " ..
        "the unknown field '%s'"):format(tostring(k)), 4)
    end
  end
  local ok, listener, why =
    pcall(net.listen, where[1], where[2], {tls = where.tls})
  if not ok then
    local problem = type(listener) == "string" and
      listener:match "bad argument #%d to 'listen' %((.*)%)$"
    if problem then bad("serve", 1, "{host, port}: " .. problem, 4) end
    error(listener, 0)
  end
  if not listener then return nil, why end
  return listener, true
end

-- What listener:serve says of a log that cannot be sent is about its function.
local function about_log(e)
  if type(e) ~= "string" then return e end
  return (e:gsub("^bad argument #2 to 'serve' %((.-)argument 1: " ..
    "upvalue 'o'%.log ?", "bad argument #3 to 'serve' (log: %1"))
end

-- http.serve(where, handler [, options])
function http.serve(where, handler, options)
  if type(handler) ~= "function" then
    bad("serve", 2, "function expected, got " .. got(handler))
  end
  local o = read_options("serve", 3, options, SERVE)
  o.header, o.idle, o.timeout = o.header or 10, o.idle or 60, o.timeout or 60
  o.body, o.max_header = o.body or 1048576, o.max_header or 65536
  o.log = o.log or false
  local listener, ours = listener_of(where)
  if not listener then return nil, ours end
  local own = {sessions = o.sessions, limit = o.limit, grace = o.grace,
    handshake = o.handshake}
  o.sessions = nil
  local function finish(ok, ...)
    require("casting.http.server").leave(listener)
    if ours then listener:close() end
    if not ok then error(about_log((...)), 0) end
    return ...
  end
  return finish(pcall(listener.serve, listener, function(stream, host, port)
    return require("casting.http.server").connection(listener, handler, o,
      stream, host, port)
  end, own))
end

-- -- files --------------------------------------------------------------------

local FILES = {index = "any", cache = "seconds", max_age = "seconds",
  headers = "table", types = "table", dotfiles = "boolean",
  missing = "function"}

-- http.files(root [, options])
function http.files(root, options)
  if type(root) ~= "string" or root == "" or root:find "%z" then
    bad("files", 1, "path of a directory expected, got " ..
      (type(root) == "string" and ("%q"):format(root) or got(root)))
  end
  local o = read_options("files", 2, options, FILES)
  if o.index == nil then o.index = "index.html" end
  if o.index ~= false and (type(o.index) ~= "string" or
      o.index:find "[/%z]" or o.index == "") then
    bad("files", 2, "index must be the name of a file or false, got " ..
      got(o.index))
  end
  local ok, problem = pcall(core.lines, o.headers or {})
  if not ok then bad("files", 2, "headers: " .. problem) end
  return require("casting.http.files").handler(root, o)
end

-- http.websocket(url [, options])
function http.websocket(url, options)
  local ws, why, status =
    require("casting.http.handshake").connect(url, options)
  return ws, why, status -- no tail call: errors tell of who has called this
end

-- -- asking -------------------------------------------------------------------

-- The rest is loaded when it is first used: many programs only serve.
local Client, Jar

-- http.request(url [, options]), http.request{url = ...}
function http.request(url, options)
  Client = Client or require "casting.http.client"
  local answer, why = Client.request(url, options)
  return answer, why
end

-- http.client([options])
function http.client(options)
  Client = Client or require "casting.http.client"
  local client = Client.new(options)
  return client
end

-- http.jar([cookies])
function http.jar(cookies)
  Jar = Jar or require "casting.http.jar"
  local jar = Jar.new(cookies)
  return jar
end

-- http.resolve(url, reference)
function http.resolve(url, reference)
  if type(url) ~= "string" then
    bad("resolve", 1, "string expected, got " .. got(url))
  elseif type(reference) ~= "string" then
    bad("resolve", 2, "string expected, got " .. got(reference))
  end
  local Url = require "casting.http.url"
  local base, problem = Url.read(url)
  if not base then bad("resolve", 1, "no URL: " .. problem) end
  local found, why = Url.resolve(base, reference)
  if not found then return nil, why end
  return Url.text(found)
end

-- http.encode(text)
function http.encode(text)
  if type(text) ~= "string" and type(text) ~= "number" then
    bad("encode", 1, "string expected, got " .. got(text))
  end
  return core.encode(text)
end

-- http.date([time])
function http.date(time)
  if time ~= nil and type(time) ~= "number" then
    bad("date", 1, "number expected, got " .. got(time))
  end
  local ok, text = pcall(core.date, time)
  if not ok then bad("date", 1, "a time in the years 1 to 9999 expected") end
  return text
end

return http
