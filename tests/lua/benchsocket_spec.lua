-- benchsocket_spec.lua - the programs of `./dev bench luasocket` work.
-- SPDX-License-Identifier: MIT
--
-- A few messages each. The client compares what comes back.

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore

local function output(command)
  local pipe = io.popen(command .. " 2>&1; echo $?")
  local out, status = pipe:read("*a"):match "^(.-)(%d+)%s*$"
  pipe:close()
  return status == "0", out
end

local directory

-- Compiles the other side; false, why if that is not possible here.
local function compile()
  if not helper.has_children() then
    return false, "no other program can be started here"
  elseif not output "command -v cc" then
    return false, "needs a compiler"
  elseif not pcall(require, "socket") then
    return false, "needs LuaSocket"
  end
  directory = os.tmpname()
  os.remove(directory)
  assert(output("mkdir " .. directory))
  return output(("cc -std=c11 -O1 -o %s/luasocket-peer bench/luasocket/peer.c")
    :format(directory))
end

local ok, why = compile()

describe("bench luasocket", function()
  if not ok then
    pending(why)
    return
  end

  -- The peer ends with its standard input.
  local function rate(core, workload)
    local port = directory .. "/port"
    os.remove(port)
    local peer = io.popen(("%s/luasocket-peer >%s"):format(directory, port),
      "w")
    helper.until_true(function()
      local file = io.open(port)
      local line = file and file:read "*l"
      if file then file:close() end
      return line
    end)
    local well, out = output(("timeout -k 2 %d %s bench/luasocket/client.lua" ..
      " %s %s %s 0.01"):format(math.ceil(2 * helper.LONG), helper.command(),
      core, workload, helper.slurp(port):match "%d+"))
    peer:close()
    assert.is_true(well, out)
    return tonumber(out)
  end

  it("steps in the main program, in a task and in a session", function()
    for _, core in ipairs {"original", "task", "session"} do
      for _, workload in ipairs {"echo", "line", "read"} do
        assert.is_true(rate(core, workload) > 0)
      end
    end
  end)

  it("has them take turns, and a table", function()
    local well, out = output(("BENCH_LUA=%s BENCH_DIR=%s timeout -k 2 %d " ..
      "%s bench/luasocket/run.lua --smoke"):format(helper.interpreter(),
      directory, math.ceil(4 * helper.LONG), helper.command()))
    assert.is_true(well, out)
    assert.matches("\nreceive%(1000%) +[%d.]+.*\nevery program works\n$", out)
  end)

  it("removes what it has compiled", function()
    assert.is_true((output("rm -r " .. directory)))
  end)
end)
