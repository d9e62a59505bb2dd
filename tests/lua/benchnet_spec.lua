-- benchnet_spec.lua - the servers and the load of `./dev bench net` work.
-- SPDX-License-Identifier: MIT
--
-- A few messages each. The load generator compares every byte that comes back,
-- and fails if one is lost; so this is a test of sockets, too.
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

-- Compiles the programs; false, why if that is not possible here.
local function compile()
  if not helper.has_children() then
    return false, "no other program can be started here"
  elseif not output "test -d /proc/self && command -v cc" then
    return false, "needs Linux and a compiler"
  end
  directory = os.tmpname()
  os.remove(directory)
  assert(output("mkdir " .. directory))
  local ok, why = output(("cc -std=c11 -O1 -o %s/load bench/net/load*.c && " ..
    "cc -std=c11 -O1 -o %s/server bench/net/server.c"):format(directory,
    directory))
  return ok, why
end

local ok, why = compile()

-- The fields of the line that the load prints.
local function load(what, server)
  local well, out = output(("timeout -k 2 %d %s/load %s -- %s"):format(
    math.ceil(2 * helper.LONG), directory, what, server))
  assert.is_true(well, out)
  local fields = { rate = tonumber(out:match "^%l+\t([%d.]+)\t") }
  for key, number in out:gmatch "\t(%l%w*)=([^\t\n]+)" do
    fields[key] = tonumber(number)
  end
  assert.is_truthy(fields.rate, out)
  return fields
end

local function casting(options)
  return helper.command() .. " bench/net/casting.lua " .. (options or "")
end

describe("bench net", function()
  if not ok then
    pending(why)
    return
  end

  local function echoes(options, server)
    local got = load("echo --free --seconds 0.05 " .. options, server)
    assert.is_true(got.rate > 0)
    assert.equal(0, got.errors)
  end

  it("has a loop of epoll and a load for it", function()
    echoes("--connections 3", directory .. "/server")
    echoes("--connections 2 --size 300000", directory .. "/server")
    local got = load("churn --free --connections 2 --seconds 0.05",
      directory .. "/server")
    assert.equal(0, got.errors)
  end)

  it("echoes in the main program", function()
    echoes("--connections 1", casting())
    echoes("--connections 40 --size 64", casting())
    echoes("--connections 3 --size 16384", casting())
    echoes("--connections 2 --size 300000", casting())
  end)

  it("echoes in sessions", function()
    echoes("--connections 40", casting "--sessions 1")
    echoes("--connections 40 --size 16384", casting "--sessions 2")
    echoes("--connections 5", casting "--sessions 2 --compute 10")
  end)

  -- With one thread, what gets no signals (ThreadSanitizer) never lets go.
  if not helper.tsan() then
    it("echoes beside a session that computes", function()
      echoes("--connections 3", casting "--sessions 1 --busy")
    end)
  end

  it("accepts and closes", function()
    for _, options in ipairs { "", "--sessions 2" } do
      local got = load("churn --free --connections 5 --seconds 0.05",
        casting(options))
      assert.equal(0, got.errors)
    end
  end)

  it("keeps idle connections", function()
    load("idle --free --connections 10 --more 30 --seconds 0.01",
      casting "--idle")
  end)

  it("removes what it has compiled", function()
    assert.is_true((output("rm -r " .. directory)))
  end)
end)
