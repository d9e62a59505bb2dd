-- 153: a metatable in a module that contained what cannot be sent went by name
-- or was refused, as the order of its keys happened to be.
-- SPDX-License-Identifier: MIT
local casting = require "casting"

package.preload["regress.class"] = function()
  local Class = {}
  Class.__index = Class
  -- One of these comes first, in all likelihood.
  for i = 1, 30 do Class["log" .. i] = {file = io.stdout} end
  return {Class = Class, use = function() return Class end}
end
local module = require "regress.class"

local ch = casting.channel(1)
for _ = 1, 20 do
  assert(casting.transferable(module.Class))
  ch:send(module.Class, setmetatable({}, module.Class), module.use)
  local class, object, use = ch:receive()
  assert(class == module.Class and getmetatable(object) == class)
  assert(use ~= module.use and use() == class)
end

-- What is in no module is refused, and the place is told.
local other = {a = {{coroutine.create(function() end)}}}
local ok, why = pcall(ch.send, ch, 1, other)
assert(not ok and why:find("coroutine (argument 2: .a[1][1])", 1, true), why)
assert(ch:len() == 0)
