-- getmetatable(scope.group) was the library's own class. Who replaced a
-- function of it was given what that is called with, and in a sandbox functions
-- such as internal.run: by these the process crashed, and sockets could be had.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function look()
  local c = require "casting"
  local problems, kept = {}, nil
  local function check(v, name)
    local mt = getmetatable(v)
    if type(mt) == "table" then problems[#problems + 1] = name end
    if pcall(setmetatable, v, {}) then problems[#problems + 1] = name end
    for _, k in ipairs {"__index", "__metatable", "__tostring", "__eq",
      "__name", "__save", "__close", "__newindex", "group", "body"} do
      local ok, member = pcall(function() return v[k] end)
      if ok and member ~= nil then
        problems[#problems + 1] = name .. "." .. k
      end
    end
  end
  c.scope(function(s)
    kept = s
    check(s, "scope")
    if next(s) ~= nil then problems[#problems + 1] = "fields of a scope" end
    -- A field of the program's changes nothing.
    s.group = {count = 0, adopt = error, guard = error}
    s:spawn(function() end)
    s:cancel()
    s.group = nil
  end)
  check(kept, "scope that has ended")
  local ok, e = pcall(kept.spawn, kept, function() end)
  if ok or not tostring(e):find "has ended" then
    problems[#problems + 1] = tostring(e)
  end
  if tostring(kept) ~= "scope of 0 tasks (ended)" then
    problems[#problems + 1] = tostring(kept)
  end
  -- What is no scope is refused.
  for _, v in ipairs {false, 1, "x", {}, print, setmetatable({}, {})} do
    ok, e = pcall(kept.spawn, v, function() end)
    if ok or not e:find "scope expected" then
      problems[#problems + 1] = tostring(e)
    end
  end
  ok, e = pcall(c.scope, function() error {} end)
  if ok then problems[#problems + 1] = "no failure" end
  check(e, "failure")
  local sup = c.supervisor {children = {}}
  check(sup, "supervisor")
  sup:stop()
  return table.concat(problems, ", ")
end

local found = look()
assert(found == "", found)
for _, options in ipairs {{}, {sandbox = true}} do
  local session = casting.session(options)
  found = session:spawn(look):await(60)
  assert(found == "", found)
  session:close(60)
end
