-- 202: Options of sessions that were no lists were taken as empty ones, or with
-- a wrong error; errors quoted texts without end; and with too little memory a
-- session was made in which no task could run.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local function refused(options, ...)
  helper.misuse(function() casting.session(options) end, "#1 to 'session'", ...)
end

local function box(modules)
  return {sandbox = true, modules = modules}
end

refused(box {""}, "modules: a name must be a string, and not an empty one")
refused(box {"a\0b"}, "modules: a name must be a string without zero bytes")
refused(box {5}, "modules: a name must be a string, got 5")
refused(box {inspect = true}, "modules must be a list",
  "a table with a field 'inspect'")
refused(box {"a", "b", x = 1}, "modules must be a list", "field 'x'")
refused({libs = {string = true}}, "libs must be a list", "a field 'string'")
refused({libs = {"string", [1.5] = "math"}}, "libs must be a list", "'1.5'")
refused({libs = {[2] = "math"}}, "libs must be a list",
  "one with holes before item 2")
refused({libs = {[0] = "math"}}, "libs must be a list", "a field '0'")
refused({libs = {"string\0evil"}}, "unknown library 'string?evil'")
refused({libs = {1}}, "libs: a name must be a string, got 1")
refused({["sandbox\0"] = true}, "unknown option 'sandbox?'")
refused({libs = "none"}, "libs must be \"all\" or a list", 'got "none"')
refused({thread = "OWN"}, 'thread must be "own", got "OWN"')
refused({thread = ""}, 'thread must be "own", got ""')
refused({thread = 1}, 'thread must be "own", got 1')
refused({thread = "own\0"}, 'thread must be "own", got "own?"')

local long = ("x"):rep(1e5)
for _, options in ipairs {{[long] = 1}, {libs = {long}}, {thread = long},
  {libs = long}, {libs = {[long] = 1}}, box {[long] = 1}} do
  local ok, e = pcall(casting.session, options)
  assert(not ok and #e < 300 and e:find("xxx...", 1, true), e)
end
-- A character of several bytes is not cut.
local ok, e = pcall(casting.session, {[("x"):rep(59) .. "\195\188y"] = 1})
assert(not ok and e:find("'" .. ("x"):rep(59) .. "...'", 1, true), e)

-- What cannot be sent is called by the name of the option.
local unsendable = coroutine.create(function() end)
helper.misuse(function()
  casting.session {init = function() return unsendable end}
end, "(argument 1: .init: upvalue 'unsendable')")

-- Of other classes the name is told as of ours.
helper.misuse(function() casting.session(casting.channel()) end,
  "table expected, got channel")

-- What the error tells is enough for a task, and with less there is none.
local function try(sandbox)
  local options = {sandbox = sandbox, memory = 1000}
  local ok, e = pcall(casting.session, options)
  if ok then return end -- LuaJIT without GC64
  local least = tonumber(tostring(e):match "it takes some (%d+) with")
  if not least then error(tostring(e)) end
  for extra = 0, 4000, 1000 do
    options.memory = least + 500 + extra
    local session = casting.session(options)
    assert(session:spawn("return 1"):await() == 1)
    assert(session:spawn("return ...", "text"):await() == "text")
    session:close()
  end
  for less = 2000, 10000, 1000 do
    options.memory = least - less
    local made, why = pcall(casting.session, options)
    assert(not made and why:find("room for a task", 1, true), why)
  end
end
try(false)
try(true)
