-- fileserver.lua - serves the files of a directory, with lists of directories.
-- SPDX-License-Identifier: MIT
--
-- What it shows: http.files answers with files, with conditions, ranges and
-- media types; what it does not find goes to the function `missing`, which
-- lists directories here. Names of files are anybody's text: in the page they
-- are escaped, and in links they have percent signs. The log is written by one
-- task of the main session, whatever session has answered, and goes to the
-- standard output in the form that log readers know ("combined log format").
--
-- How to run it; Ctrl-C ends it:
--   ./dev run examples/fileserver.lua --port 8080 docs

local casting = require "casting"
local fs = require "casting.fs"
local net = require "casting.net"
local process = require "casting.process"

local USAGE = [[
usage: fileserver.lua [options] [DIRECTORY]   serve DIRECTORY (default ".")

  --host HOST       where to listen (default 127.0.0.1)
  --port PORT       the port (default 8080)
  --sessions N      in how many sessions, up to 64 (default 2)
  --hidden          serve names that begin with a dot, too
  --quiet           no access log
  --help            print this
]]

local MOST = 5000   -- names in a list
local BACKLOG = 1000 -- lines of the log that may wait
local GRACE = 5     -- seconds for what is under way at the end

local function give_up(status, ...)
  io.stderr:write("fileserver: ", string.format(...), "\n")
  if status == 2 then io.stderr:write(USAGE) end
  os.exit(status)
end

local ok, http = pcall(require, "casting.http")
if not ok then give_up(1, "needs casting.http") end

-- ------------------------------------------------------------ directories --

local PAGE = [[
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>%s</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
  body { max-width: 50rem; margin: 1.5rem auto; padding: 0 1rem }
  h1 { font-size: 1.25rem; overflow-wrap: anywhere }
  table { width: 100%%; border-collapse: collapse }
  th { text-align: left; font-weight: 600 }
  th, td { padding: .3rem .5rem; border-bottom: 1px solid #8884 }
  td { vertical-align: top }
  td:first-child { overflow-wrap: anywhere }
  td:nth-child(n+2) { white-space: nowrap }
  th:nth-child(2), td:nth-child(2) { text-align: right }
  @media (max-width: 30rem) {
    th:nth-child(3), td:nth-child(3) { display: none }
  }
</style>
<h1>%s</h1>
<table>
<thead><tr><th>Name</th><th>Size</th><th>Changed (UTC)</th></tr></thead>
<tbody>
]]

local ESCAPES = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
  ['"'] = "&quot;", ["'"] = "&#39;"}
local function escape(text) return (text:gsub("[&<>\"']", ESCAPES)) end

local function size_of(bytes)
  if bytes < 1000 then return ("%d B"):format(bytes) end
  local units, i = {"kB", "MB", "GB", "TB"}, 0
  repeat bytes, i = bytes / 1000, i + 1 until bytes < 999.5 or i == #units
  return (bytes < 9.95 and "%.1f %s" or "%.0f %s"):format(bytes, units[i])
end

-- One row of the list; nothing for what is neither file nor directory, or has
-- gone meanwhile. A link in front of which "./" stands is never taken for an
-- URL with a scheme ("a:b").
local function row(directory, name)
  local found = fs.stat(directory .. name)
  if not found then return "" end
  local slash = found.type == "directory" and "/" or ""
  if slash == "" and found.type ~= "file" then return "" end
  return ('<tr><td><a href="./%s">%s</a></td><td>%s</td><td>%s</td></tr>\n')
    :format(http.encode(name) .. slash, escape(name) .. slash,
      slash == "" and size_of(found.size) or "",
      os.date("!%Y-%m-%d %H:%M", math.floor(found.modified)))
end

local function list(response, directory, path, hidden)
  local names, types = fs.list(directory)
  if not names then return false end
  local title = escape("Index of " .. path)
  response.headers["Content-Type"] = "text/html; charset=utf-8"
  response:write(PAGE:format(title, title))
  if path ~= "/" then
    response:write '<tr><td><a href="../">../</a></td><td></td><td></td></tr>\n'
  end
  local function rows(of_directories)
    for i = 1, math.min(#names, MOST) do
      local name = names[i]
      if (types[name] == "directory") == of_directories and
        (hidden or name:sub(1, 1) ~= ".") then
        response:write(row(directory, name))
      end
    end
  end
  rows(true)
  rows(false)
  response:write "</tbody></table>\n"
  if #names > MOST then
    response:write(("<p>and %d more</p>\n"):format(#names - MOST))
  end
  return true
end

-- Is called when there is no such file, and for directories without index.html.
-- The path was not looked at yet: no name in it may be "..", empty, hidden, or
-- have a zero byte or a backslash.
local function lister(root, hidden)
  return function(request, response)
    local path = request.path
    local safe = path:match "^/.*/$" or path == "/"
    if path:find("[%z\\]") or path:find("//", 1, true) then safe = false end
    for name in path:gmatch "[^/]+" do
      if name == "." or name == ".." or
        (name:sub(1, 1) == "." and not hidden) then
        safe = false
      end
    end
    if safe and list(response, root .. path, path, hidden) then return end
    response.status = 404
    response:write "not found\n"
  end
end

-- -------------------------------------------------------------------- log --

-- What a client has sent is quoted, so that a line stays a line.
local function quote(text)
  return '"' .. text:gsub('[%c"\\\127-\255]', function(c)
    return ("\\x%02x"):format(c:byte())
  end) .. '"'
end

-- For the option `log` of http.serve. When lines cannot be written as fast as
-- they come the server does not wait for them: they are dropped, and the next
-- one that is not tells how many those of its session were.
local function logger(lines)
  local lost = 0
  return function(request, status, bytes)
    local line = ("%s - - [%s] %s %d %s %s %s\n"):format(request.host,
      os.date "!%d/%b/%Y:%H:%M:%S +0000",
      quote(request.method .. " " .. request.target .. " HTTP/1.1"),
      status, bytes > 0 and ("%.0f"):format(bytes) or "-",
      quote(request.headers.referer or "-"),
      quote(request.headers["user-agent"] or "-"))
    if lost > 0 then
      line = ("# %d lines are missing\n"):format(lost) .. line
    end
    lost = lines:try_send(line) and 0 or lost + 1
  end
end

-- Writes the lines that have come meanwhile in one go. When nobody reads them
-- any more they are still received.
local function write_log(lines)
  for line in lines do
    local batch = {line}
    while lines:len() > 0 do batch[#batch + 1] = lines:receive() end
    casting.stdout:write(batch)
  end
end

-- ---------------------------------------------------------------- program --

-- The number of an option; the program ends if it is none, or out of bounds.
local function number(options, name, least, most)
  local value = tonumber(options[name])
  if not value or value % 1 ~= 0 or value < least or value > most then
    give_up(2, "--%s: %s is none", name, options[name])
  end
  options[name] = value
end

local function read_arguments()
  local options = {host = "127.0.0.1", port = 8080, sessions = 2,
    hidden = false, quiet = false}
  local i = 1
  while arg[i] do
    local name = arg[i]:match "^%-%-(.*)"
    if name == "help" then
      io.write(USAGE)
      os.exit(0)
    elseif name and options[name] == nil then
      give_up(2, "what is %s?", arg[i])
    elseif name and options[name] == false then
      options[name] = true
    elseif name then
      i = i + 1
      options[name] = arg[i] or give_up(2, "--%s needs a word", name)
    elseif options.root then
      give_up(2, "one DIRECTORY, please")
    else
      options.root = arg[i]
    end
    i = i + 1
  end
  options.root = options.root or "."
  number(options, "port", 0, 65535)
  number(options, "sessions", 1, 64)
  return options
end

local options = read_arguments()
local found, why = fs.stat(options.root)
if not found then give_up(1, "%s", why) end
if found.type ~= "directory" then
  give_up(1, "%s: not a directory", options.root)
end
local listener
listener, why = net.listen(options.host, options.port)
if not listener then give_up(1, "cannot listen: %s", why) end

local ends = process.signals("INT", "TERM")
casting.spawn(function()
  ends:receive()
  listener:close()
end)

print(("http://%s:%d/"):format(listener:name()))
io.stdout:flush()
local lines = casting.channel(BACKLOG)
local writer = casting.spawn(write_log, lines)
http.serve(listener, http.files(options.root, {
  dotfiles = options.hidden,
  missing = lister(options.root, options.hidden),
}), {
  sessions = options.sessions,
  grace = GRACE,
  log = not options.quiet and logger(lines) or nil,
})
lines:close()
writer:await()
