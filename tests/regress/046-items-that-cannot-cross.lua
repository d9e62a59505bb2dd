-- casting.map raised a text without the item's number when an item could not
-- cross, and named the first item of a batch when a result could not.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

local function same(...) return ... end

local function expect(index, words, ...)
  local ok, e = pcall(casting.map, ...)
  assert(not ok and type(e) == "table" and e.index == index, tostring(e))
  assert(tostring(e.error):find(words, 1, true), tostring(e.error))
  assert(tostring(e):find("item " .. index .. ": ", 1, true))
  assert(e.traceback:find "stack traceback:")
end

local function try()
  local co = coroutine.create(function() end)
  for _, batch in ipairs {1, 2, 5, 100} do
    local options = {batch = batch, sessions = 2}
    local items = {}
    for i = 1, 10 do items[i] = {at = i} end
    items[7].co = co
    expect(7, "cannot send a coroutine (value: .co)", items, same, options)
    local i = 0
    expect(7, "cannot send a coroutine", function()
      i = i + 1
      return items[i]
    end, same, options)
    items[7].co = nil
    expect(4, "cannot send a coroutine", items, function(item, at)
      if at == 4 then return coroutine.create(function() end) end
      return item
    end, options)
    assert(casting.map(items, function(item) return item.at end, options)[10] ==
      10)
  end
  -- The function is another matter.
  local ok, e = pcall(casting.map, {1}, function() return co end)
  assert(not ok and e:find("bad argument #2 to 'map' (cannot send", 1, true), e)
  local closed = casting.session()
  closed:close()
  ok, e = pcall(casting.map, {1}, same, {sessions = {closed}})
  assert(not ok and
    e:find("bad argument #3 to 'map' (sessions: item 1 is closed", 1, true), e)
  return "done"
end

assert(try() == "done")
assert(casting.spawn(try):await() == "done")
