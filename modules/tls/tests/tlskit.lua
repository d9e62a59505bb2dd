-- tlskit.lua - what the specs of TLS share.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local netkit = require "netkit"
package.path = "./modules/tls/tests/?.lua;" .. package.path
local certs = require "certs"
local net = require "casting.net"
local pack, LONG = helper.pack, helper.LONG

local kit = {}

function kit.server_options(more)
  local c = certs.make()
  local o = {cert = c.server.cert, key = c.server.key}
  for k, v in pairs(more or {}) do o[k] = v end
  return o
end

function kit.client_options(more)
  local o = {ca = certs.make().ca.cert}
  for k, v in pairs(more or {}) do o[k] = v end
  return o
end

-- -- what is closed after each test -------------------------------------------

local open = {}

function kit.keep(v)
  open[#open + 1] = v
  return v
end

function kit.close_all()
  for i = #open, 1, -1 do
    pcall(open[i].close, open[i])
    open[i] = nil
  end
end

-- -- both ends ----------------------------------------------------------------

-- A listener that serves f in a task. Returns its port, the task, and the
-- listener.
function kit.serve(options, f, serving)
  local listener = kit.keep(assert(net.listen("127.0.0.1", 0,
    {tls = options})))
  local task = casting.spawn(function() return listener:serve(f, serving) end)
  return select(2, listener:name()), task, listener
end

function kit.echo(stream)
  for line in stream:lines("L", LONG) do stream:write(line) end
end

function kit.connect(port, options, host)
  local stream, why = net.connect(host or "localhost", port,
    {tls = options or kit.client_options(), timeout = LONG})
  if stream then kit.keep(stream) end
  return stream, why
end

-- Two ends of one TLS connection, in this session.
function kit.both(server, client, make)
  local a, b = (make or netkit.tcp)()
  kit.keep(a)
  kit.keep(b)
  local s = kit.server_options(server)
  s.server = true
  local c = kit.client_options(client)
  c.name = c.name or "localhost"
  local task = casting.spawn(function() return a:starttls(s) end)
  local got = pack(b:starttls(c))
  return pack(task:await(LONG)), got
end

function kit.pair(server, client, make)
  local s, c = kit.both(server, client, make)
  return assert(s[1], s[2]), assert(c[1], c[2])
end

return kit
