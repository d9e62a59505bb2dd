-- 128: casting.session {memory = 1000} raised "not enough memory", as if the
-- process had none.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local function try(casting)
  local ok, e = pcall(function()
    local session = casting.session {memory = 1000, libs = {"string"}}
    return session
  end)
  if ok then return end -- LuaJIT without GC64
  local few = tostring(e):match("session: no Lua state can be made with " ..
    "1000 bytes of memory, it takes some (%d+) with")
  if not few then error(tostring(e)) end
  ok, e = pcall(casting.session, {memory = 1000})
  local all = tostring(e):match "it takes some (%d+) with"
  if ok or tonumber(all) <= tonumber(few) then error(tostring(e)) end
  -- With a good deal more it can be made.
  casting.session {memory = 2 * tonumber(all)}:close()
  return "done"
end

local made = try(casting)
assert(made == "done" or helper.jit)
assert(casting.spawn(try, casting):await(60) == made)
assert(casting.session():spawn(try, casting):await(60) == made)
-- Nothing is left of it.
helper.until_true(function()
  return not casting.report():find("session 'session 1'", 1, true)
end)
