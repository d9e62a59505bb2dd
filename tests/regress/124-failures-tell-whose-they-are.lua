-- 124: A failure's text named neither the task that had failed and its session
-- nor the line that had called scope, all, race or map.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function has(text, ...)
  for _, word in ipairs {...} do
    assert(text:find(word, 1, true), ("no %q in %s"):format(word, text))
  end
end

local session = casting.session {name = "elsewhere"}
local here = "124-failures-tell-whose-they-are.lua:"
local function fail() error("no luck", 0) end

local function try(casting, session, fail, has, here, own)
  local function failure(f, ...)
    local ok, e = pcall(f, ...)
    if ok or not e.traceback then error "it must fail" end
    if not tostring(e):find(e.traceback, 1, true) then error(tostring(e)) end
    return e
  end
  local e = failure(function()
    casting.scope(function(scope) -- its line
      scope:spawn_in(session, fail)
      casting.sleep(60)
    end)
  end)
  has(e.traceback, "no luck\nstack traceback:", "\nin " .. e.task:name() ..
    " of session 'elsewhere'\nawaited at ", here)
  e = failure(function() casting.all {fail} end)
  has(e.traceback, "\nin " .. e.task:name() .. " of session '" .. own ..
    "'\nawaited at ", here)
  e = failure(function() casting.race {fail} end)
  has(e.traceback, "of session '" .. own .. "'\nawaited at ", here)
  e = failure(function() casting.map({1}, fail, {sessions = {session}}) end)
  has(e.traceback, "no luck\nstack traceback:",
    "of session 'elsewhere'\nawaited at ", here)

  -- It tells so once, however many scopes it passes, and of each that failed.
  e = failure(casting.scope, function()
    casting.scope(function(scope)
      for _ = 1, 2 do
        scope:spawn(function()
          pcall(casting.sleep, 60)
          fail()
        end)
      end
      casting.yield()
      fail()
    end)
  end)
  local _, n = tostring(e):gsub("\nawaited at ", "")
  if n ~= 3 or #e.others ~= 2 then error(tostring(e)) end
  return "done"
end

assert(try(casting, session, fail, has, here, "main") == "done")
assert(casting.spawn(try, casting, session, fail, has, here, "main")
  :await(60) == "done")
local other = casting.session {name = "other"}
assert(other:spawn(try, casting, session, fail, has, here, "other")
  :await(60) == "done")

-- The line is that of the call.
local line = debug.getinfo(1, "l").currentline + 1
local ok, e = pcall(function() casting.all {fail} end)
assert(not ok)
has(tostring(e), "awaited at ", here .. line)
