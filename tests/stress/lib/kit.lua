-- kit.lua - what the stress scripts share: arguments, chance, verdict.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/NAME.lua [SEED] [SCALE]
--
-- A run is a function of its seed as far as the script decides; what the
-- scheduler decides differs from run to run. Ends with status 1 on a violation.

local kit = {}

-- The minimal standard generator of Park and Miller: exact in doubles and in
-- 64-bit integers alike. random(n) is in 1..n, random() in [0, 1).
function kit.generator(seed)
  local state = math.floor(seed) % 2147483646 + 1
  local function random(n)
    state = (state * 16807) % 2147483647
    if n then return math.floor(state / 2147483647 * n) + 1 end
    return state / 2147483647
  end
  for _ = 1, 5 do random() end
  return random
end

-- The script's name, seed and scale.
function kit.arguments()
  local arg = rawget(_G, "arg") or {}
  local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
  kit.name = (arg[0] or "stress"):match "([^/\\]+)%.lua$" or "stress"
  kit.seed = tonumber(arg[1]) or 1
  kit.scale = tonumber(arg[2]) or 1 / factor
  return kit.seed, kit.scale
end

-- n scaled, at least `least`.
function kit.scaled(n, least)
  return math.max(least or 1, math.floor(n * kit.scale))
end

function kit.violation(message, ...)
  io.stderr:write(("%s (seed %s): %s\n"):format(kit.name,
    tostring(kit.seed), message:format(...)))
  os.exit(1)
end

function kit.check(ok, message, ...)
  if not ok then kit.violation(message, ...) end
end

-- Joins a task that has to end well, and soon enough to be no deadlock.
function kit.join(task, what, seconds)
  local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
  local function finish(ok, ...)
    if ok == nil then
      kit.violation("%s did not end: it is %s\n%s", what, task:status(),
        tostring((task:traceback())))
    elseif not ok then
      kit.violation("%s failed: %s\n%s", what, tostring((...)),
        tostring((task:traceback())))
    end
    return ...
  end
  return finish(task:join(seconds or 60 * factor))
end

return kit
