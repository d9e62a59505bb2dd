-- asking.lua - what http.client and client:request are given, looked at.
-- SPDX-License-Identifier: MIT
--
-- A job, what a request has to do:
--   url, method
--   fields      fields of the header: name in lower case -> {name, value}
--   cookie      the field Cookie of the program; or nil
--   body        nil, a string, or a function that returns the next piece
--   length      bytes of the body; nil: they come in chunks
--   closes      the program wants the connection to end
-- and of the options, as they are named: timeout, connect, redirects, max_body,
-- max_header, stream, decode, proxy (settings, see proxy.lua), tls, jar, auth.
--
-- What is wrong is raised as a Problem, which the public functions make an
-- error of the program's line of.

local casting = require "casting"
local core = require "casting.http.core"
local Jar = require "casting.http.jar"
local Proxy = require "casting.http.proxy"
local Url = require "casting.http.url"

local Asking = {}

-- -- problems -----------------------------------------------------------------

local Problem = {}

local function bad(i, problem)
  error(setmetatable({i = i, problem = problem}, Problem), 0)
end

local function got(v)
  if type(v) == "number" or type(v) == "boolean" then return tostring(v) end
  return type(v)
end

-- Calls f, a function here, for a public function of that name. What was wrong
-- becomes an error at that level, seen from the caller.
function Asking.call(fname, level, f, ...)
  local ok, v = pcall(f, ...)
  if ok then return v end
  if getmetatable(v) ~= Problem then error(v, 0) end
  error(("bad argument #%d to '%s' (%s)"):format(v.i, fname, v.problem),
    level + 1)
end

-- -- options ------------------------------------------------------------------

local check = {}

function check.seconds(i, name, v)
  if type(v) ~= "number" or v ~= v or v <= 0 then
    bad(i, ("%s must be a number of seconds above zero, got %s"):format(name,
      got(v)))
  end
  return v
end

local function is_count(v)
  return type(v) == "number" and v >= 0 and (v % 1 == 0 or v == math.huge)
end

function check.bytes(i, name, v)
  if not is_count(v) or v == 0 then
    bad(i, ("%s must be an integer above zero, or math.huge, got %s"):format(
      name, got(v)))
  end
  return v
end

-- As stream:read_until has it.
function check.header(i, name, v)
  if not is_count(v) or v == 0 or v > 2147483648 then
    bad(i, ("%s must be an integer from 1 to 2^31, got %s"):format(name,
      got(v)))
  end
  return v
end

function check.count(i, name, v)
  if not is_count(v) then
    bad(i, ("%s must be an integer, zero or more, got %s"):format(name, got(v)))
  end
  return v
end

function check.places(i, name, v)
  if not is_count(v) or v == 0 then
    bad(i, ("%s must be an integer above zero, got %s"):format(name, got(v)))
  end
  return v
end

function check.redirects(i, name, v)
  if v == false then return 0 end
  if not is_count(v) then
    bad(i, name .. " must be false or an integer, zero or more, got " .. got(v))
  end
  return v
end

local function check_type(wanted)
  return function(i, name, v)
    if type(v) ~= wanted then
      bad(i, ("%s must be a %s, got %s"):format(name, wanted, got(v)))
    end
    return v
  end
end
check.string, check.table = check_type "string", check_type "table"
check.boolean = check_type "boolean"
function check.any(_, _, v) return v end

function check.jar(i, name, v)
  if v ~= false and getmetatable(v) ~= Jar.meta then
    bad(i, ("%s must be a jar of http.jar, got %s"):format(name, got(v)))
  end
  return v
end

function check.proxy(i, _, v)
  local settings, problem = Proxy.read(v)
  if not settings then bad(i, problem) end
  return settings
end

-- A context, or settings, of a server would wait for a client to begin.
local function is_of_server(v)
  if v == true then return false end
  if type(v) == "table" then
    if v.server then return true end
    v = v.context
    if v == nil then return false end
  end
  local ok, tls = pcall(casting.require, "casting.tls")
  return ok and tls.is_context(v) == "server"
end

function check.tls(i, name, v)
  if v ~= true and type(v) ~= "table" and type(v) ~= "userdata" then
    bad(i, ("%s must be true, a table or a TLS context, got %s"):format(name,
      got(v)))
  end
  if is_of_server(v) then
    bad(i, name .. " must not be that of a server")
  end
  return v
end

function check.auth(i, name, v)
  if type(v) ~= "table" or type(v[1]) ~= "string" or type(v[2]) ~= "string" or
      v[1]:find(":", 1, true) then
    bad(i, name .. " must be a list of a user, without a colon, and a password")
  end
  return "Basic " .. core.base64(v[1] .. ":" .. v[2])
end

local function is_line(v)
  return type(v) == "number" or type(v) == "string" and core.is_value(v)
end

-- The fields of a header, as a job has them. Names of another spelling are the
-- same.
function check.headers(i, name, v)
  check.table(i, name, v)
  local ok, problem = pcall(core.lines, v)
  if not ok then bad(i, name .. ": " .. problem) end
  local fields = {}
  for k, value in pairs(v) do
    local lower = k:lower()
    if fields[lower] then
      bad(i, ("%s: '%s' comes in two spellings: give a list"):format(name, k))
    end
    fields[lower] = {k, value}
  end
  return fields
end

local BOTH = {timeout = "seconds", connect = "seconds", redirects = "redirects",
  max_body = "bytes", max_header = "header", decode = "boolean",
  proxy = "proxy", tls = "tls", jar = "jar", auth = "auth", headers = "headers"}
local CLIENT = {pool = "count", per_host = "places", idle = "seconds"}
local REQUEST = {url = "string", method = "string", body = "any",
  form = "table", stream = "boolean"}

local function read_options(i, given, more)
  local o = {}
  if given == nil then return o end
  if type(given) ~= "table" then
    bad(i, "table expected, got " .. got(given))
  end
  for k, v in next, given do
    local kind = BOTH[k] or more[k]
    if not kind then
      bad(i, ("unknown option '%s'"):format(tostring(k)))
    end
    o[k] = check[kind](i, k, v)
  end
  return o
end

-- The options of http.client, with all defaults.
function Asking.client(given)
  local o = read_options(1, given, CLIENT)
  o.pool, o.per_host = o.pool or 64, o.per_host or 256
  o.idle = o.idle or 30
  o.timeout, o.connect = o.timeout or 60, o.connect or 30
  o.redirects = o.redirects or 10
  o.max_body = o.max_body or 67108864
  o.max_header = o.max_header or 65536
  if o.decode == nil then o.decode = true end
  local getenv = os and os.getenv -- a sandbox may have none
  o.proxy = o.proxy or getenv and Proxy.environment(getenv) or
    Proxy.read(false)
  return o
end

-- -- bodies -------------------------------------------------------------------

-- A list of strings, numbers and such lists, as one string; nil: it is none.
local function flatten(v)
  local kind = type(v)
  if kind == "string" then return v end
  if kind == "number" then return tostring(v) end
  if kind ~= "table" then return nil end
  local parts = {}
  for k = 1, #v do
    parts[k] = flatten(v[k])
    if not parts[k] then return nil end
  end
  if not parts[1] and next(v) ~= nil then return nil end
  return table.concat(parts)
end

local FORM = "application/x-www-form-urlencoded"

-- A form as HTML has it (as URLs of queries have it, too). Names come in order,
-- so that the same form is the same text.
local function encode_form(i, form)
  local names, pairs_of = {}, {}
  for name in pairs(form) do
    if type(name) ~= "string" then
      bad(i, "form must have strings for names, not a " .. type(name))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = form[name]
    local list = type(value) == "table" and value or {value}
    if #list == 0 and next(list) ~= nil then
      bad(i, ("form: '%s' is a table without items, and no list"):format(name))
    end
    for k = 1, #list do
      local text = list[k]
      if type(text) ~= "string" and type(text) ~= "number" and
          type(text) ~= "boolean" then
        bad(i, ("form: '%s' must be a string, a number, a boolean or a list " ..
          "of these, not a %s"):format(name, type(text)))
      end
      pairs_of[#pairs_of + 1] = core.encode(name) .. "=" ..
        core.encode(tostring(text))
    end
  end
  return table.concat(pairs_of, "&")
end

local function set_body(i, job, o)
  local body = o.body
  if o.form then
    if body ~= nil then bad(i, "body and form at once") end
    body = encode_form(i, o.form)
    if not job.fields["content-type"] then
      job.fields["content-type"] = {"Content-Type", FORM}
    end
  elseif body ~= nil and type(body) ~= "function" then
    body = flatten(body)
    if not body then
      bad(i, "body must be a string, a number, a list of these or a " ..
        "function, got " .. (type(o.body) == "table" and
        "a table that is none" or got(o.body)))
    end
  end
  job.body = body
  if type(body) == "string" then job.length = #body end
end

-- A length that the program has said: that of a function's pieces, or the same
-- that the body has.
local function read_length(i, job)
  local field = job.fields["content-length"]
  if not field then return end
  local n = is_line(field[2]) and tonumber(field[2])
  if not is_count(n) or n > 2 ^ 53 or
      type(field[2]) == "string" and not field[2]:find "^%d+$" then
    bad(i, "headers: Content-Length must be a number of bytes")
  end
  if type(job.body) == "function" then
    job.length = n
  elseif n ~= (job.length or 0) then
    bad(i, ("headers: Content-Length is %.0f, and the body has %d bytes")
      :format(n, job.length or 0))
  end
  job.fields["content-length"] = nil
end

-- -- requests -----------------------------------------------------------------

-- The fields of the client, and those of the request in their place.
local function merge(common, own)
  if not common then return own or {} end
  local fields = {}
  for name, field in pairs(common) do fields[name] = field end
  for name, field in pairs(own or {}) do fields[name] = field end
  return fields
end

-- The client has fields that the next hop must not change.
local function read_fields(i, job, defaults, o)
  local fields = merge(defaults.headers, o.headers)
  job.fields = fields
  if o.auth and fields.authorization then
    bad(i, "auth and headers.Authorization at once")
  end
  local cookie = fields.cookie
  if cookie then
    if not is_line(cookie[2]) then
      bad(i, "headers: Cookie must be one string")
    end
    job.cookie = tostring(cookie[2])
    fields.cookie = nil
  end
  local host = fields.host
  if host and (not is_line(host[2]) or
      tostring(host[2]):find "[%s,/?#@\\]") then
    bad(i, "headers: Host must be one host")
  end
  if fields.te then -- no coding but chunked, and no trailer, is of use here
    bad(i, "headers: TE is not the program's to say")
  end
  local connection = fields.connection
  if connection then
    if not is_line(connection[2]) then
      bad(i, "headers: Connection must be one string")
    end
    job.closes = tostring(connection[2]):lower():find("close", 1, true) ~= nil
  end
end

local function read_url(i, text)
  if type(text) ~= "string" then
    bad(i, "a URL is expected, as a string, got " .. got(text))
  end
  local url, problem = Url.read(text)
  if not url then bad(i, "malformed URL: " .. problem) end
  return url
end

local function read_method(i, method)
  if not core.is_token(method) then
    bad(i, "method must be a token, such as GET")
  end
  if method == "CONNECT" then
    bad(i, "method must not be CONNECT: see the option proxy")
  end
  return method
end

-- The job of a request: of (url [, options]) or a table with `url`, and the
-- options of its client.
function Asking.request(defaults, url, options)
  local i = 2
  if type(url) == "table" then
    if options ~= nil then bad(2, "options in two places") end
    i, options, url = 1, url, url.url
    if url == nil then bad(1, "url is missing") end
  end
  local job = {}
  job.url = read_url(1, url)
  local o = read_options(i, options, REQUEST)
  if i == 2 and o.url then bad(2, "url comes twice") end
  read_fields(i, job, defaults, o)
  set_body(i, job, o)
  read_length(i, job)
  job.method = o.method and read_method(i, o.method) or
    job.body and "POST" or "GET"
  for name in pairs(BOTH) do
    local v = o[name]
    if v == nil then v = defaults[name] end
    job[name] = v
  end
  job.headers = nil
  job.stream = o.stream or false
  if not job.fields.authorization and job.auth then
    job.fields.authorization = {"Authorization", job.auth}
  end
  return job
end

return Asking
