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
local LONGEST = 4194304   -- bytes of a page that are read
local SHORT = 65536       -- bytes of anything else
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

-- ------------------------------------------------------------------ links --

local ENTITIES = {amp = "&", quot = '"', lt = "<", gt = ">", ["#39"] = "'"}

-- The attributes of a tag, and where it ends.
local function read_tag(html, at)
  local attributes = {}
  while true do
    local name, value, to
    at = html:match("^[%s/]*()", at)
    name, to = html:match("^([^%s=>/]+)()", at)
    if not name then return attributes, at + 1 end
    at = to
    value, to = html:match('^%s*=%s*"([^"]*)"()', at)
    if not value then value, to = html:match("^%s*=%s*'([^']*)'()", at) end
    if not value then
      value, to = html:match("^%s*=%s*([^%s>\"'][^%s>]*)()", at)
    end
    name = name:lower()
    if not attributes[name] then
      attributes[name] = (value or ""):gsub("&(#?%w+);", ENTITIES)
    end
    at = to or at
  end
end

-- Calls f with each link of an HTML page, and the URL from which it is seen.
-- This goes through the text once, whatever it is: a page of others could be
-- made to keep a pattern busy for hours.
local function each_link(html, base, f)
  local at = html:find("<", 1, true)
  while at do
    local name, to = html:match("^<(%a%w*)()", at)
    if html:sub(at, at + 3) == "<!--" then
      at = html:find("-->", at + 4, true) or #html + 1
    elseif name then
      local tag
      name = name:lower()
      tag, at = read_tag(html, to)
      if name == "base" then
        base = tag.href and http.resolve(base, tag.href) or base
      elseif (name == "a" or name == "area") and tag.href then
        f(tag.href:match "^%s*(.-)%s*$", base)
      elseif name == "script" or name == "style" then
        at = html:find(name == "style" and "</[sS][tT][yY][lL][eE]" or
          "</[sS][cC][rR][iI][pP][tT]", at) or #html + 1
      end
    else
      at = at + 1
    end
    at = html:find("<", at, true)
  end
end

-- ----------------------------------------------------------------- robots --

-- Does a rule, in which "*" is anything and "$" at its end the end, fit the
-- path? Its pieces are looked for one after the other: as a pattern it could
-- take for ever.
local function fits(rule, path)
  local text, whole = rule:gsub("%$$", "")
  local first, rest = text:match "^([^*]*)(.*)$"
  if path:sub(1, #first) ~= first then return false end
  if rest == "" then return whole == 0 or path == first end
  local at, last = #first + 1, ""
  for piece in rest:gmatch "%*([^*]*)" do
    local from, to = path:find(piece, at, true)
    if not from then return false end
    at, last = to + 1, piece
  end
  return whole == 0 or last == "" or path:sub(-#last) == last
end

-- The rules for this program: a list of {allowed, length, path}. Those of a
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
        group[#group + 1] = {key == "allow", #value, value}
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
    if (rule[2] > longest or (rule[2] == longest and rule[1])) and
      fits(rule[3], path) then
      allowed, longest = rule[1], rule[2]
    end
  end
  return allowed
end

-- --------------------------------------------------------------- the crawl --

local function new_crawl(start, options)
  return {
    origin = start:match "^%a+://[^/?]+", limit = options.limit,
    queue = casting.channel(math.huge), rules = {}, broken = {},
    seen = {},     -- URL -> the page that it stands on; or true
    leads = {},    -- URL -> where it is redirected
    pending = 0, known = 0, done = 0, busy = 0, bytes = 0, pages = 0,
    redirects = 0, forbidden = 0, elsewhere = 0, left_out = 0,
    client = http.client {per_host = options.connections, redirects = 0,
      pool = options.connections, timeout = PATIENCE,
      headers = {["User-Agent"] = AGENT}},
  }
end

-- A URL that stands on the page `from`: is visited unless it was, or must not.
local function add(crawl, url, from, hops)
  if crawl.seen[url] then return end
  crawl.seen[url] = from or true
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

-- At most so many bytes of a body; or nil and why. What is left makes the
-- connection one that is not used again.
local function read_body(response, most)
  local pieces, n = {}, 0
  while n < most do
    local piece, why = response:read()
    if not piece and why ~= "closed" then return nil, why end
    if not piece then break end
    pieces[#pieces + 1], n = piece, n + #piece
  end
  response:close()
  return table.concat(pieces)
end

-- What stands in a link of the page at `from`.
local function add_link(crawl, link, base, from)
  local target, why = http.resolve(base, link)
  local scheme = link:match "^(%a[%w+.-]*):"
  if target then
    add(crawl, target, from, 0)
  elseif not crawl.seen[link] and (not scheme or scheme:lower():find
      "^https?$") then
    crawl.seen[link] = from
    crawl.broken[#crawl.broken + 1] = {link, why, from}
  end
end

-- Why a link is broken, or nil.
local function visit(crawl, url, hops)
  local response, why = crawl.client:request(url, {stream = true})
  if not response then return why end
  local is_page = response.status < 300 and
    (response.headers["content-type"] or ""):find "^text/html"
  local ok, body, problem = casting.with_timeout(PATIENCE, read_body, response,
    is_page and LONGEST or SHORT)
  if not ok or not body then return problem or "timeout" end
  crawl.bytes = crawl.bytes + #body
  local to = REDIRECTS[response.status] and response.headers.location
  if to then
    crawl.redirects = crawl.redirects + 1
    if hops >= MOST_HOPS then return "too many redirects" end
    local target = http.resolve(url, to)
    if not target then return "redirected to no URL" end
    crawl.leads[url] = target
    add(crawl, target, url, hops + 1)
  elseif response.status >= 400 then
    return ("%d %s"):format(response.status, response.reason)
  else
    crawl.pages = crawl.pages + 1
    if is_page then
      each_link(body, url, function(link, base)
        add_link(crawl, link, base, url)
      end)
    end
  end
end

-- Of each loop of redirects the first URL is told of.
local function find_loops(crawl)
  local leads, told = crawl.leads, {}
  for url in pairs(leads) do
    local passed, at = {}, url
    while leads[at] and not passed[at] do
      passed[at], at = true, leads[at]
    end
    if leads[at] then
      local first, stop = at, at
      repeat
        at = leads[at]
        if at < first then first = at end
      until at == stop
      if not told[first] then
        told[first] = true
        crawl.broken[#crawl.broken + 1] = {first, "a loop of redirects",
          crawl.seen[first] ~= true and crawl.seen[first]}
      end
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
  find_loops(crawl)
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
      local ok, url = pcall(http.resolve, arg[i], "")
      if not ok then give_up(2, "%s is no URL", arg[i]) end
      options.url = url
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
