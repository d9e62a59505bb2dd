-- url.lua - what a URL says (RFC 3986), for the client.
-- SPDX-License-Identifier: MIT
--
-- A URL:
--   scheme      "http" or "https"; or another one that the reader knows
--   host        in lower case; of IPv6 without brackets
--   port        a number
--   authority   host and port, as the field Host has them: of IPv6 without the
--               zone, which means something on this machine only
--   origin      scheme, host and port: the same for those of one server
--   target      path and query, as a request has them
--   path        the same without the query
--   user, password   decoded; nil: there are none
--
-- One reader must not see another host in a URL than another one does: that is
-- how a program that looks at URLs before it asks for them is led elsewhere. So
-- what has been read in two ways is refused: bytes that do not belong there, a
-- second "@", percent signs in a host, and addresses of IPv4 in other forms
-- than four decimal numbers (127.1 or 0x7f000001).

local core = require "casting.http.core"

local Url = {}

local PORTS = {http = 80, https = 443}
local MOST = 65536 -- bytes of a URL

-- Bytes that no URL has: those of control, blanks, those beyond ASCII, and some
-- marks.
local FOREIGN = "[%z\1-\32\127-\255\"<>\\^`{|}]"

-- Does each percent sign begin an escaped byte?
local function is_escaped(text)
  return not text:find("%", 1, true) or
    not text:gsub("%%%x%x", ""):find("%", 1, true)
end

-- -- the parts ----------------------------------------------------------------

-- The address of a host in brackets; nil: it is none. A zone may stand behind
-- it (RFC 6874): "fe80::1%25eth0".
local function read_literal(text)
  local address, zone = text:match "^([%x:.]+)(.*)$"
  if not address or #(core.address(address) or "") ~= 16 then return nil end
  if zone == "" then return address:lower() end
  zone = zone:match "^%%25([%w._~-]+)$"
  return zone and address:lower() .. "%" .. zone
end

-- Is it a name, or an address of IPv4? One that ends in a number is the latter.
local function is_name(host)
  if #host > 253 or not host:find "^[%w._~-]+$" or host:find("..", 1, true) or
      host:find "^%." then
    return false
  end
  local last = host:match "([^.]*)%.?$"
  if last:find "^%d+$" or last:find "^0[xX]%x*$" then
    return core.address(host) ~= nil
  end
  return true
end

-- Sets host and authority; returns nil, or what is wrong.
local function read_host(url, text)
  local literal = text:match "^%[(.*)%]$"
  if literal then
    url.host = read_literal(literal)
    if not url.host then return "its host is no address of IPv6" end
    url.authority = "[" .. url.host:gsub("%%.*", "") .. "]"
  elseif text == "" then
    return "it has no host"
  elseif is_name(text) then
    url.host = text:lower()
    url.authority = url.host
  else
    return "its host is malformed"
  end
  return nil
end

local function read_port(url, text, usual)
  if text == nil or text == "" then
    url.port = usual
    return nil
  end
  local port = text:find "^%d%d?%d?%d?%d?$" and tonumber(text)
  if not port or port < 1 or port > 65535 then
    return "its port must be from 1 to 65535"
  end
  url.port = port
  if port ~= usual then
    url.authority = ("%s:%d"):format(url.authority, port)
  end
  return nil
end

-- Sets user and password; returns nil, or what is wrong.
local function read_user(url, text)
  if not text then return nil end
  if not text:find "^[%w%-._~%%!$&'()*+,;=:]*$" or not is_escaped(text) then
    return "its user is malformed"
  end
  local user, password = text:match "^([^:]*):?(.*)$"
  url.user, url.password = core.decode(user), core.decode(password)
  if url.user:find(":", 1, true) then
    return "its user must not have a colon"
  end
  return nil
end

local function read_authority(url, text, usual_port)
  local user, rest = text:match "^([^@]*)@(.*)$"
  rest = rest or text
  local host, port = rest:match "^(%[[^%]]*%])(.*)$"
  if host then
    if port ~= "" and port:sub(1, 1) ~= ":" then
      return "its host is malformed"
    end
    port = port:sub(2)
  else
    host, port = rest:match "^([^:]*):?(.*)$"
  end
  local problem = read_host(url, host) or read_port(url, port, usual_port) or
    read_user(url, user)
  if problem then return problem end
  url.origin = ("%s://%s:%d"):format(url.scheme, url.host, url.port)
  return nil
end

local function read_target(url, text)
  if not is_escaped(text) then
    return "a percent sign in it must have two hexadecimal digits behind it"
  end
  if text:sub(1, 1) ~= "/" then text = "/" .. text end
  url.target = text
  url.path = text:match "^[^?]*"
  return nil
end

-- -- URLs ---------------------------------------------------------------------

-- Reads a URL. nil and what is wrong: it is none, or none of HTTP. `ports`:
-- other schemes, and the port of each.
function Url.read(text, ports)
  ports = ports or PORTS
  if #text > MOST then return nil, "it is too long" end
  local foreign = text:find(FOREIGN)
  if foreign then
    return nil, ("the byte %d must be written as %%%02X"):format(foreign,
      text:byte(foreign))
  end
  local scheme, authority, rest = text:match "^(%a[%w+.-]*)://([^/?#]*)(.*)$"
  if not scheme then
    return nil, 'it must begin with "http://" or "https://"'
  end
  local url = {scheme = scheme:lower()}
  local port = ports[url.scheme]
  if not port then
    return nil, ("its scheme must be http or https, not '%s'"):format(scheme)
  end
  local problem = read_authority(url, authority, port) or
    read_target(url, rest:match "^[^#]*")
  if problem then return nil, problem end
  return url
end

-- The URL as a text, without user and password.
function Url.text(url)
  return url.scheme .. "://" .. url.authority .. url.target
end

-- -- references ---------------------------------------------------------------

-- The path without segments "." and ".." (RFC 3986, 5.2.4).
local function without_dots(path)
  local parts, n, last = {}, 0, nil
  for segment in path:gmatch "/([^/]*)" do
    last = segment
    if segment == ".." then
      if n > 0 then n = n - 1 end
    elseif segment ~= "." then
      n = n + 1
      parts[n] = segment
    end
  end
  if last == "." or last == ".." then
    n = n + 1
    parts[n] = ""
  end
  return "/" .. table.concat(parts, "/", 1, n)
end

-- Servers write what no URL has into Location, and mean it as it is.
local function escape(text)
  return (text:gsub(FOREIGN, function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

-- The URL that `reference` is, seen from `base` (RFC 3986, 5.2); or nil and
-- what is wrong.
function Url.resolve(base, reference)
  if reference:find "[%z\1-\31\127]" then
    return nil, "it has bytes of control"
  end
  reference = escape(reference:match "^[^#]*")
  if reference:find "^%a[%w+.-]*:" then return Url.read(reference) end
  if reference:find "^//" then
    return Url.read(base.scheme .. ":" .. reference)
  end
  local path, query = reference:match "^([^?]*)(.*)$"
  if path == "" then
    path = base.path
    if query == "" then query = base.target:sub(#base.path + 1) end
  elseif path:sub(1, 1) ~= "/" then
    path = base.path:match "^.*/" .. path
  end
  local url = {scheme = base.scheme, host = base.host, port = base.port,
    authority = base.authority, origin = base.origin}
  local problem = read_target(url, without_dots(path) .. query)
  if problem then return nil, problem end
  return url
end

return Url
