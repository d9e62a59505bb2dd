-- 151: what lay in a table that a program had put into package.loaded under the
-- name "_G" was sent by a name that the receiver looked for in its globals.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

package.preload["regress.point"] = function()
  return {Point = {__index = {x = 1}}}
end
local Point = require "regress.point".Point

local ch = casting.channel(1)
local globals = package.loaded._G
package.loaded._G = {Point = Point, wrap = coroutine.wrap, gmatch = ("").gmatch}
-- Names elsewhere still hold.
ch:send(Point, coroutine.wrap, package.loaded._G)
local class, wrap, copy = ch:receive()
assert(class == Point and wrap == coroutine.wrap)
assert(copy ~= package.loaded._G and copy.Point == Point)

-- What is in there only has none.
local iterator = ("").gmatch("a", "a")
if string.find(tostring(iterator), "^function: builtin") == nil then
  package.loaded._G.iterator = iterator
  local ok, why = pcall(ch.send, ch, iterator)
  assert(not ok and why:find "C function", why)
end
package.loaded._G = globals
