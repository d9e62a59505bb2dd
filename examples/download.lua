-- download.lua - fetches files by HTTP, HTTPS and FTP, several at a time.
-- SPDX-License-Identifier: MIT
--
-- A file that is under way is NAME.part, and becomes NAME when all of it is
-- there. What breaks off is tried again and goes on where it was, also when the
-- program is run again: with Range by HTTP, with REST by FTP. If a server does
-- not know how, or its file has changed since, the file begins anew. On a
-- terminal there is a line for each file that is under way.
--
-- What it shows: LuaSocket's modules and LuaSec, unchanged, in tasks: their
-- calls wait, and the other downloads go on. The files are written by fs, which
-- does not stop them either. LuaSocket closes its connections when something
-- fails, but knows nothing of tasks that are cancelled: so those of a download
-- are noted, and closed whatever happens. Ctrl-C cancels all.
--
-- How to run it:
--   ./dev run examples/download.lua https://www.lua.org/ftp/lua-5.4.8.tar.gz
--   ./dev run examples/download.lua -d /tmp -j 2 URL URL URL

local casting = require "casting"
local fs = require "casting.fs"
local process = require "casting.process"
require("casting.socket").install()

local USAGE = [[
usage: download.lua [options] URL...

  -d DIR          put the files into DIR (default: .)
  -j N            fetch N files at a time (default 4)
  --tries N       give up a file after N failures in a row (default 5)
  --timeout N     a server may be silent for N seconds (default 30)
  --cafile FILE   the certificates that are trusted (default: the system's)
  --insecure      trust every certificate
  --help          print this
]]

local PORTS = {http = 80, https = 443, ftp = 21}
local CERTIFICATES = {"/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}
local HOPS = 10              -- so many redirections
local PAUSE, LONGEST = 0.5, 30 -- seconds between two tries
local PERIOD = 0.1           -- seconds between two looks of the terminal
local NUMBERS = {HUP = 1, INT = 2, TERM = 15}

local options = {dir = ".", j = 4, tries = 5, timeout = 30}

local function refuse(...)
  io.stderr:write("download: ", string.format(...), "\n", USAGE)
  os.exit(2)
end

-- A module that may not be there, and which package has it.
local function need(name, package)
  local ok, module = pcall(require, name)
  if ok then return module end
  local why = tostring(module):match "^[^\n]*":gsub(":$", "")
  io.stderr:write(("download: needs %s: %s\n"):format(package, why))
  os.exit(1)
end

local http = need("socket.http", "LuaSocket (lua-socket)")
local socket, url = require "socket", require "socket.url"
local ftp, mime = require "socket.ftp", require "mime"
socket.BLOCKSIZE = 8192

-- A job is {url=, name=, path=, part=; file=, done=, size=, final=, state=}:
-- the bytes that the file has, those that it will have, if that is known;
-- whether the last failure is a final one; what is happening.

-- ----------------------------------------------------------- the file --

-- The bytes are of another file, or cannot be gone on with.
local function begin_anew(job)
  socket.try(job.file:truncate(0))
  job.done = 0
end

-- The sink that writes what comes. A full disk is final.
local function sink_of(job)
  return function(chunk)
    if not chunk then return 1 end
    local ok, why = job.file:write(chunk)
    if not ok then
      job.final = true
      return nil, why
    end
    job.done = job.done + #chunk
    return 1
  end
end

-- All that was promised must be there.
local function check_size(job)
  if not job.size or job.done == job.size then return 1 end
  return nil, ("ended after %.0f of %.0f bytes"):format(job.done, job.size)
end

-- A function that makes a socket, and notes it.
local function noting(job, create)
  return function()
    local c, why = create()
    if c then table.insert(job.connections, c) end
    return c, why
  end
end

-- ---------------------------------------------------------------- https --

-- Is the certificate one for that host?
local function is_for(certificate, host)
  local names = certificate:extensions()["2.5.29.17"] or {}
  host = host:lower()
  for _, list in ipairs {names.dNSName or {}, names.iPAddress or {}} do
    for _, name in ipairs(list) do
      name = name:lower()
      local domain = name:match "^%*(%..+)$"
      if name == host or domain and host:match "^[^.]+(.+)$" == domain then
        return true
      end
    end
  end
  return false
end

-- LuaSec's sockets, which look at the certificate only if they are told to, and
-- never at the name in it.
local function secure(job)
  local create = require("ssl.https").tcp {cafile = options.cafile,
    verify = options.insecure and "none" or "peer"}
  return noting(job, function()
    local c = create()
    local connect = c.connect
    function c:connect(host, port)
      connect(self, host, port)
      if not options.insecure and
        not is_for(self.sock:getpeercertificate(), host) then
        job.final = true
        socket.try(nil, "the certificate is not one for " .. host)
      end
      return 1
    end
    return c
  end)
end

-- ----------------------------------------------------------------- http --

local get_http

local function redirected(job, u, headers, hops)
  local address = url.absolute(u.address, headers.location)
  local scheme = url.parse(address).scheme
  job.final = true
  socket.try(hops < HOPS, "too many redirections")
  socket.try(scheme == u.scheme or scheme == "https",
    "redirected from " .. u.scheme .. " to " .. tostring(scheme))
  job.final = false
  return get_http(job, address, hops + 1)
end

-- Fetches what is missing. It is made of the functions of which http.request is
-- made, since the sink has to know whether the answer is a part of the file,
-- all of it, or a page that says why there is none.
function get_http(job, address, hops)
  local u = url.parse(address, {path = "/"})
  u.address = address
  local h = http.open(u.host, u.port or PORTS[u.scheme],
    u.scheme == "https" and secure(job) or noting(job, socket.tcp))
  local headers = {
    host = u.authority:gsub("^.*@", ""),
    connection = "close",
    ["user-agent"] = http.USERAGENT,
    authorization = u.user and "Basic " .. (mime.b64(url.unescape(u.user) ..
      ":" .. url.unescape(u.password or ""))) or nil,
  }
  if job.done > 0 then
    headers.range = ("bytes=%.0f-"):format(job.done)
    headers["if-unmodified-since"] =
      os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(job.changed))
  end
  h:sendrequestline("GET",
    url.build {path = u.path, params = u.params, query = u.query})
  h:sendheaders(headers)
  local code, status = h:receivestatusline()
  h.try(code, "no answer of HTTP")
  local answer = h:receiveheaders()
  local from, size =
    (answer["content-range"] or ""):match "^%a+ (%d*)[-*]%d*/(%d+)$"

  if code == 206 then
    h.try(tonumber(from) == job.done, "another part than the one asked for")
    job.size = tonumber(size)
  elseif code == 200 then
    if job.done > 0 then begin_anew(job) end
    job.size = tonumber(answer["content-length"])
  elseif code == 416 and tonumber(size) == job.done then
    job.size = job.done                        -- all was there before
    return 1
  elseif code == 412 or code == 416 then
    begin_anew(job)
    h.try(nil, "the file has changed")
  elseif code >= 300 and code < 400 and answer.location then
    h:close()
    return redirected(job, u, answer, hops)
  else
    job.final = code < 500 and code ~= 408 and code ~= 429
    h.try(nil, status and status:match "%d%d%d.*" or "timeout")
  end
  h:receivebody(answer, sink_of(job))
  h:close()
  return check_size(job)
end

-- ------------------------------------------------------------------ ftp --

local function get_ftp(job, address)
  local u = url.parse(address, {path = ""})
  local path = url.unescape(u.path):gsub("^/", "")
  local f = ftp.open(u.host, u.port, noting(job, socket.tcp))
  table.insert(job.connections, f)             -- it has others for the data
  -- What the server says to a command, or nil.
  local function ask(good, ...)
    f.try(f.tp:command(...))
    return select(2, f.tp:check(good))
  end
  f:greet()
  f:login(url.unescape(u.user or "anonymous"), url.unescape(u.password or "-"))
  f:type "i"
  job.size = tonumber((ask("213", "size", path) or ""):match "^213 (%d+)")
  if job.done > 0 then
    local changed = ask("213", "mdtm", path):match "^213 (%d+)"
    local from = ("%.0f"):format(job.done)
    if job.size and job.done > job.size or changed and changed >
      os.date("!%Y%m%d%H%M%S", math.floor(job.changed)) or
      not ask("350", "rest", from):match "^350" then
      begin_anew(job)
      f.try(nil, "the file has changed, or its server cannot go on")
    end
  end
  f:epsv()
  f:receive {argument = path, sink = sink_of(job)}
  f.tp:command "quit"
  f:close()
  return check_size(job)
end

-- ----------------------------------------------------------------- jobs --

-- `protect` makes a function that returns nil and why of one that throws.
local GET = {}
for scheme, get in pairs {http = get_http, https = get_http, ftp = get_ftp} do
  GET[scheme] = socket.protect(function(job) return get(job, job.url, 0) end)
end

-- What does not pass by waiting, as LuaSocket and LuaSec say it.
local FINAL = {
  ["host or service not provided, or not known"] = true,
  ["certificate verify failed"] = true,
}

-- Tries once: true; or nil and why.
local function try(job)
  local info = assert(job.file:stat())
  job.done, job.changed = info.size, info.modified
  job.final, job.connections = false, {}
  local ok, good, why = pcall(GET[job.scheme], job)
  for _, c in ipairs(job.connections) do
    c = c.sock or c                            -- LuaSec's, before it is ready
    pcall(c.close, c)
  end
  if not ok then error(good, 0) end            -- a cancellation, or a mistake
  if good then return true end
  if why == "closed" then why = select(2, check_size(job)) or why end
  job.final = job.final or FINAL[why] or
    job.scheme == "ftp" and why:match "^5%d%d" ~= nil
  return nil, why
end

-- Fetches a file: true; or nil and why.
local function fetch(job)
  if fs.stat(job.path) then return nil, job.path .. " is there already" end
  local good, why
  job.file, why = fs.open(job.part, "a")
  if not job.file then return nil, why end
  local failures, pause, reached = 0, PAUSE, 0
  while true do
    good, why = try(job)
    if good then break end
    failures = failures + 1
    if job.done > reached then -- further than ever before
      failures, pause, reached = 1, PAUSE, job.done
    end
    if job.final or failures >= options.tries then
      job.file:close()
      if job.done == 0 then fs.remove(job.part) end
      return nil, why
    end
    job.state = why
    casting.sleep(pause * (0.5 + math.random() / 2))
    job.state, pause = nil, math.min(2 * pause, LONGEST)
  end
  good, why = job.file:close()
  if good then good, why = fs.rename(job.part, job.path) end
  return good, why
end

-- --------------------------------------------------------------- drawing --

local jobs, running, failures = {}, {}, {}
local begun, width, drawn = 0, nil, 0

local function measure()
  local stty = process.spawn {"sh", "-c", "stty size <&2 2>/dev/null",
    stdout = "pipe"}
  local size = stty and stty.stdout:read("l") or ""
  width = tonumber(size:match "^%d+ (%d+)")
  if width and width < 40 then width = nil end
end

local function bytes(n)
  local unit = 1
  while n >= 1000 and unit < 4 do n, unit = n / 1000, unit + 1 end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(n,
    ({"B", "kB", "MB", "GB"})[unit])
end

-- The line of a job, cut where the terminal ends.
local function line_of(job)
  local how = job.state and job.state .. "; again soon" or
    job.size and job.size > 0 and ("%3d%% of %s"):format(
      math.floor(100 * job.done / job.size), bytes(job.size)) or
    bytes(job.done or 0)
  return (job.name:gsub("%c", "?") .. ": " .. how):sub(1, width - 1) .. "\n"
end

-- Writes lines above those of the jobs, and these anew, all at once.
local function draw(lines)
  local out = {drawn > 0 and ("\r\27[%dA\27[J"):format(drawn) or "", lines}
  if width then
    for _, job in ipairs(running) do out[#out + 1] = line_of(job) end
  end
  drawn = #out - 2
  io.stderr:write(table.concat(out))
end

-- Takes one job after another until none is left.
local function work()
  while begun < #jobs do
    begun = begun + 1
    local job, start = jobs[begun], casting.now()
    table.insert(running, job)
    local good, why = fetch(job)
    for i = #running, 1, -1 do
      if running[i] == job then table.remove(running, i) end
    end
    if not good then table.insert(failures, job.url .. ": " .. why) end
    draw(("%s: %s\n"):format(job.name, good and ("%s, %.1f s"):format(
      bytes(job.done), casting.now() - start) or "FAILED"))
  end
end

-- ------------------------------------------------------------------ main --

local function number(word, value)
  local n = tonumber(value)
  if not n or n <= 0 or n > 1e6 then refuse("%s needs a number", word) end
  if word ~= "--timeout" and n % 1 ~= 0 then
    refuse("%s needs a whole number", word)
  end
  return n
end

-- The job for a URL, whose file has the last part of its path as a name.
local function job_of(address, names)
  local u = url.parse(address)
  if not u or not u.host or not PORTS[u.scheme] or address:match "[%c ]" then
    refuse("%s is no URL of http, https or ftp", address)
  end
  if u.scheme == "ftp" and url.unescape(u.path or ""):match "%c" then
    refuse("%s has a path that FTP cannot ask for", address)
  end
  local name = url.unescape((u.path or ""):match "[^/]*$")
  if name == "" and u.scheme ~= "ftp" then name = "index.html" end
  if name == "" or name == "." or name == ".." or name:match "[/%c]" then
    refuse("%s does not tell how its file is to be called", address)
  end
  if names[name] then
    refuse("%s and %s would both be %s", names[name], address, name)
  end
  names[name] = address
  local path = options.dir .. "/" .. name
  return {url = address, scheme = u.scheme, name = name, path = path,
    part = path .. ".part"}
end

local addresses, names, i = {}, {}, 1
while arg[i] do
  local word, value = arg[i], arg[i + 1]
  if word == "--help" then
    io.write(USAGE)
    os.exit(0)
  elseif word == "--insecure" then
    options.insecure = true
  elseif word == "-d" or word == "--cafile" then
    options[word:match "%w+"] = value or refuse("%s needs a name", word)
    i = i + 1
  elseif word == "-j" or word == "--tries" or word == "--timeout" then
    options[word:match "%w+"] = number(word, value)
    i = i + 1
  elseif word:sub(1, 1) == "-" then
    refuse("what is %s?", word)
  else
    addresses[#addresses + 1] = word
  end
  i = i + 1
end
options.dir = options.d or options.dir
if #addresses == 0 then refuse "a URL is needed" end
for n, address in ipairs(addresses) do jobs[n] = job_of(address, names) end
http.TIMEOUT, ftp.TIMEOUT = options.timeout, options.timeout
for _, job in ipairs(jobs) do
  if job.scheme == "https" then
    need("ssl.https", "LuaSec (lua-sec)").TIMEOUT = options.timeout
  end
end
for _, path in ipairs(CERTIFICATES) do
  if not options.cafile and fs.stat(path) then options.cafile = path end
end

local signals = assert(process.signals("HUP", "INT", "TERM"))
local tick = casting.every(PERIOD)
measure()
local ok, failure = pcall(casting.scope, function(scope)
  scope:spawn(function()
    local signal = signals:receive()
    if signal then error(signal, 0) end
  end)
  scope:spawn(function() for _ in tick do if width then draw "" end end end)
  local workers = {}
  for n = 1, math.min(options.j, #jobs) do workers[n] = scope:spawn(work) end
  for _, worker in ipairs(workers) do worker:await() end
  signals:close()
  tick:close()
end)
for _, text in ipairs(failures) do io.stderr:write("download: ", text, "\n") end
if not ok then
  for _, job in ipairs(running) do
    if job.done == 0 then fs.remove(job.part) end
  end
  local e = tostring(type(failure) == "table" and failure.error or failure)
  io.stderr:write("download: ", e, "\n")
  os.exit(NUMBERS[e] and 128 + NUMBERS[e] or 1)
end
os.exit(#failures == 0 and 0 or 1)
