-- crawler.lua - visits all pages of a site, and lists what is broken.
-- SPDX-License-Identifier: MIT
--
-- From the URL on it follows the links of HTML pages, within the same host and
-- port, as far as the site's robots.txt lets it (RFC 9309). It asks with many
-- connections at once, and each page once. At the end it lists links that lead
-- to nothing, with a page that has each, and counts. On a terminal there are
-- bars, else a line now and then. The status is 1 if a link is broken.
--
-- What it shows: workers are tasks that share one client, with its connections,
-- and one channel of URLs. Who adds URLs counts them, and the worker that has
-- ended the last one closes the channel, so that all of them end. With --serve
-- the program makes up a site of N pages, and serves it from two sessions.
--
-- How to run it:
--   ./dev run examples/crawler.lua --serve 3000
--   ./dev run examples/crawler.lua http://127.0.0.1:8080/

local casting = require "casting"
local net = require "casting.net"
local process = require "casting.process"

local USAGE = [[
usage: crawler.lua [options] URL          visit a site (http:// or https://)
       crawler.lua [options] --serve N    visit a made-up site of N pages

  --connections N   at the same time, up to 1000 (default 100)
  --limit N         visit no more than so many (default 100000)
  --help            print this
]]

local AGENT = "casting-crawler"
local PATIENCE = 30       -- seconds of one request
local LONGEST = 4194304   -- bytes of a page
local MOST_HOPS = 10      -- redirects, one after the other
local PERIOD = 0.1        -- seconds between two looks of the terminal
local SELDOM = 2          -- seconds between two lines where there is none
local MOST_LISTED = 50    -- broken links in the list

local function give_up(status, ...)
  io.stderr:write("crawler: ", string.format(...), "\n")
  if status == 2 then io.stderr:write(USAGE) end
  os.exit(status)
end

local found, http = pcall(require, "casting.http")
if not found then give_up(1, "needs casting.http") end

-- ------------------------------------------------------------------- URLs --

-- "/a/./b/../c" is "/a/c".
local function without_dots(path)
  local parts, n = {}, 0
  for slash, name in path:gmatch "(/)([^/]*)" do
    if name == ".." then
      n = math.max(0, n - 1)
    elseif name ~= "." then
      n = n + 1
      parts[n] = slash .. name
    end
  end
  if path:find "/%.%.?$" then
    n = n + 1
    parts[n] = "/"
  end
  return table.concat(parts, "", 1, n)
end

-- A link of the page at `base` as a URL, without its fragment; nil: it is none
-- that can be asked for.
local function resolve(base, link)
  link = link:gsub("#.*$", ""):gsub("^%s+", ""):gsub("%s+$", "")
  link = link:gsub('[%c "<>\\^`{|}\127-\255]', function(c)
    return ("%%%02X"):format(c:byte())
  end)
  local origin, path = base:match "^(%a+://[^/?]+)([^?]*)"
  local scheme = link:match "^(%a[%w+.-]*):"
  if scheme then
    if not link:find "^[Hh][Tt][Tt][Pp][Ss]?://[^/?]" then return nil end
    origin, link = link:match "^(%a+://[^/?]+)(.*)$"
  elseif link:find "^//" then
    origin, link = (base:match "^%a+:" .. link):match "^(%a+://[^/?]+)(.*)$"
    if not origin then return nil end
  elseif link == "" then
    link = base:sub(#origin + 1)
  elseif link:sub(1, 1) == "?" then
    link = path .. link
  elseif link:sub(1, 1) ~= "/" then
    link = (path:match "^.*/" or "/") .. link
  end
  local query = link:match "%?.*$" or ""
  local where = link:sub(1, #link - #query)
  if where == "" then where = "/" end
  return origin:lower() .. without_dots(where) .. query
end

-- Calls f with each link of an HTML page.
local ENTITIES = {amp = "&", quot = '"', lt = "<", gt = ">", ["#39"] = "'"}
local function each_link(html, f)
  html = html:gsub("<!%-%-.-%-%->", "")
  for tag in html:gmatch "<[aA](%s[^>]*)>" do
    local link = tag:match '%s[Hh][Rr][Ee][Ff]%s*=%s*"([^"]*)"' or
      tag:match "%s[Hh][Rr][Ee][Ff]%s*=%s*'([^']*)'" or
      tag:match "%s[Hh][Rr][Ee][Ff]%s*=%s*([^%s\"'>]+)"
    if link then f((link:gsub("&(#?%w+);", ENTITIES))) end
  end
end

-- ----------------------------------------------------------------- robots --

-- A path of robots.txt as a pattern.
local function compile(path)
  local ends = path:sub(-1) == "$"
  if ends then path = path:sub(1, -2) end
  local pattern = path:gsub("%p", function(c)
    return c == "*" and ".*" or "%" .. c
  end)
  return "^" .. pattern .. (ends and "$" or "")
end

-- The rules for this program: a list of {allowed, length, pattern}. Those of a
-- group with its name count, or of "*" if there is none.
local function read_robots(text)
  local groups, current, in_names = {}, {}, false
  for whole in text:gmatch "[^\r\n]+" do
    local line = whole:gsub("#.*", "")
    local key, value = line:match "^%s*([%a-]+)%s*:%s*(.-)%s*$"
    key = key and key:lower()
    if key == "user-agent" then
      if not in_names then current = {} end
      local name = value:lower()
      groups[name] = groups[name] or {}
      current[#current + 1] = groups[name]
      in_names = true
    elseif key == "allow" or key == "disallow" then
      in_names = false
      for _, group in ipairs(value ~= "" and current or {}) do
        group[#group + 1] = {key == "allow", #value, compile(value)}
      end
    end
  end
  return groups[AGENT] or groups["*"] or {}
end

-- The longest rule that fits decides, and of two as long the one that allows.
local function is_allowed(rules, url)
  local path = url:match "^%a+://[^/?]+(.*)$"
  local allowed, longest = true, -1
  for _, rule in ipairs(rules) do
    if path:find(rule[3]) and (rule[2] > longest or
      (rule[2] == longest and rule[1])) then
      allowed, longest = rule[1], rule[2]
    end
  end
  return allowed
end

-- --------------------------------------------------------------- the crawl --

local function new_crawl(start, options)
  return {
    origin = start:match "^%a+://[^/?]+", limit = options.limit,
    queue = casting.channel(math.huge), rules = {}, seen = {}, broken = {},
    pending = 0, known = 0, done = 0, busy = 0, bytes = 0, pages = 0,
    redirects = 0, forbidden = 0, elsewhere = 0, left_out = 0,
    client = http.client {per_host = options.connections, redirects = 0,
      pool = options.connections, timeout = PATIENCE, max_body = LONGEST,
      headers = {["User-Agent"] = AGENT}},
  }
end

-- A URL that stands on the page `from`: is visited unless it was, or must not.
local function add(crawl, url, from, hops)
  if crawl.seen[url] then return end
  crawl.seen[url] = true
  if url:sub(1, #crawl.origin) ~= crawl.origin or
    not url:find("^[/?]", #crawl.origin + 1) then
    crawl.elsewhere = crawl.elsewhere + 1
  elseif not is_allowed(crawl.rules, url) then
    crawl.forbidden = crawl.forbidden + 1
  elseif crawl.known >= crawl.limit then
    crawl.left_out = crawl.left_out + 1
  else
    crawl.known, crawl.pending = crawl.known + 1, crawl.pending + 1
    crawl.queue:send(url, from, hops)
  end
end

local REDIRECTS = {[301] = true, [302] = true, [303] = true, [307] = true,
  [308] = true}

-- Why a link is broken, or nil.
local function visit(crawl, url, hops)
  local ok, response, why = pcall(crawl.client.request, crawl.client, url)
  if not ok then
    if casting.is_cancelled(response) then error(response, 0) end
    return "no URL"
  end
  if not response then return why end
  crawl.bytes = crawl.bytes + #response.body
  local to = REDIRECTS[response.status] and response.headers.location
  if to then
    crawl.redirects = crawl.redirects + 1
    if hops >= MOST_HOPS then return "too many redirects" end
    local target = resolve(url, to)
    if not target then return "redirected to no URL" end
    add(crawl, target, url, hops + 1)
  elseif response.status >= 400 then
    return ("%d %s"):format(response.status, response.reason)
  else
    crawl.pages = crawl.pages + 1
    if (response.headers["content-type"] or ""):find "^text/html" then
      each_link(response.body, function(link)
        local target = resolve(url, link)
        if target then add(crawl, target, url, 0) end
      end)
    end
  end
end

local function work(crawl)
  for url, from, hops in crawl.queue do
    crawl.busy = crawl.busy + 1
    local why = visit(crawl, url, hops)
    crawl.busy, crawl.done = crawl.busy - 1, crawl.done + 1
    if why then crawl.broken[#crawl.broken + 1] = {url, why, from} end
    crawl.pending = crawl.pending - 1
    if crawl.pending == 0 then crawl.queue:close() end
  end
end

-- Who cannot be asked for its rules must not be visited; who has none, may be.
local function get_rules(crawl)
  local response, why = crawl.client:request(crawl.origin .. "/robots.txt",
    {redirects = 5})
  if not response then give_up(1, "%s: %s", crawl.origin, why) end
  if response.status >= 500 then
    give_up(1, "%s/robots.txt: %d", crawl.origin, response.status)
  end
  crawl.rules = response.status == 200 and read_robots(response.body) or {}
end

-- ---------------------------------------------------------------- progress --

local width           -- columns of the terminal; nil: it is none
local drawn = 0       -- lines of it that are bars

local function look_at_terminal()
  local stty = process.spawn {"sh", "-c", "test -t 1 && stty size <&1 >&2",
    stderr = "pipe"}
  local size = stty and stty.stderr:read("l") or ""
  width = tonumber(size:match "^%d+ (%d+)")
  if width and width < 40 then width = nil end
end

local function bar(label, part, whole, text)
  local room = width - 33
  local share = whole > 0 and math.min(1, part / whole) or 0
  local n = math.floor(share * room)
  return ("%-8s[%s%s] %s"):format(label, ("#"):rep(n), ("."):rep(room - n),
    text):sub(1, width - 1) .. "\n"
end

-- What has come from others does not write to the terminal.
local function plain(text) return (text:gsub("[%c\127-\159]", "?")) end

local function wipe()
  if drawn == 0 then return "" end
  local codes = ("\27[%dA\r\27[J"):format(drawn)
  drawn = 0
  return codes
end

-- Writes the bars anew, all at once, so that nothing flickers; or a line.
local function draw(crawl, began)
  local text
  if width then
    text = wipe() .. bar("visited", crawl.done, crawl.known,
      ("%d of %d"):format(crawl.done, crawl.known)) ..
      bar("busy", crawl.busy, crawl.most, ("%d, %.0f a second"):format(
        crawl.busy, crawl.done / math.max(casting.now() - began, 0.001))) ..
      ("%d broken\n"):format(#crawl.broken)
    drawn = 3
  else
    text = ("%d of %d visited, %d broken\n"):format(crawl.done, crawl.known,
      #crawl.broken)
  end
  io.stdout:write(text)
  io.stdout:flush()
end

local function size_of(bytes)
  if bytes < 1e6 then return ("%.1f kB"):format(bytes / 1e3) end
  return ("%.1f MB"):format(bytes / 1e6)
end

local function summarize(crawl, seconds)
  table.sort(crawl.broken, function(a, b) return a[1] < b[1] end)
  if crawl.broken[1] then
    print(("%d broken links:"):format(#crawl.broken))
    for i = 1, math.min(#crawl.broken, MOST_LISTED) do
      local url, why, from = crawl.broken[i][1], crawl.broken[i][2],
        crawl.broken[i][3]
      print(("  %s: %s, on %s"):format(plain(url), plain(why),
        from and plain(from) or "the command line"))
    end
    if #crawl.broken > MOST_LISTED then
      print(("  and %d more"):format(#crawl.broken - MOST_LISTED))
    end
  end
  print(("%d pages, %d redirects, %d broken"):format(crawl.pages,
    crawl.redirects, #crawl.broken))
  print(("%d not allowed by robots.txt, %d elsewhere, %d beyond the limit")
    :format(crawl.forbidden, crawl.elsewhere, crawl.left_out))
  print(("%s in %.1f s, %.0f a second, with %d connections"):format(
    size_of(crawl.bytes), seconds, crawl.done / math.max(seconds, 0.001),
    crawl.client:stats().made))
end

-- ---------------------------------------------------------- a made-up site --

-- Page i links to pages 2i+1 and 2i+2, so all are found; and some of them to
-- what is redirected, not there, private, or elsewhere.
local function make_site(pages)
  return function(request, response)
    local path = request.path
    if path == "/robots.txt" then
      return response:write "User-agent: *\nDisallow: /private/\n"
    end
    local old = path:match "^/old/(%d+)$"
    if old then
      response.status = 301
      response.headers.Location = "../page/" .. old
      return
    end
    local i = path == "/" and 0 or tonumber(path:match "^/page/(%d+)$" or "x")
    if not i or i >= pages then
      response.status = 404
      return response:write "not found\n"
    end
    local links = {}
    local function link(to)
      links[#links + 1] = ('<li><a href="%s">%s</a>'):format(to, to)
    end
    if 2 * i + 1 < pages then link("/page/" .. 2 * i + 1) end
    if 2 * i + 2 < pages then link("/page/" .. 2 * i + 2 .. "#top") end
    if i % 20 == 3 then link("/old/" .. i) end
    if i % 50 == 7 then link("/gone/" .. i) end
    if i % 10 == 1 then link("/private/" .. i) end
    if i % 100 == 5 then link("https://example.org/" .. i) end
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    response:write(("<!DOCTYPE html><title>Page %d</title><h1>Page %d</h1>" ..
      "<p>%s<ul>%s</ul>\n"):format(i, i, ("Some words. "):rep(50),
      table.concat(links)))
  end
end

-- ---------------------------------------------------------------- program --

local MOST = {serve = 1000000, connections = 1000, limit = 10000000}

local function read_arguments()
  local options, i = {connections = 100, limit = 100000}, 1
  while arg[i] do
    local name, value = arg[i]:match "^%-%-(%l+)$", arg[i + 1]
    if name == "help" then
      io.write(USAGE)
      os.exit(0)
    elseif not name then
      if options.url then give_up(2, "one URL, please") end
      options.url = resolve("http://none/", arg[i])
      if not options.url or not arg[i]:find "^%a+://" then
        give_up(2, "%s is no URL", arg[i])
      end
    elseif not MOST[name] then
      give_up(2, "what is %s?", arg[i])
    else
      local n = tonumber(value)
      if not n or n % 1 ~= 0 or n < 1 or n > MOST[name] then
        give_up(2, "--%s: %s is none", name, value or "nothing")
      end
      options[name] = math.floor(n)
      i = i + 1
    end
    i = i + 1
  end
  if (options.url ~= nil) == (options.serve ~= nil) then
    give_up(2, "a URL or --serve, please")
  end
  return options
end

local options = read_arguments()
look_at_terminal()
local server, listener
if options.serve then
  listener = assert(net.listen("127.0.0.1", 0))
  options.url = ("http://%s:%d/"):format(listener:name())
  server = casting.spawn(http.serve, listener, make_site(options.serve),
    {sessions = 2, grace = 5})
end

local crawl = new_crawl(options.url, options)
crawl.most = options.connections
get_rules(crawl)
local began = casting.now()
add(crawl, options.url, nil, 0)
if crawl.pending == 0 then crawl.queue:close() end
local over = casting.channel()
local painter = casting.spawn(function()
  repeat
    draw(crawl, began)
    local _, why = over:receive(width and PERIOD or SELDOM)
  until why == "closed"
end)
casting.scope(function(scope)
  for _ = 1, options.connections do
    scope:spawn(work, crawl)
  end
end)
over:close()
painter:await()
io.stdout:write(wipe())
summarize(crawl, casting.now() - began)
crawl.client:close()
if server then
  listener:close()
  server:await()
end
os.exit(crawl.broken[1] and 1 or 0)
