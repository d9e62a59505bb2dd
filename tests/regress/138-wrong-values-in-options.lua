-- 138: Options of another type than they are to have were taken, or told of in
-- a way that does not help; a NaN for a key was told of without a place.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local child = {id = "x", start = "local casting = require 'casting' " ..
  "casting.sleep(1000)", restart = "temporary"}
helper.misuse(function() casting.session {[1] = 1} end, "unknown option '1'")
helper.misuse(function() casting.session {[child] = 1} end,
  "unknown option 'table: ")
helper.misuse(function()
  casting.supervisor {children = {child}, detached = 5}
end, "#1 to 'supervisor'", "detached must be a boolean, got 5")
helper.misuse(function()
  casting.supervisor {children = {{id = 1, start = "", significant = "yes"}}}
end, "#1 to 'supervisor'", "significant must be a boolean, got a string")

local supervisor = casting.supervisor {children = {child}}
helper.misuse(function() supervisor.intensity = 3 end, ":20:",
  "a supervisor takes no fields")
assert(supervisor.intensity == nil)
supervisor:stop()

local Key = {__save = function()
  return function() return 0 / 0 end
end}
local channel = casting.channel(1)
channel:send {[setmetatable({}, Key)] = 1}
helper.misuse(function() channel:receive() end, ":30:",
  "cannot receive a number (value 1: a key): NaN cannot be one")
