-- servers.lua - the servers that are compared: ours, nginx and Node, each on a
-- Unix socket in a directory, and what they make of some bytes.
-- SPDX-License-Identifier: MIT
--
-- Each answers 200 to whatever it takes for a request, with a field X-Seen: the
-- method and the number of bytes of the body, or "last" if it is GET of /last.
-- Ours tells the head as well, for the table of known differences.
-- nginx does not read a body that it does not need, so it is its own proxy: the
-- one in front has read all of it when it asks the one behind.

local casting = require "casting"
local fs = require "casting.fs"
local http = require "casting.http"
local net = require "casting.net"
local process = require "casting.process"

local Servers = {}

Servers.names = {"casting", "nginx", "node"}
-- What stands behind each input.
Servers.last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
local PATIENCE = 20 -- seconds that nothing takes

local NGINX = [[
daemon off;
master_process off;
pid DIR/pid;
error_log DIR/error.log alert;
events { worker_connections 500; }
http {
  access_log off;
  client_body_temp_path DIR/body;
  proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  large_client_header_buffers 4 64k;
  map $http_content_length $size { "" 0; default $http_content_length; }
  map "$request_method $request_uri" $seen {
    "GET /last" last;
    default "$request_method $size";
  }
  server {
    listen unix:DIR/nginx;
    location / {
      proxy_pass http://unix:DIR/inner;
      proxy_pass_request_headers off;
      proxy_ignore_client_abort on;
    }
  }
  server {
    listen unix:DIR/inner;
    location / {
      add_header X-Seen $seen always;
      return 200 "seen";
    }
  }
}
]]

-- Ours.
local function handle(req, res)
  local body = req:read "a"
  if not body then
    res.status = 400
    res.headers.connection = "close"
    return
  end
  local is_last = req.method == "GET" and req.target == "/last"
  res.headers["X-Seen"] = is_last and "last" or
    ("%s %d"):format(req.method, #body)
  res.headers["X-Head"] = ("\r\n" .. req.head):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
end

-- A program that ends when this one does, however that is.
local function start(...)
  return assert(process.spawn {"sh", "-c", '"$@" & cat; kill $!', "sh",
    stdin = "pipe", stdout = "null", ...})
end

local function ready(path)
  local deadline = casting.now() + PATIENCE
  repeat
    local stream = net.connect("unix:" .. path)
    if stream then return stream:close() end
    casting.sleep(0.02)
  until casting.now() > deadline
  error(path .. ": the server does not begin")
end

-- Starts all; `place` is where this file is.
function Servers.start(place)
  local dir = assert(fs.tempdir())
  for _, name in ipairs {"body", "proxy", "fastcgi", "uwsgi", "scgi"} do
    assert(fs.mkdir(dir .. "/" .. name))
  end
  assert(fs.write(dir .. "/nginx.conf", (NGINX:gsub("DIR", dir))))
  local self = {dir = dir, programs = {
    start("nginx", "-p", dir, "-e", dir .. "/error.log", "-c",
      dir .. "/nginx.conf"),
    start("node", place .. "/node.js", dir .. "/node"),
  }}
  self.listener = assert(net.listen("unix:" .. dir .. "/casting"))
  casting.spawn(http.serve, self.listener, handle)
  for _, name in ipairs(Servers.names) do ready(dir .. "/" .. name) end
  return self
end

function Servers.stop(self)
  self.listener:close()
  for _, program in ipairs(self.programs) do
    program.stdin:close()
    program:wait()
  end
  fs.remove(self.dir, {tree = true})
end

-- -- what comes back ----------------------------------------------------------

local function unhex(text)
  return text and (text:gsub("%x%x", function(two)
    return string.char(tonumber(two, 16))
  end))
end

-- The requests that were taken, by these answers: "POST 5", "last"; "0.9" is
-- one that was answered without a head. What ends them is `over`: "last",
-- "refused NNN", or "nothing" if no answer came.
local function understand(text)
  local taken, heads, over, at = {}, {}, "nothing", 1
  while at <= #text do
    local head, behind = text:match("^(HTTP/1%.[01] .-\r\n)\r\n()", at)
    if not head then
      if text:find("^seen", at) then taken[#taken + 1] = "0.9" end
      break
    end
    local status = tonumber(head:match "^HTTP/1%.. (%d+)")
    local seen = head:match "\r\nX%-Seen: ([^\r]*)"
    local length = tonumber(head:match "\r\nContent%-Length: (%d+)") or 0
    at = behind
    if status >= 200 then
      if seen then
        taken[#taken + 1] = seen
        heads[#taken] = unhex(head:match "\r\nX%-Head: (%x*)")
      end
      over = seen == "last" and "last" or not seen and "refused " .. status
        or "nothing"
      -- To HEAD there is a length, and no body.
      if not text:find("^HTTP/1", at) then at = at + length end
    end
  end
  return {taken = taken, heads = heads, over = over}
end

-- What the server makes of these bytes and a last request. Our side ends behind
-- them, so that no server waits for more, and nothing here waits for a time to
-- pass.
function Servers.ask(self, name, input)
  local stream = assert(net.connect("unix:" .. self.dir .. "/" .. name))
  stream:write(input .. Servers.last, PATIENCE)
  stream:shutdown()
  local text, why, part = stream:read("a", PATIENCE)
  stream:abort()
  local found = understand(text or part or "")
  if why == "timeout" then found.over = "hangs" end
  return found
end

return Servers
