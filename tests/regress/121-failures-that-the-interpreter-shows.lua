-- 121: On 5.1 the interpreter showed nothing of a failure that the main program
-- did not catch, "(error object is not a string)": it shows texts only.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

if not helper.has_children() then return end

-- What the interpreter writes when that fails.
local function shown(source)
  local result = helper.run("local casting = require 'casting'\n" .. source)
  assert(result.status == 1, result.status)
  return result.err
end

local function has(text, ...)
  for _, word in ipairs {...} do
    assert(text:find(word, 1, true), ("no %q in %s"):format(word, text))
  end
end

has(shown [[
casting.scope(function(scope)
  scope:spawn(function() error "no luck" end)
  casting.sleep(60)
end)]], ":3: no luck", "stack traceback")
has(shown [[
casting.all {function() error "bad luck" end}]], ":2: bad luck")
has(shown [[
casting.race {function() error "bad luck" end}]], ":2: bad luck")
has(shown [[
casting.map({1, 2}, function(n) error("luck " .. n) end, {sessions = 1})]],
  "item 1: ", ":2: luck 1")
has(shown [[
casting.with_timeout(60, casting.scope, function() error "no luck" end)]],
  ":2: no luck")
has(shown [[
casting.shield(casting.scope, function() error "no luck" end)]],
  ":2: no luck")
has(shown [[
casting.run(casting.scope, function() error "no luck" end)]], ":2: no luck")
has(shown [[
casting.spawn(casting.scope, function() error "no luck" end):await()]],
  ":2: no luck")
has(shown [[
casting.run(error, setmetatable({}, {__tostring = function()
  return "what it is"
end}))]], "what it is")

-- Where something can catch it, it is the value as ever.
local value = setmetatable({}, {__tostring = function() return "text" end})
local function fail() error(value) end
local ok, e = pcall(casting.run, fail)
assert(not ok and rawequal(e, value))
ok, e = pcall(casting.scope, fail)
assert(not ok and rawequal(e.error, value))
ok, e = pcall(function() casting.with_timeout(60, casting.scope, fail) end)
assert(not ok and rawequal(e.error, value))
ok, e = casting.spawn(function() casting.scope(fail) end):join(60)
assert(ok == false and rawequal(e.error, value))
ok, e = casting.session():spawn(casting.scope, fail):join(60)
assert(ok == false and tostring(e.error) == "text")
