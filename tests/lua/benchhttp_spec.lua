-- benchhttp_spec.lua - the server and the load of `./dev bench http` work.
-- SPDX-License-Identifier: MIT
--
-- A few requests each. The load compares what it gets; so this is a test of
-- casting.http, too.
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

-- Compiles the load, and makes a file; false, why if that is not possible here.
local function compile()
  if not helper.has_children() then
    return false, "no other program can be started here"
  elseif not pcall(require, "casting.http") then
    return false, "casting.http is not built"
  elseif not output "test -d /proc/self && command -v cc" then
    return false, "needs Linux and a compiler"
  end
  directory = os.tmpname()
  os.remove(directory)
  assert(output("mkdir -m 700 " .. directory))
  return output(([[d=%s && mkdir $d/files && cd bench/http &&
    cc -std=c11 -O1 -o $d/load load*.c ../net/load_server.c &&
    printf 'Hello, World!' >$d/hello && cat casting.lua >$d/files/file.txt]])
    :format(directory))
end

local ok, why = compile()

local function load(what, options)
  local well, out = output(("timeout -k 2 %d %s/load %s --free -- %s %s %s")
    :format(math.ceil(2 * helper.LONG), directory, what, helper.command(),
    "bench/http/casting.lua", options or ""))
  assert.is_true(well, out)
  local name, figure = out:match "^(%l+)\t([%d.-]+)\t"
  assert.is_truthy(tonumber(figure), out)
  -- A few idle connections may need no new page of memory.
  assert.is_true(name == "idle" or tonumber(figure) > 0, out)
  assert.equal("0", out:match "errors=(%d+)" or "0")
end

describe("bench http", function()
  if not ok then
    pending(why)
    return
  end

  local file = ("--path /file.txt --like %s/files/file.txt"):format(directory)
  local files = "--files " .. directory .. "/files"

  it("answers requests", function()
    load "ask"
    load("ask --requests 5", "--compute 100 --sessions 2")
  end)

  it("sends files", function()
    load("ask " .. file, files)
    load("ask " .. file, files .. " --cache 60")
  end)

  it("echoes over websockets", function()
    load("websocket --connections 4 --seconds 0.05", "--websocket")
  end)

  it("keeps idle connections", function()
    load "idle --connections 30"
  end)

  it("is loaded by wrk", function()
    if not output "command -v wrk" then
      pending "needs wrk"
      return
    end
    load(("wrk --connections 4 --like %s/hello"):format(directory))
  end)

  it("removes what it has compiled", function()
    assert.is_true((output("rm -r " .. directory)))
  end)
end)
