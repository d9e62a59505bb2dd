-- 122: Errors that came up in what of the library is written in Lua told of
-- lines there ("casting/group.lua:69: interrupted!", "[casting]:3: ...") in the
-- place of the program's. (Where it is a line there that Ctrl-C stops, that is
-- told: so it comes when the program waits, and its tasks run.)
-- uncollected: the signal meets a certain line.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"

local function own(text)
  return text:find "casting/[%w_]+%.lua:%d" or text:find("[casting]", 1, true)
end

local calls = {
  scope = "casting.scope(function() casting.sleep(60) end)",
  all = "casting.all {function() casting.sleep(60) end}",
  map = "casting.map({1}, function() require('casting').sleep(60) end)",
  supervisor = [[casting.supervisor {children = {{id = "x", start = "",
  session = {init = function() require('casting').sleep(60) end}}}}]],
  with_timeout = "casting.with_timeout(60, casting.sleep, 60)",
  sleep = "casting.sleep(60)",
}
if helper.has_children() then
  for name, call in pairs(calls) do
    local source = "local casting = require 'casting'\n" ..
      "casting.spawn(function() casting.sleep(0.1) io.write 'ready'\n" ..
      "io.flush() end)\n" .. call .. "\n"
    local result = helper.run(source, "ready")
    assert(result.status == 1, name .. result.err)
    local first = result.err:match "^[^\n]*"
    if name == "scope" or name == "all" then
      assert(first:find(":4: interrupted!", 1, true), result.err)
    end
    assert(first:find("interrupted!", 1, true), result.err)
    assert(not own(first), result.err)
  end
end

-- The guards.
for _, f in ipairs {casting.with_timeout, casting.shield} do
  local ok, e = pcall(function()
    local v = f(-1)
    return v
  end)
  assert(not ok and e:find ":%d+: bad argument" and not own(e), e)
end

-- Memory that ends in a group is told of in the program's line, too.
local internal = helper.internal()
if internal and rawget(internal, "starve") then
  for n = 1, 200 do
    internal.starve(n)
    local ok, e = pcall(function() casting.all {function() end} end)
    internal.starve(0)
    assert(ok or not own(tostring(e)), tostring(e))
    if ok and not internal.starve() then break end
  end
end
