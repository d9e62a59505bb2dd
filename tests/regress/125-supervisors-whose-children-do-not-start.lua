-- 125: A child whose source text does not compile was told of as "supervisor
-- '?': child 'x' did not start: bad argument #1 to 'spawn' (...)".
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local function has_not(e, ...)
  for _, word in ipairs {...} do
    assert(not e:find(word, 1, true), e)
  end
end

local function children(start)
  return {children = {{id = "x", start = start}}}
end
for _, options in ipairs {children "this is not Lua", children "\27Lua",
  {children = {{id = "in", supervisor = children "this is not Lua"}}}} do
  local ok, e = pcall(casting.supervisor, options)
  assert(not ok and e:find("bad argument #1 to 'supervisor' (child '", 1, true)
    and e:find("child 'x': start: source text ", 1, true), e)
  has_not(e, "'?'", "'spawn'")
end
helper.misuse(function() casting.supervisor(children "(") end,
  "child 'x': start: source text does not compile", "<eof>")

local sup = casting.supervisor {children = {}}
helper.misuse(function() sup:start_child {id = "y", start = "("} end,
  "'start_child'", "child 'y': start: source text does not compile")
sup:stop()

-- One that has no name is called a supervisor.
local function failing() error("no luck", 0) end
local ok, e = pcall(casting.supervisor, {children = {{id = "x",
  start = "return", session = {init = failing}}}})
assert(not ok and e:find("^supervisor: child 'x' did not start: ") and
  e:find("no luck", 1, true), e)
sup = casting.supervisor {intensity = 0, events = casting.channel(1),
  children = {{id = "x", start = failing}}}
ok, e = sup:wait(60)
assert(ok == false and e:find("^supervisor: more than 0 restarts") and
  e:find("no luck$"), e)
ok, e = pcall(casting.supervisor, {name = "top", children = {{id = "x",
  start = "return", session = {init = failing}}}})
assert(not ok and e:find "^supervisor 'top': child 'x' did not start: ", e)
