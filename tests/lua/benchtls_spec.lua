-- benchtls_spec.lua - the servers and the load of `./dev bench tls` work.
-- SPDX-License-Identifier: MIT
--
-- A few connections each. The load is a client on OpenSSL, and counts what it
-- gets; so this is a test of casting.tls, too.
-- uncollected: a load that is too slow has no result.

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore

local function output(command)
  local pipe = io.popen(command .. " 2>&1; echo $?")
  local out, status = pipe:read("*a"):match "^(.-)(%d+)%s*$"
  pipe:close()
  return status == "0", out
end

local directory

-- Compiles the programs, and makes a certificate; false, why if that is not
-- possible here.
local function compile()
  if not helper.has_children() then
    return false, "no other program can be started here"
  elseif not pcall(require, "casting.tls") then
    return false, "casting.tls is not built"
  elseif not output "test -d /proc/self && command -v cc openssl" then
    return false, "needs Linux, a compiler and openssl"
  end
  directory = os.tmpname()
  os.remove(directory)
  assert(output("mkdir -m 700 " .. directory))
  return output(([[cd bench/tls && d=%s &&
    cc -std=c11 -O1 -o $d/server server.c -lssl -lcrypto &&
    cc -std=c11 -O1 -o $d/load load.c ../net/load_server.c -lssl -lcrypto &&
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
      -subj /CN=localhost -keyout $d/key -out $d/cert]]):format(directory))
end

local ok, why = compile()

local function load(what, server)
  local well, out = output(("timeout -k 2 %d %s/load %s --free -- %s"):format(
    math.ceil(2 * helper.LONG), directory, what, server))
  assert.is_true(well, out)
  local name, figure = out:match "^(%l+)\t([%d.-]+)\t"
  assert.is_truthy(tonumber(figure), out)
  -- A few idle connections may need no new page of memory.
  assert.is_true(name == "idle" or tonumber(figure) > 0, out)
  assert.equal("0", out:match "errors=(%d+)" or "0")
end

describe("bench tls", function()
  if not ok then
    pending(why)
    return
  end

  local identity = directory .. "/cert " .. directory .. "/key"
  local function casting(options)
    return helper.command() .. " bench/tls/casting.lua " .. identity ..
      (options or "")
  end

  it("has a server in C and a load for it", function()
    local server = directory .. "/server " .. identity
    load("get --bytes 1e6", server)
    load("put --bytes 1e6", server)
  end)

  it("shakes hands", function()
    load("handshakes --connections 4 --seconds 0.05", casting())
    load("handshakes --connections 4 --seconds 0.05 --polite", casting())
  end)

  it("sends and receives", function()
    load("get --bytes 1e6", casting())
    load("get --bytes 1e6", casting " 65536")
    load("put --bytes 1e6", casting())
  end)

  it("keeps idle connections", function()
    load("idle --connections 30", casting())
    load("idle --connections 30 --talk", casting " --buffers")
  end)

  it("removes what it has compiled", function()
    assert.is_true((output("rm -r " .. directory)))
  end)
end)
