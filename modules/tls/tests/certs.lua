-- certs.lua - certificates for tests of TLS, made by the program openssl.
-- SPDX-License-Identifier: MIT

local certs = {}

local dir

local function run(command)
  local status = os.execute(command .. " >/dev/null 2>&1")
  assert(status == true or status == 0, "failed: " .. command)
end

local function path(name) return dir .. "/" .. name end

-- A key, and a certificate for `subject` that `ca` signs; nil: it signs itself.
local function make(name, subject, names, ca, days)
  local key, cert = path(name .. ".key"), path(name .. ".pem")
  local ext = path(name .. ".ext")
  local file = assert(io.open(ext, "w"))
  if names then file:write("subjectAltName=", names, "\n") end
  if not ca then file:write "basicConstraints=critical,CA:TRUE\n" end
  file:close()
  run(("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes " ..
    "-subj '/CN=%s' -keyout %s -out %s.csr"):format(subject, key, key))
  run(("openssl x509 -req -in %s.csr -days %d -extfile %s -out %s %s")
    :format(key, days or 30, ext, cert, ca and
      ("-CA %s -CAkey %s"):format(path(ca .. ".pem"), path(ca .. ".key")) or
      "-signkey " .. key))
  certs[name] = {cert = cert, key = key}
end

function certs.slurp(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- Makes them all, once in a process.
function certs.make()
  if dir then return certs end
  dir = os.tmpname()
  os.remove(dir)
  run("mkdir -m 700 " .. dir)
  make("ca", "test authority")
  make("stranger", "another authority")
  make("server", "localhost", "DNS:localhost,IP:127.0.0.1", "ca")
  make("other", "other", "DNS:other.test,DNS:*.wild.test", "ca")
  make("second", "localhost", "DNS:localhost,IP:127.0.0.1", "ca")
  make("expired", "localhost", "DNS:localhost,IP:127.0.0.1", "ca", -1)
  make("client", "a client", nil, "ca")
  make("unknown", "localhost", "DNS:localhost", "stranger")
  run(("openssl ec -in %s -aes128 -passout pass:secret -out %s")
    :format(certs.server.key, path "locked.key"))
  certs.locked = {cert = certs.server.cert, key = path "locked.key"}
  return certs
end

function certs.remove()
  if dir then run("rm -rf " .. dir) end
  dir = nil
end

return certs
