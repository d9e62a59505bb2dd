-- 127: What init of a session had raised reached casting.session's caller as a
-- text without a stack: "init of session 'x' failed: table: 0x...".
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local function fails_with(v)
  return function()
    local function raises_it() error(v, 0) end
    raises_it()
    return 1
  end
end

local function try(casting, fails_with)
  local function make(v)
    return casting.session {name = "x", init = fails_with(v)}
  end
  local ok, e = pcall(make, {code = 7})
  if ok or type(e) ~= "table" or e.code ~= 7 then error(tostring(e)) end
  ok, e = pcall(make, "no luck")
  if ok or not tostring(e):find "init of session 'x' failed: no luck$" then
    error(tostring(e))
  end
  ok, e = pcall(make, 42)
  if ok or not tostring(e):find "init of session 'x' failed: 42$" then
    error(tostring(e))
  end
  -- It is not the caller who was cancelled.
  ok, e = pcall(casting.session, {name = "x", init = function()
    local casting = require "casting"
    casting.self():cancel "why not"
    casting.yield()
  end})
  if ok or type(e) ~= "string" or not e:find("cancelled: why not", 1, true) then
    error(tostring(e))
  end
  -- Its stack is in the traceback of who fails of it.
  for _, v in ipairs {"no luck", {code = 7}} do
    local task = casting.spawn(function()
      local session = make(v)
      return session
    end)
    task:join()
    local text = task:traceback()
    local first = text:find("raises_it", 1, true)
    if not first or not text:find("awaited by task", first, true) then
      error(text)
    end
  end
  return "done"
end

assert(try(casting, fails_with) == "done")
assert(casting.spawn(try, casting, fails_with):await(60) == "done")
assert(casting.session():spawn(try, casting, fails_with):await(60) == "done")

-- So the interpreter shows it.
if helper.has_children() then
  local result = helper.run [[
local casting = require "casting"
casting.session {name = "x", init = function()
  local function raises_it() error "no luck" end
  raises_it()
  return 1
end}]]
  local first = result.err:find("init of session 'x' failed: ", 1, true)
  first = first and result.err:find("no luck", first, true)
  first = first and result.err:find("raises_it", first, true)
  assert(first and result.err:find("awaited by the main program", first, true),
    result.err)
end
