-- dial.lua - new connections of the client: to a server, or through a proxy.
-- SPDX-License-Identifier: MIT
--
-- A route, the way to the server of a URL:
--   key       the same for all requests that may share a connection
--   url       of the first request that went this way; its server counts
--   proxy     the URL of the proxy; or nil
--   absolute  the proxy is asked for whole URLs; else it only connects
--   tls       the settings of TLS, see below; nil: there is none

local casting = require "casting"
local core = require "casting.http.core"
local net = casting.net

local Dial = {}

local MOST = 16384 -- bytes of the answer of a proxy
local MOST_INTERIM = 32 -- answers with a status of 1xx

-- -- TLS ----------------------------------------------------------------------

-- The settings that an option `tls` stands for, made once for each such value:
-- to make a context takes milliseconds, and sessions are resumed within one. Of
-- an option that is a context they do not have it: in 5.1 and LuaJIT nothing is
-- collected to which the value of its own entry leads.
--   number    of these settings, a part of keys
--   context
--   name      that the certificate must have, if it is not the host
local made = setmetatable({}, {__mode = "k"})
local usual = {} -- stands for no option
local count = 0

local function make(tls, option)
  local settings, o = {}, {}
  local given = type(option) == "table"
  for k, v in pairs(given and option or {}) do o[k] = v end
  settings.name, settings.context = o.name, o.context
  o.name, o.context, o.timeout = nil, nil, nil
  if (option == nil or given) and not settings.context then
    local why
    settings.context, why = tls.context(o)
    if not settings.context then return nil, why end
  end
  count = count + 1
  settings.number = count
  return settings
end

-- The settings; with the option as their context, if it is one.
local function with_context(settings, option)
  if settings.context then return settings end
  return {number = settings.number, name = settings.name, context = option}
end

-- The settings for the option `tls` of a request; nil: there are none. Or nil
-- and why, such as a file that cannot be read. Raises if the option is bad.
function Dial.tls(option)
  if option == true then option = nil end
  local known = made[option or usual]
  if known then return with_context(known, option) end
  local ok, tls = pcall(casting.require, "casting.tls")
  if not ok then
    error("https: the module casting.tls cannot be loaded: " .. tostring(tls),
      0)
  end
  local settings, why = make(tls, option)
  if not settings then return nil, why end
  made[option or usual] = settings
  return with_context(settings, option)
end

-- -- routes -------------------------------------------------------------------

-- The route to the server of that URL; or nil and why there is none.
function Dial.route(url, proxy, tls_option)
  local route = {url = url, proxy = proxy, absolute = false, key = url.origin}
  if url.scheme == "https" then
    local why
    route.tls, why = Dial.tls(tls_option)
    if not route.tls then return nil, why end
    route.key = url.origin .. " " .. route.tls.number
  end
  if not proxy then return route end
  local via = " by " .. proxy.origin .. " " .. (Dial.basic(proxy) or "")
  if route.tls then
    route.key = route.key .. via
  else
    route.absolute = true
    route.key = via
  end
  return route
end

-- What a URL's user and password are in the field Authorization; nil: it has
-- none.
function Dial.basic(url)
  if not url.user then return nil end
  return "Basic " .. core.base64(url.user .. ":" .. url.password)
end

-- -- connections --------------------------------------------------------------

local function left(deadline) return math.max(0, deadline - casting.now()) end

local function ask_proxy(stream, route, deadline)
  local url = route.url
  local host = url.host:find(":", 1, true) and "[" .. url.host .. "]" or
    url.host
  local place = ("%s:%d"):format(host, url.port)
  local basic = Dial.basic(route.proxy)
  local ok, why = stream:write({"CONNECT ", place, " HTTP/1.1\r\nHost: ",
    place, "\r\n", basic and "Proxy-Authorization: " .. basic .. "\r\n" or "",
    "\r\n"}, left(deadline))
  if not ok then return nil, why end
  for _ = 1, MOST_INTERIM do
    local head
    head, why = stream:read_until("\r\n\r\n", MOST, left(deadline))
    if not head then return nil, why end
    -- What the fields say of a body must not be heeded (RFC 9112, 6.3).
    local status, reason = core.response(head:match "^[^\r]*")
    if not status then return nil, "malformed response: " .. reason end
    if status >= 200 and status < 300 then return true end
    if status >= 200 then return nil, ("%d %s"):format(status, reason) end
  end
  return nil, "malformed response: too many before the last one"
end

-- Begins what the new stream needs before the first request. Returns true; or
-- nil and why.
local function prepare(stream, route, deadline)
  if route.proxy and not route.absolute then
    local ok, why = ask_proxy(stream, route, deadline)
    if not ok then return nil, "proxy: " .. why end
  end
  local tls = route.tls
  if not tls then return true end
  return stream:starttls {context = tls.context,
    name = tls.name or route.url.host:gsub("%%.*", ""):gsub("%.$", ""),
    timeout = left(deadline)}
end

-- A new stream to the server of the route; or nil and why. If the caller is
-- cancelled nothing is left open, but for what `opened` is called with first.
function Dial.connect(route, deadline, opened)
  local to = route.proxy or route.url
  local stream, why =
    net.connect(to.host, to.port, {timeout = left(deadline)})
  if not stream then
    return nil, route.proxy and "proxy: " .. why or why
  end
  local ok, e = pcall(opened, stream)
  if not ok then -- no memory for it: nobody else knows the stream
    stream:abort()
    error(e, 0)
  end
  ok, why = prepare(stream, route, deadline)
  if ok then return stream end
  stream:close()
  return nil, why
end

return Dial
