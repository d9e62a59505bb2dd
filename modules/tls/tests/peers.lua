-- peers.lua - other programs with TLS, as clients and as servers.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local kit = require "tlskit"
local certs = require "certs"
local net, process = require "casting.net", casting.process
local LONG = helper.LONG

local peers = {}

-- All that a stream has until its end.
local function all_of(stream)
  local text, _, rest = stream:read("a", LONG)
  return text or rest or ""
end

local function start(words)
  local p = assert(process.spawn(words))
  kit.keep {close = function() p:kill "KILL" end}
  return p
end

-- A client that sends a line. If it comes back in upper case the client gets
-- `more`, line by line, each of them after the answer to the one before; then
-- it ends. Returns all that it has said, and whether the first line came back.
function peers.s_client(port, args, more)
  local words = {"openssl", "s_client", "-connect", "127.0.0.1:" .. port,
    "-CAfile", certs.make().ca.cert, stdin = "pipe", stdout = "pipe",
    stderr = "stdout"}
  for _, word in ipairs(args) do words[#words + 1] = word end
  local p = start(words)
  p.stdin:write "hello\n"
  local said, _, rest = p.stdout:read_until("HELLO\n", 1000000, LONG)
  local heard = said ~= nil
  if heard then
    for _, line in ipairs(more or {}) do
      p.stdin:write(line[1] .. "\n")
      local text = p.stdout:read_until(line[2], 100000, LONG)
      if not text then break end
      said = said .. text .. line[2]
    end
    p.stdin:write "Q\n"
  end
  said = (said or rest or "") .. all_of(p.stdout)
  p:wait(LONG)
  p.stdin:close()
  return said, heard
end

-- A server, with "-rev" one that sends each line back with its letters in
-- reverse order; and its port. What it says stays in a pipe.
function peers.s_server(args)
  local c = certs.make()
  local words = {"openssl", "s_server", "-accept", "127.0.0.1:0",
    stdin = "pipe", stdout = "pipe", stderr = "stdout"}
  local has_cert = false
  for _, word in ipairs(args) do
    words[#words + 1] = word
    has_cert = has_cert or word == "-cert"
  end
  if not has_cert then
    for _, word in ipairs {"-cert", c.server.cert, "-key", c.server.key} do
      words[#words + 1] = word
    end
  end
  local p = start(words)
  while true do
    local line = p.stdout:read("l", LONG)
    if not line then error "openssl s_server does not begin" end
    local port = line:match "^ACCEPT .*:(%d+)$"
    if port then return tonumber(port), p end
  end
end

-- nginx with such a part of its configuration, in which PORT is that at which
-- it listens. Returns the port; or nil and why not.
function peers.nginx(server)
  local fs = casting.fs
  local dir = assert(fs.tempdir())
  local probe = assert(net.listen("127.0.0.1", 0))
  local _, port = probe:name()
  probe:close()
  local conf = ([[
daemon off;
master_process off;
pid DIR/pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path DIR/1;
  proxy_temp_path DIR/2;
  fastcgi_temp_path DIR/3;
  uwsgi_temp_path DIR/4;
  scgi_temp_path DIR/5;
  server {
    SERVER
  }
}
]]):gsub("SERVER", (server:gsub("%%", "%%%%"))):gsub("DIR", dir)
    :gsub("PORT", port)
  assert(fs.write(dir .. "/conf", conf))
  local p, why = process.spawn {"nginx", "-p", dir, "-c", dir .. "/conf",
    stderr = "pipe", stdout = "null"}
  if not p then
    p, why = process.spawn {"/usr/sbin/nginx", "-p", dir, "-c", dir .. "/conf",
      stderr = "pipe", stdout = "null"}
  end
  kit.keep {close = function()
    if p then
      p:kill "KILL"
      p:wait(LONG)
    end
    fs.remove(dir, {tree = true})
  end}
  if not p then return nil, why end
  local said = casting.spawn(all_of, p.stderr)
  -- There is no event for a server that has begun to listen.
  for _ = 1, 1000 do
    local stream = net.connect("127.0.0.1", port, {timeout = LONG})
    if stream then
      stream:close()
      return port
    end
    if p:wait(0.01 * helper.slow) then break end
  end
  p:kill "KILL"
  error("nginx does not begin: " .. said:await(LONG))
end

return peers
