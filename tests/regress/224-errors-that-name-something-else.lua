-- 224: Errors of what the library has in Lua quoted a megabyte, or nothing
-- behind a zero byte, or named another argument or call than was wrong. To
-- compare a supervisor with another table raised an error.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local function idle() require("casting").sleep(1000) end

local function check(want, f, ...)
  local ok, e = pcall(f, ...)
  assert(not ok, "no error, but: " .. want)
  e = tostring(e)
  assert(#e < 400, #e .. " bytes: " .. e:sub(1, 80))
  assert(e:find(want, 1, true), e)
end

-- Values are quoted, up to so many bytes.
local big = ("x"):rep(1000000)
for _, text in ipairs {big, "x\0y"} do
  local shown = text == big and ("x"):rep(60) .. "..." or "x?y"
  check("unknown option '" .. shown .. "'", casting.scope, idle, {[text] = 1})
  check("unknown option '" .. shown, casting.map, {}, idle, {[text] = 1})
  check("unknown field '" .. shown, casting.select, {[text] = 1})
  check("unknown field '" .. shown, casting.supervisor, {[text] = 1})
  check("got '" .. shown, casting.supervisor, {strategy = text})
  check("child '" .. shown, casting.supervisor, {children = {{id = text}}})
  check("unknown field '" .. shown, casting.supervisor, {children = {
    {id = 1, start = idle, [text] = 1}}})
  check("two children have the id '" .. shown, casting.supervisor, {children = {
    {id = text, start = idle}, {id = text, start = idle}}})
  check('got "' .. shown, casting.net.connect, "localhost", 1, {family = text})
  check("channel '" .. shown, function()
    casting.named(text, 1)
    casting.named(text, 2)
  end)
  check("child '" .. shown .. "' did not start", casting.supervisor, {
    children = {{id = text, start = idle, session = {
      init = function() error("no", 0) end}}}})
end
local a = casting.net.pair()
check("unknown option '" .. ("x"):rep(60) .. "...'", a.read, a, "l",
  {[big] = 1})
check("there is no option '" .. ("x"):rep(60) .. "...'", a.option, a, big)
a:close()

-- The options in the place of the port are argument 2.
for _, name in ipairs {"connect", "listen", "udp"} do
  check("bad argument #2 to '" .. name, casting.net[name], "unix:/x",
    {nothing = 1})
end
check("bad argument #3 to 'connect'", casting.net.connect, "::1", 1,
  {timeout = -1})

-- What of a child that is a supervisor cannot cross is found at once.
local co = coroutine.create(function() end)
local function child(nested)
  return {id = "n", start = not nested and idle or nil,
    supervisor = nested and {children = {}} or nil,
    session = {init = function() return co end}}
end
local sup = casting.supervisor {children = {}}
for _, nested in ipairs {true, false} do
  local want = "(child 'n': cannot send a coroutine"
  check("bad argument #1 to 'supervisor' " .. want, casting.supervisor,
    {children = {child(nested)}})
  check("bad argument #2 to 'start_child' " .. want, sup.start_child, sup,
    child(nested))
end

-- In a sandbox: whose sessions, and which name.
local box = casting.session {sandbox = true,
  libs = {"string", "casting.net"}}
local errors = box:spawn(function(other)
  local casting = require "casting"
  local listener = casting.net.listen("127.0.0.1", 0)
  local function e(...) return tostring(select(2, pcall(...))) end
  return {
    e(listener.serve, listener, print, {sessions = {other}}),
    e(casting.map, {1}, print, {sessions = {other}}),
    e(casting.supervisor,
      {children = {{id = ("x"):rep(200), start = "return 1"}}})}
end, casting.session()):await(helper.LONG)
local function raises(text) return function() error(text, 0) end end
check("item 1 was not made by this sandbox", raises(errors[1]))
check("item 1 was not made by this sandbox", raises(errors[2]))
check("id as the name of its session: name must have at most",
  raises(errors[3]))

-- A supervisor is equal to its handles, and to nothing else.
local copy = casting.spawn(function() return sup end):await(helper.LONG)
assert(sup == copy)
assert(sup ~= {} and {} ~= sup and sup ~= setmetatable({}, {}))
assert(sup ~= casting.supervisor {children = {}} and sup ~= 1)
sup:stop()
