-- bench_spec.lua - every benchmark runs, with a few steps, and gives a figure.
-- SPDX-License-Identifier: MIT
--
-- Whether the figures are good is not a matter of tests. That the programs of
-- bench/compare compute what they should, each checks itself.

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore

if not helper.has_children() then
  describe("benchmarks", function()
    pending "run: no other program can be started here"
  end)
  return
end

-- Runs a benchmark; returns what it wrote. It must end well and not complain.
local function run(file, options)
  local err = os.tmpname()
  local pipe = io.popen(("timeout -k 2 %d %s %s %s 2>%s </dev/null; echo $?")
    :format(math.ceil(2 * helper.LONG), helper.command(), file, options, err))
  local out, status = pipe:read("*a"):match "^(.-)(%d+)%s*$"
  pipe:close()
  local complaint = helper.slurp(err)
  os.remove(err)
  if status ~= "0" or complaint ~= "" then
    error(("%s %s: status %s\n%s%s"):format(file, options, status, out,
      complaint), 2)
  end
  return out
end

-- The lines that --raw prints, checked: name, value, unit, key=number.
local function lines(out)
  local names = {}
  for line in out:gmatch "[^\n]+" do
    local name, value, unit, rest =
      line:match "^([^\t]+)\t([^\t]+)\t([^\t]+)(.*)$"
    assert.is_truthy(tonumber(value), line)
    assert.is_true(tonumber(value) > 0, line)
    assert.is_truthy(unit, line)
    assert.matches("\tsteps=%d+", rest)
    names[#names + 1] = name
  end
  return names
end

local function files(dir)
  local list = {}
  local pipe = io.popen("ls " .. dir .. "/*.lua")
  for file in pipe:lines() do
    list[#list + 1] = file
  end
  pipe:close()
  return list
end

-- What is no benchmark, or measures something else than places.
local HELPERS = { ["bench/common.lua"] = true,
  ["bench/compare/lua/lib.lua"] = true }
local OTHER = { ["bench/parked.lua"] = true, ["bench/session.lua"] = true,
  ["bench/fib.lua"] = true, ["bench/programs.lua"] = true }
local LINES = { ["bench/select.lua"] = 2, ["bench/batches.lua"] = 4,
  ["bench/streams.lua"] = 3,
  ["bench/neighbours.lua"] = 5 }
local IN_TWO = { ["bench/timers.lua"] = true, ["bench/neighbours.lua"] = true }

describe("bench", function()
  for _, file in ipairs(files "bench") do
    -- Under ThreadSanitizer the sandboxes of that one are never interrupted.
    local deaf = file == "bench/neighbours.lua" and helper.tsan()
    if not HELPERS[file] and not OTHER[file] and not deaf then
      it("has " .. file .. ", which works in every place", function()
        local n = LINES[file] or 1
        assert.equal((IN_TWO[file] and 2 or 3) * n,
          #lines(run(file, "--raw --steps 40")))
      end)
    end
  end

  it("has the Savina suite, which works in two sessions", function()
    for _, file in ipairs(files "bench/compare/lua") do
      if not HELPERS[file] then
        assert.equal(1, #lines(run(file, "--raw --place two --steps 40")))
      end
    end
  end)

  it("runs the programs to compare on plain coroutines, too", function()
    for _, name in ipairs { "pingpong", "buffered", "fanin", "select", "ring",
      "spawn", "skynet" } do
      local file = "bench/" .. name .. ".lua"
      assert.equal(LINES[file] or 1,
        #lines(run(file, "--raw --bare --steps 40")))
    end
    for _, file in ipairs(files "bench/compare/lua") do
      if not HELPERS[file] then
        assert.equal(1, #lines(run(file, "--raw --bare --steps 40")))
      end
    end
  end)

  it("runs in one place if asked to", function()
    assert.same({ "pingpong, one worker" },
      lines(run("bench/pingpong.lua", "--raw --steps 10 --place one")))
  end)

  it("runs programs", function()
    assert.matches("programs, 8 at a time, casting +%d+ /s",
      run("bench/programs.lua", "--rounds 1 --steps 16"))
  end)

  it("measures computing, memory and sessions", function()
    assert.matches("fib%(5%) in two sessions, at once",
      run("bench/fib.lua", "5 --rounds 1 --steps 10"))
    -- A few waiting tasks or sessions need no new page of memory.
    assert.matches("^parked tasks\t",
      run("bench/parked.lua", "--raw --steps 10"))
    local out = run("bench/session.lua", "--raw --steps 2")
    assert.matches("^sessions made and closed\t[%d.]+\tsessions/s\t", out)
    assert.matches("\nlive sessions\t", out)
  end)

  it("has a line for people", function()
    assert.matches("^pingpong, same session +[%d.]+ [MkG]? ?round trips/s +|",
      run("bench/pingpong.lua", "--rounds 2 --steps 20"))
  end)

  it("fails when a program computes something wrong", function()
    local broken = [[
      local lib = dofile "bench/compare/lua/lib.lua"
      lib.measure("broken", "steps/s", function(n)
        lib.check(n + 1, n, "the number")
        return n
      end)]]
    local result = helper.run("arg = { [0] = 'bench/compare/lua/x.lua' " ..
      "; '--raw', '--steps', '5' }" .. broken)
    assert.not_equal(0, result.status)
    assert.matches("wrong result: the number is 6, not 5", result.err)
  end)
end)

