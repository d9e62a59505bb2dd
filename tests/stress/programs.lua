-- programs.lua - programs that are run, killed, given up and fed at random, in
-- several sessions, by tasks that are cancelled, while signals come. What was
-- run to its end is whole, and in the end no zombie and no descriptor is left.
-- SPDX-License-Identifier: MIT
--
--   lua tests/stress/programs.lua [SEED] [SECONDS]     (2 seconds by default)

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  "./tests/lua/?.lua;" .. package.path
local kit = require "kit"
local casting = require "casting"
local process = casting.process

local seed = kit.arguments()
local factor = tonumber(os.getenv "CASTING_TIME_FACTOR") or 1
local seconds = tonumber(arg[2]) or 2
local LONG = 60 * factor
casting.on_error(casting.channel(math.huge)) -- of tasks that are cancelled

-- What a sanitizer makes each program load is not for these: so they have an
-- environment of their own.
local env = {PATH = os.getenv "PATH"}

-- Descriptors and zombies of this process.
local function left_over()
  local code, out = process.run {"sh", "-c", [[
    ls /proc/$PPID/fd | wc -l
    cat /proc/[0-9]*/stat 2>/dev/null | grep -c ") Z $PPID "]], env = env}
  local fds, zombies = out:match "(%d+)%s+(%d+)"
  assert(code, out)
  return tonumber(fds), tonumber(zombies)
end

-- One of the things that are done, in any session. `n`: which; `x`: a number.
local function act(n, x, env) -- luacheck: ignore
  local casting = require "casting" -- luacheck: ignore
  local process = casting.process -- luacheck: ignore
  if n == 1 then
    local text = ("%d\n"):rep(x):format((table.unpack or unpack)(
      (function() local t = {} for i = 1, x do t[i] = i end return t end)()))
    local code, out, err = process.run {"cat", input = text, env = env}
    return code == 0 and out == text and err == ""
  elseif n == 2 then
    local code, out, err = process.run {"sh", "-c",
      "echo out; echo err >&2; exit " .. x % 100, env = env}
    return code == x % 100 and out == "out\n" and err == "err\n"
  elseif n == 3 then
    local p = assert(process.spawn {"sleep", "30", env = env,
      stdout = "null", stderr = "null", group = x % 2 == 0})
    if x % 3 == 0 then casting.yield() end
    p:kill "KILL"
    local how, signal = p:wait()
    return how == "signal" and signal == 9
  elseif n == 4 then
    local none, why, out = process.run {"sh", "-c",
      "trap '' TERM; echo x; while :; do sleep 30; done", env = env,
      timeout = 0.001 * x, grace = 0.001}
    return none == nil and why == "timeout" and (out == "" or out == "x\n")
  elseif n == 5 then
    local p = assert(process.spawn {"cat", env = env, stdin = "pipe",
      stdout = "pipe"})
    p.stdin:write "hello\n"
    local line = p.stdout:read "l"
    p.stdin:close()
    p.stdout:close()
    return line == "hello" and select("#", p:wait()) == 2
  elseif n == 6 then
    local signals = assert(process.signals("USR1", "USR2"))
    process.run {"sh", "-c", "kill -USR" .. x % 2 + 1 .. " $PPID", env = env}
    local name = signals:receive()
    signals:close()
    return name == "USR1" or name == "USR2"
  else
    return process.spawn {"no-such-program", env = env} == nil
  end
end

left_over() -- the set that is polled, and the pipe of signals, stay
assert(process.signals "USR1"):close()
local before = left_over()
local sessions = {casting.session(), casting.session(), casting.session()}
local until_then = casting.now() + seconds
local done, cancelled = 0, 0

-- It never stops telling of these: so that none ends this process.
local keeper = process.signals("USR1", "USR2")

local function drive(seed) -- luacheck: ignore
  local random = kit.generator(seed)
  while casting.now() < until_then do
    local n, x = random(7), random(60)
    local task = sessions[random(3)]:spawn(act, n, x, env)
    if random(5) == 1 then
      for _ = 1, random(4) do casting.yield() end
      task:cancel()
    end
    local ok, good = task:join(LONG)
    if ok then
      assert(good, ("action %d with %d"):format(n, x))
      done = done + 1
    else
      assert(good == "cancelled" or casting.is_cancelled and
        tostring(good):find "cancel", tostring(good))
      cancelled = cancelled + 1
    end
    keeper:receive(0)
  end
end
local drivers = {}
for i = 1, 6 do drivers[i] = casting.spawn(drive, seed + i) end
for i = 1, #drivers do drivers[i]:await() end
for _, session in ipairs(sessions) do assert(session:close(LONG)) end
keeper:close()
collectgarbage()
collectgarbage()

-- Programs whose task was cancelled between their start and their first wait
-- still run, or were not collected yet.
local deadline = casting.now() + LONG
local fds, zombies
repeat
  fds, zombies = left_over()
until fds <= before and zombies == 0 or casting.now() > deadline
assert(fds <= before, ("%d descriptors, %d before"):format(fds, before))
assert(zombies == 0, zombies .. " zombies")
print(("seed %d: %d done, %d cancelled"):format(seed, done, cancelled))
