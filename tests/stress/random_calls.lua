-- random_calls.lua - every function and method with random arguments: no crash,
-- no hang, and errors that name the function and what is wrong. No descriptors
-- are left in the end.
-- SPDX-License-Identifier: MIT
--
-- See lib/kit.lua for the arguments, lib/caller.lua for what is done. A scale
-- of 100 makes 200000 calls in the main state, and as many in a session.

package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/lib/?.lua;" ..
  package.path
local casting = require "casting"
local kit = require "kit"
local caller = require "caller"

local seed = kit.arguments()
local calls = kit.scaled(2000, 500)

-- How many descriptors the process has; nil: not known here.
local function descriptors()
  local pipe = io.popen "ls /proc/$PPID/fd 2>/dev/null | wc -l"
  local n = pipe and tonumber((pipe:read "*a":gsub("%s", "")))
  if pipe then pipe:close() end
  return n ~= 0 and n or nil
end

local function report(place, called, all)
  print(("random_calls: %d calls in %s, %d of %d functions"):format(calls,
    place, called, all))
  kit.check(calls < 2000 or called == all, "%d functions were not called",
    all - called)
end

report("the main state", caller.run(seed, calls))
local session = casting.session {name = "random"}
report("a session", kit.join(session:spawn(function(name, ...)
  local kit = require "kit"
  kit.name, kit.seed = name, ...
  return require("caller").run(...)
end, kit.name, seed, calls), "the session", 86400))
session:close()

-- Casting's own few are not known before. What a session held that closes, or a
-- call that was cancelled, goes a little later.
local patience = casting.now() + 60
while (descriptors() or 0) > 20 do
  kit.check(casting.now() < patience, "%d descriptors are left", descriptors())
  collectgarbage()
  casting.sleep(0.01)
end
