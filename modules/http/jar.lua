-- jar.lua - cookies that a client keeps (RFC 6265).
-- SPDX-License-Identifier: MIT
--
-- A cookie:
--   name, value
--   domain      the host that has set it, or one above it
--   host_only   only that host gets it, and none below
--   path
--   secure      it goes out by https only
--   http_only   as the server said; it makes no difference here
--   expires     seconds since 1970; nil: it lives as long as the jar
--   number      of the order in which they were made
--   asked       the same, for when it was last sent
-- A jar:
--   domains     domain -> list of its cookies
--   count, last  cookies, and the highest number
--
-- There is no list of the domains below which anybody can have one ("co.uk"):
-- it is long, and changes each week. A host can so set cookies for all hosts of
-- such a domain, if it has two labels or more. One jar for all servers of a
-- program that trusts none of them is therefore not enough.

local core = require "casting.http.core"
local Url = require "casting.http.url"

local Jar = {}
local methods = {}

local MOST, MOST_OF_DOMAIN = 3000, 50
local MOST_BYTES = 4096 -- of name and value
local MOST_ATTRIBUTE = 1024
local LAST_TIME = 253402300799 -- the end of the year 9999
local FOREIGN = "[%z\1-\8\10-\31\127]" -- what no name or value has

-- -- dates --------------------------------------------------------------------

local MONTHS = {jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7,
  aug = 8, sep = 9, oct = 10, nov = 11, dec = 12}

-- Days from 1970 to that day of the Gregorian calendar.
local function days(year, month, day)
  if month < 3 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) +
    math.floor(year / 400) + math.floor((153 * month - 457) / 5) + day - 719469
end

-- One word of a date: sets what it may be and what is not known yet.
local function read_word(date, word)
  local hour, minute, second, rest =
    word:match "^(%d%d?):(%d%d?):(%d%d?)(.*)$"
  if hour and not date.hour and not rest:find "^%d" then
    date.hour, date.minute, date.second =
      tonumber(hour), tonumber(minute), tonumber(second)
    return
  end
  local number = word:match "^(%d%d?)$" or word:match "^(%d%d?)%D"
  if number and not date.day then
    date.day = tonumber(number)
    return
  end
  local month = MONTHS[word:sub(1, 3):lower()]
  if month and not date.month then
    date.month = month
    return
  end
  local year = word:match "^(%d%d%d?%d?)$" or word:match "^(%d%d%d?%d?)%D"
  if year and not date.year then date.year = tonumber(year) end
end

-- The time that a date tells, in whatever form (RFC 6265, 5.1.1); nil: none.
function Jar.date(text)
  local date = {}
  for word in text:gmatch "[%w:]+" do read_word(date, word) end
  local year = date.year
  if not (date.hour and date.day and date.month and year) then return nil end
  if year < 70 then year = year + 2000 elseif year < 100 then year = year + 1900
  end
  if date.day < 1 or date.day > 31 or year < 1601 or date.hour > 23 or
      date.minute > 59 or date.second > 59 then
    return nil
  end
  return ((days(year, date.month, date.day) * 24 + date.hour) * 60 +
    date.minute) * 60 + date.second
end

-- -- matching -----------------------------------------------------------------

local function is_address(host)
  return core.address((host:gsub("%%.*", ""))) ~= nil
end

-- Is it that domain, or a host below it?
local function is_below(host, domain)
  return host == domain or
    host:sub(-#domain - 1) == "." .. domain and not is_address(host)
end

local function is_path_below(path, parent)
  return path == parent or path:sub(1, #parent) == parent and
    (parent:sub(-1) == "/" or path:sub(#parent + 1, #parent + 1) == "/")
end

-- -- reading ------------------------------------------------------------------

local read = {}

function read.expires(cookie, value)
  local time = Jar.date(value)
  if time then cookie.expires = cookie.max_age and cookie.expires or time end
end

read["max-age"] = function(cookie, value)
  if not value:find "^%-?%d+$" then return end
  cookie.max_age = true
  cookie.expires =
    math.max(0, math.min(core.time() + tonumber(value), LAST_TIME))
end

function read.domain(cookie, value)
  local domain = value:lower():gsub("^%.", "")
  if domain ~= "" then cookie.domain = domain end
end

function read.path(cookie, value)
  cookie.path = value:sub(1, 1) == "/" and value or nil
end

function read.secure(cookie) cookie.secure = true end
function read.httponly(cookie) cookie.http_only = true end

-- What Set-Cookie says; nil: it is no cookie.
local function parse(text)
  if text:find(FOREIGN) then return nil end
  local pair, rest = text:match "^([^;]*)(.*)$"
  local name, value = pair:match "^([^=]*)=(.*)$"
  if not name then return nil end
  local cookie = {name = core.trim(name), value = core.trim(value),
    secure = false, http_only = false, host_only = true}
  if cookie.name == "" or #cookie.name + #cookie.value > MOST_BYTES then
    return nil
  end
  for attribute in rest:gmatch ";([^;]*)" do
    local key, setting = attribute:match "^([^=]*)=?(.*)$"
    setting = core.trim(setting)
    local f = read[core.trim(key):lower()]
    if f and #setting <= MOST_ATTRIBUTE then f(cookie, setting) end
  end
  cookie.max_age = nil
  return cookie
end

-- May that host set a cookie for the domain that it says? Completes it.
local function place(cookie, url)
  local host, domain = url.host, cookie.domain
  if domain and domain ~= host then
    if is_address(host) or not is_below(host, domain) or
        not domain:find "[^.]%.[^.]" then
      return false
    end
    cookie.host_only = false
  elseif domain then
    cookie.host_only = is_address(host) or not host:find "[^.]%.[^.]"
  end
  cookie.domain = domain or host
  cookie.path = cookie.path or url.path:match "^(/.*)/[^/]*$" or "/"
  return true
end

-- What the beginnings of some names promise.
local function keeps_promise(cookie, said_domain)
  local name = cookie.name:lower()
  if name:find "^__secure%-" then return cookie.secure end
  if name:find "^__host%-" then
    return cookie.secure and cookie.path == "/" and not said_domain
  end
  return true
end

-- -- the jar ------------------------------------------------------------------

local function take_out(jar, list, i)
  table.remove(list, i)
  jar.count = jar.count - 1
end

-- Takes out of a list what has expired; if nothing has, and `makes_room`, what
-- was asked for longest ago.
local function tidy(jar, domain, makes_room)
  local list, now, oldest = jar.domains[domain], core.time(), nil
  local before = #list
  for i = #list, 1, -1 do
    local expires = list[i].expires
    if expires and expires <= now then take_out(jar, list, i) end
  end
  if makes_room and #list == before then
    for i = 1, #list do
      if not oldest or list[i].asked < list[oldest].asked then oldest = i end
    end
    if oldest then take_out(jar, list, oldest) end
  end
  if #list == 0 then jar.domains[domain] = nil end
end

-- The domain with the cookie that was asked for longest ago.
local function oldest_domain(jar)
  local found, least
  for domain, list in pairs(jar.domains) do
    for i = 1, #list do
      if not least or list[i].asked < least then
        found, least = domain, list[i].asked
      end
    end
  end
  return found
end

local function is_in_the_way(old, cookie)
  return old.secure and old.name == cookie.name and
    (is_below(old.domain, cookie.domain) or
      is_below(cookie.domain, old.domain)) and
    is_path_below(cookie.path, old.path)
end

-- A secure cookie must not be put aside by somebody who can change what goes by
-- http.
local function is_refused(jar, cookie, url)
  if url.scheme == "https" then return false end
  if cookie.secure then return true end
  for _, list in pairs(jar.domains) do
    for i = 1, #list do
      if is_in_the_way(list[i], cookie) then return true end
    end
  end
  return false
end

local function next_number(jar)
  jar.last = jar.last + 1
  return jar.last
end

local function store(jar, cookie)
  local list = jar.domains[cookie.domain] or {}
  local number = next_number(jar)
  cookie.number, cookie.asked = number, number
  for i = 1, #list do
    if list[i].name == cookie.name and list[i].path == cookie.path then
      cookie.number = list[i].number
      take_out(jar, list, i)
      break
    end
  end
  if not cookie.expires or cookie.expires > core.time() then
    jar.domains[cookie.domain] = list
    if #list >= MOST_OF_DOMAIN then tidy(jar, cookie.domain, true) end
    if jar.count >= MOST then tidy(jar, oldest_domain(jar), true) end
    list[#list + 1] = cookie
    jar.count = jar.count + 1
  end
  jar.domains[cookie.domain] = list[1] and list or nil
end

-- Takes what a response to a request for that URL says: a list of the values of
-- Set-Cookie, or nil.
function methods:take(list, url)
  for i = 1, list and #list or 0 do
    local cookie = parse(list[i])
    if cookie then
      local said_domain = cookie.domain
      if place(cookie, url) and keeps_promise(cookie, said_domain) and
          not is_refused(self, cookie, url) then
        store(self, cookie)
      end
    end
  end
end

local function fits(cookie, url, now)
  return (not cookie.host_only or cookie.domain == url.host) and
    (not cookie.secure or url.scheme == "https") and
    is_path_below(url.path, cookie.path) and
    not (cookie.expires and cookie.expires <= now)
end

-- The field Cookie of a request to that URL; nil: there is no cookie for it.
function methods:header(url)
  local found, now, domain = {}, core.time(), url.host
  while domain do
    local list = self.domains[domain]
    for i = 1, list and #list or 0 do
      if fits(list[i], url, now) then found[#found + 1] = list[i] end
    end
    domain = not is_address(domain) and domain:match "^[^.]*%.(.+)$" or nil
  end
  if not found[1] then return nil end
  table.sort(found, function(a, b)
    if #a.path ~= #b.path then return #a.path > #b.path end
    return a.number < b.number
  end)
  local number, parts = next_number(self), {}
  for i, cookie in ipairs(found) do
    cookie.asked = number
    parts[i] = cookie.name .. "=" .. cookie.value
  end
  return table.concat(parts, "; ")
end

-- -- for programs -------------------------------------------------------------

local function bad(i, fname, problem, level)
  error(("bad argument #%d to '%s' (%s)"):format(i, fname, problem), level or 3)
end

local function read_url(text)
  if type(text) ~= "string" then
    return nil, "a URL is expected, as a string, got " .. type(text)
  end
  local url, problem = Url.read(text)
  return url, problem and "malformed URL: " .. problem
end

-- jar:get(url): what a request to that URL says in the field Cookie; or nil.
function methods:get(text)
  local url, problem = read_url(text)
  if not url then bad(1, "get", problem) end
  return self:header(url)
end

-- jar:set(text, url): as if a response from there had that field Set-Cookie.
-- Whether there is now such a cookie in the jar.
function methods:set(text, where)
  if type(text) ~= "string" then
    bad(1, "set", "string expected, got " .. type(text))
  end
  local url, problem = read_url(where)
  if not url then bad(2, "set", problem) end
  local before = self.last
  self:take({text}, url)
  return self.last > before
end

local FIELDS = {name = "string", value = "string", domain = "string",
  path = "string", expires = "number", secure = "boolean",
  http_only = "boolean", host_only = "boolean"}

-- jar:list(): copies of all cookies, the oldest first.
function methods:list()
  local all = {}
  for domain in pairs(self.domains) do tidy(self, domain, false) end
  for _, list in pairs(self.domains) do
    for _, cookie in ipairs(list) do all[#all + 1] = cookie end
  end
  table.sort(all, function(a, b) return a.number < b.number end)
  for i, cookie in ipairs(all) do
    local copy = {}
    for k in pairs(FIELDS) do copy[k] = cookie[k] end
    all[i] = copy
  end
  return all
end

-- jar:clear(): takes all out.
function methods:clear() self.domains, self.count = {}, 0 end

Jar.meta = {__index = methods, __name = "jar", __tostring = function(self)
  return ("jar: %d cookies"):format(self.count)
end}

local function copy_of(given, i)
  if type(given) ~= "table" then
    return nil, ("[%d] must be a cookie of jar:list"):format(i)
  end
  local cookie = {}
  for k, wanted in pairs(FIELDS) do
    local v = given[k]
    if (type(v) ~= wanted or v ~= v) and
        not (k == "expires" and v == nil) then
      return nil, ("[%d].%s must be a %s, got %s"):format(i, k, wanted, type(v))
    end
    cookie[k] = v
  end
  local text = cookie.name .. cookie.value
  if text:find(FOREIGN) or text:find(";", 1, true) or
      cookie.name:find("=", 1, true) then
    return nil, ("[%d] has bytes that no cookie has"):format(i)
  end
  return cookie
end

-- For http.jar([cookies]): a jar, with the cookies that the list of another one
-- has told.
function Jar.new(cookies)
  local jar = setmetatable({domains = {}, count = 0, last = 0}, Jar.meta)
  if cookies == nil then return jar end
  if type(cookies) ~= "table" then
    bad(1, "jar", "list of cookies expected, got " .. type(cookies), 4)
  end
  if #cookies == 0 and next(cookies) ~= nil then
    bad(1, "jar", "list of cookies expected, got a table without items", 4)
  end
  for i = 1, #cookies do
    local cookie, problem = copy_of(cookies[i], i)
    if not cookie then bad(1, "jar", problem, 4) end
    store(jar, cookie)
  end
  return jar
end

return Jar
