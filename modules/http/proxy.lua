-- proxy.lua - which proxy a request goes through.
-- SPDX-License-Identifier: MIT
--
-- Settings, of the environment or of the option `proxy`:
--   http, https   the proxy for URLs of that scheme: {url = ...} as url.lua
--                 reads it, or {problem = ...}; nil: there is none
--   except        hosts that are asked without, as no_proxy lists them
--   here          this machine is one of those that are asked without
--
-- The variable HTTP_PROXY is not looked at: to a CGI program it is a field of
-- the request, and anybody could have the program's own requests go where he
-- likes ("httpoxy").

local core = require "casting.http.core"
local Url = require "casting.http.url"

local Proxy = {}

-- -- settings -----------------------------------------------------------------

local function read_proxy(text)
  if not text:find("://", 1, true) then text = "http://" .. text end
  local url, problem = Url.read(text)
  if not url then return {problem = problem} end
  if url.scheme ~= "http" then
    return {problem = "a proxy is spoken to by http only"}
  end
  return {url = url}
end

-- The same, of a variable of that name.
local function read_variable(name, text)
  if not text or text == "" then return nil end
  local proxy = read_proxy(text)
  if proxy.problem then proxy.problem = name .. ": " .. proxy.problem end
  return proxy
end

-- A list such as "example.org, .example.com:8080, 10.0.0.0/8, ::1".
local function read_list(text)
  local list = {}
  for item in text:lower():gmatch "[^%s,]+" do
    local entry = {}
    local address, bits = item:match "^(.*)/(%d+)$"
    local bytes = core.address(address or item)
    if item == "*" then
      entry.all = true
    elseif bytes then
      entry.bytes, entry.bits = bytes, tonumber(bits or 8 * #bytes)
    else
      local host, port = item:match "^(.*):(%d+)$"
      host = host or item
      entry.port = tonumber(port)
      entry.bytes = core.address(host:match "^%[(.*)%]$" or host)
      entry.bits = entry.bytes and 8 * #entry.bytes
      entry.name = host:gsub("^%*?%.", "")
    end
    list[#list + 1] = entry
  end
  return list
end

-- What the environment says: of `getenv`, a function as os.getenv.
function Proxy.environment(getenv)
  local function variable(name, other)
    local text = getenv(name)
    if text and text ~= "" then return name, text end
    return other, other and getenv(other)
  end
  local _, except = variable("no_proxy", "NO_PROXY")
  return {
    http = read_variable(variable "http_proxy"),
    https = read_variable(variable("https_proxy", "HTTPS_PROXY")),
    except = read_list(except or ""), here = true,
  }
end

-- What the option `proxy` says: false, a URL, or a table that may have `http`,
-- `https` and `except`. Returns nil and what is wrong: it is bad.
function Proxy.read(option)
  if option == false then return {except = {}} end
  if type(option) == "string" then option = {http = option, https = option} end
  if type(option) ~= "table" then
    return nil, "proxy must be false, a URL or a table, got " .. type(option)
  end
  local settings = {except = {}}
  for k, v in pairs(option) do
    if type(v) ~= "string" then
      return nil, ("proxy: %s must be a string, got %s"):format(tostring(k),
        type(v))
    end
    if k == "except" then
      settings.except = read_list(v)
    elseif k == "http" or k == "https" then
      local proxy = read_proxy(v)
      if proxy.problem then return nil, "proxy: " .. proxy.problem end
      settings[k] = proxy
    else
      return nil, ("proxy: unknown field '%s'"):format(tostring(k))
    end
  end
  return settings
end

-- -- which one ----------------------------------------------------------------

-- Are the first `bits` bits of both the same?
local function same_bits(a, b, bits)
  if #a ~= #b or bits > 8 * #a then return false end
  local whole = math.floor(bits / 8)
  if a:sub(1, whole) ~= b:sub(1, whole) then return false end
  local rest = 2 ^ (8 - bits % 8)
  return rest == 256 or math.floor(a:byte(whole + 1) / rest) ==
    math.floor(b:byte(whole + 1) / rest)
end

local function matches(entry, url, bytes)
  if entry.all then return true end
  if entry.port and entry.port ~= url.port then return false end
  if bytes or entry.bytes then
    return bytes and entry.bytes and same_bits(bytes, entry.bytes, entry.bits)
  end
  local host, name = url.host:gsub("%.$", ""), entry.name
  return host == name or name ~= "" and host:sub(-#name - 1) == "." .. name
end

local LOOPBACK = read_list "localhost 127.0.0.0/8 ::1"

local function is_among(list, url, bytes)
  for i = 1, #list do
    if matches(list[i], url, bytes) then return true end
  end
  return false
end

-- The URL of the proxy for that URL; nil: there is none; or nil and what is
-- wrong with it.
function Proxy.pick(settings, url)
  local proxy = settings[url.scheme]
  if not proxy then return nil end
  local bytes = core.address(url.host)
  if is_among(settings.except, url, bytes) or
      settings.here and is_among(LOOPBACK, url, bytes) then
    return nil
  end
  return proxy.url, proxy.problem
end

return Proxy
