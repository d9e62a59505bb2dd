-- client.lua - requests: redirects, the second try, and the clients of a
-- session.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local Answer = require "casting.http.answer"
local Asking = require "casting.http.asking"
local Body = require "casting.http.body"
local core = require "casting.http.core"
local Dial = require "casting.http.dial"
local Exchange = require "casting.http.exchange"
local Pool = require "casting.http.pool"
local Proxy = require "casting.http.proxy"
local Url = require "casting.http.url"

local Client = {}
local methods = {}

-- -- one request --------------------------------------------------------------

-- Those that may be made twice (RFC 9110, 9.2.2).
local IDEMPOTENT = {GET = true, HEAD = true, OPTIONS = true, TRACE = true,
  PUT = true, DELETE = true}

-- A connection of the pool may have been closed by the server just as the
-- request went out. If so there is no answer, not a byte; and the request is
-- made once more if that does no harm.
local function may_try_again(x, used)
  local job = x.job
  return used and x.silent and IDEMPOTENT[job.method] and
    type(job.body) ~= "function"
end

local function try(client, job, url, route, fresh)
  local x = Exchange.new(client.pool, job, url)
  job.exchange = x
  local ok, why = x:open(route, fresh)
  local used = ok and x.conn.used > 1
  if ok then ok, why = x:ask() end
  if ok then return x end
  x:finish()
  return nil, why, may_try_again(x, used)
end

-- The exchange of a request to that URL, with the head of its response; or nil
-- and why.
local function ask(client, job, url)
  local proxy, problem = Proxy.pick(job.proxy, url)
  if problem then return nil, problem end
  local route, why = Dial.route(url, proxy, job.tls)
  if not route then return nil, why end
  local x, again
  x, why, again = try(client, job, url, route, false)
  if again then x, why = try(client, job, url, route, true) end
  if x and job.jar then
    job.jar:take(core.fields(x.head)["set-cookie"], url)
  end
  return x, why
end

-- -- redirects ----------------------------------------------------------------

local REDIRECTS = {[301] = true, [302] = true, [303] = true, [307] = true,
  [308] = true}

-- The next request is a GET: of a POST for these old ones, of anything for 303.
local function becomes_get(method, status)
  if status == 303 then return method ~= "GET" and method ~= "HEAD" end
  return method == "POST" and (status == 301 or status == 302)
end

local ABOUT_BODY = {"content-type", "content-encoding", "content-language",
  "content-location"}
local FOR_ONE_SERVER = {"authorization", "proxy-authorization", "host"}

local function drop(job, names)
  for _, name in ipairs(names) do job.fields[name] = nil end
  job.lines = nil
end

-- Changes the job for the request that a redirect asks for. Returns its URL;
-- nil: it is none, or none that can be followed; or nil and what is wrong.
local function redirect(job, x)
  if not REDIRECTS[x.status] or job.redirects == 0 then return nil end
  local location = core.field(x.head, "location")
  if not location then return nil end
  local get = becomes_get(job.method, x.status)
  if not get and type(job.body) == "function" then return nil end
  if job.hops == job.redirects then return nil, "too many redirects" end
  local url, problem = Url.resolve(x.url, location)
  if not url then return nil, "malformed response: Location: " .. problem end
  job.hops = job.hops + 1
  if get then
    job.method, job.body, job.length = "GET", nil, nil
    drop(job, ABOUT_BODY)
  end
  if url.origin ~= x.url.origin then
    job.cookie = nil
    drop(job, FOR_ONE_SERVER)
  elseif not url.user then
    url.user, url.password = x.url.user, x.url.password
  end
  return url
end

local function follow(client, job)
  local url = job.url
  while true do
    local x, why = ask(client, job, url)
    if not x then return nil, why end
    local problem
    url, problem = redirect(job, x)
    if problem then
      x:finish()
      return nil, problem
    end
    if not url then return Answer.new(x) end
    -- A short body is read, so that the connection can be kept.
    if x.incoming.state ~= "bare" then Body.drain(x.incoming) end
    x:finish()
  end
end

-- -- clients ------------------------------------------------------------------

local function perform(client, job)
  job.deadline = casting.now() + job.timeout
  job.hops = 0
  local ok, answer, why = pcall(follow, client, job)
  if ok then return answer, why end
  local x = job.exchange
  if x then
    -- First of all, since there may be no memory for the rest.
    if x.conn then x.conn.stream:abort() end
    x:finish()
  end
  error(answer, 0)
end

-- client:request(url [, options]), client:request{url = ...}
function methods:request(url, options)
  local job = Asking.call("request", 2, Asking.request, self.defaults, url,
    options)
  if self.pool.closed then error("the client is closed", 2) end
  return perform(self, job)
end

-- client:close(): closes what is idle, and soon the rest.
function methods:close() return self.pool:close() end

-- client:stats()
function methods:stats() return self.pool:stats() end

Client.meta = {__index = methods, __close = methods.close, __name = "client",
  __tostring = function(self)
    return "client: " .. self.pool.nidle .. " idle connections"
  end,
  __save = function() error("a client belongs to one session", 0) end}

local function make(options)
  local o = Asking.client(options)
  return setmetatable({defaults = o, pool = Pool.new(o.pool, o.per_host,
    o.idle)}, Client.meta)
end

-- For http.client([options])
function Client.new(options)
  return (Asking.call("client", 3, make, options))
end

-- That of a session, for http.request.
local usual

-- For http.request(url [, options]), http.request{url = ...}
function Client.request(url, options)
  if getmetatable(url) == Client.meta then
    error("bad argument #1 to 'request' (a URL is expected, got a client: " ..
      "call client:request)", 3)
  end
  usual = usual or make {}
  local job = Asking.call("request", 3, Asking.request, usual.defaults, url,
    options)
  return perform(usual, job)
end

return Client
