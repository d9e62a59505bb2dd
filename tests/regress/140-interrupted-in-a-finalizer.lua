-- 140: A Ctrl-C that came in a finalizer that then waited was called in there,
-- where 5.4 keeps errors to itself: the program went on.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local processes = require "processes"

local function finalized(f)
  if not newproxy then return setmetatable({}, {__gc = f}) end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = f
  return proxy
end

local began
local ok, e = pcall(function()
  finalized(function()
    began = true
    processes.interrupted(casting.sleep, 0)
  end)
  for _ = 1, 10 do collectgarbage() end
  for _ = 1, 1000 do casting.now() end
end)
assert(began)
assert(not ok and tostring(e):find("interrupted!", 1, true), tostring(e))
