-- kit.lua - what the programs beside it share: casting.socket, in place of
-- LuaSocket's core.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
require("casting.socket").install()

local kit = {casting = casting}

-- Where a server is that luasocket.sh has started.
function kit.at(name)
  return os.getenv(name) or error(name .. " is not set")
end
function kit.port(name) return tonumber((kit.at(name))) end

-- Calls f(i) in n tasks of this session, which go on at the same time. Raises
-- what any of them has raised. Returns a list of their first results.
function kit.at_once(n, f)
  local tasks, results = {}, {}
  for i = 1, n do tasks[i] = casting.spawn(f, i) end
  for i = 1, n do results[i] = tasks[i]:await() end
  return results
end

-- A task that looks at the clock each millisecond. The function that is
-- returned stops it, and returns the longest gap in milliseconds.
function kit.ticker()
  local worst, over = 0, false
  local task = casting.spawn(function()
    local last = casting.now()
    while not over do
      casting.sleep(0.001)
      local now = casting.now()
      worst = math.max(worst, now - last)
      last = now
    end
  end)
  return function()
    over = true
    task:await()
    return worst * 1e3
  end
end

function kit.same(expected, got, what)
  if expected ~= got then
    error(("%s: %s instead of %s"):format(what, tostring(got),
      tostring(expected)), 2)
  end
end

-- What the check tells of a run that went well.
function kit.figure(...)
  print("figure " .. (jit and "LuaJIT" or _VERSION) .. ": " ..
    string.format(...))
end

return kit
