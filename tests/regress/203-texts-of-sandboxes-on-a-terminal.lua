-- 203: Texts of a sandbox could command a terminal, by control characters that
-- take two bytes in UTF-8, or had what turns the order of others or is unseen.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local BAD = {"\194\155", "\194\128", "\155", "\226\128\174", "\226\128\139",
  "\226\129\166", "\239\187\191", "\216\156", "\243\160\129\129", "\27", "\127"}
local GOOD = "gr\195\188n \226\130\172 \240\159\152\128"

local failures = casting.channel(100)
casting.on_error(failures)
local session = casting.session {sandbox = true}
for i, bad in ipairs(BAD) do
  session:spawn("error('<' .. ... .. '>', 0)", bad .. i .. GOOD .. bad)
  session:spawn([[
    local load = loadstring or load
    load("error('here')", "=" .. ...)()
  ]], bad .. "chunk" .. i)
  local ok, e = session:spawn([[
    local name = ...
    return pcall(require "casting".session, {name = name})
  ]], bad):await()
  assert(not ok and e:find("no control characters or invisible", 1, true), e)
end
assert(session:spawn([[
  return require "casting".session {name = ...}:name()
]], GOOD):await() == GOOD)

-- What is told of these failures, which nobody joins.
local told = {}
for i = 1, 2 * #BAD do
  told[i] = assert(failures:receive(helper.LONG)).traceback
end
told = table.concat(told, "\n")
for i, bad in ipairs(BAD) do
  local marks = ("?"):rep(#bad)
  if not told:find("<" .. marks .. i .. GOOD .. marks .. ">", 1, true) or
    not told:find(marks .. "chunk" .. i, 1, true) or
    told:find(bad, 1, true) then
    error(("%d: %q"):format(i, told))
  end
end
