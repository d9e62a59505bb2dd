-- 231: A __close handler that closes a coroutine, whose handler closes another
-- one, and so on, overflowed the C stack, and the process crashed: up to 5.4.5
-- Lua does not count these calls.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
if tonumber(helper.version) < 5.4 then return end

local source = [[
  local n, wrapped = ...
  local wrap, create, resume, close =
    coroutine.wrap, coroutine.create, coroutine.resume, coroutine.close
  local last, deepest, problem = nil, 0, nil
  local function handle(before, i)
    deepest = deepest < n - i and n - i or deepest
    if not before then return end
    local ok, e = pcall(before)
    if not ok and i > 1 then problem = e end
  end
  for i = 1, n do
    local before = last
    local function body()
      local x <close> =
        setmetatable({}, {__close = function() handle(before, i) end})
      coroutine.yield()
      error "ended"
    end
    if wrapped then
      last = wrap(body)
      last()
    else
      local co = create(body)
      resume(co)
      last = function() return assert(close(co)) end
    end
  end
  return pcall(last), deepest, problem
]]
for _, wrapped in ipairs {false, true} do
  local box = casting.session {sandbox = true, memory = 1e8}
  local _, deepest, problem = box:spawn(source, 5000, wrapped):await()
  assert(deepest > 50, deepest)
  assert(deepest < 4999 or not problem)
  assert(box:close(20 * helper.slow))
end
