-- 229: A hook made the error that stops a task where the task was, before it
-- had hooks called again. Without memory for it another error was raised there,
-- and whatever ran before a protected call caught that could not be stopped.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local helper = require "helper"
casting.on_error(casting.channel(math.huge)) -- they fail on purpose

-- Each has used all memory when its processor time is over.
local fill = [[
  local list, chain = {}, nil
  local function fill() while true do list[#list + 1] = {} end end
  local function link() while true do chain = {chain} end end
  local function fill_all() pcall(fill) pcall(link) pcall(link) end
  local pcall, handler = pcall, function() while true do end end
]]
local sources = {}

-- What is called for the error itself.
sources[#sources + 1] = [[
  xpcall(function() fill_all() while true do end end, handler)
  while true do end
]]

-- The function that load reads from, which LuaJIT calls with hooks off.
sources[#sources + 1] = [[
  load(function() fill_all() while true do end end)
  while true do end
]]

-- LuaJIT made a coroutine for each error; a thousand calls each catch one.
sources[#sources + 1] = [[
  local yield = coroutine.yield
  local function nest(n)
    if n == 0 then
      yield()
      while true do end
    end
    pcall(nest, n - 1)
    while true do end
  end
  local body = function() nest(150) end
  local co = coroutine.wrap(function() xpcall(body, handler) end)
  co()
  fill_all()
  co()
  while true do end
]]

-- The variables of a coroutine that the error has ended.
if tonumber(helper.version) >= 5.4 then
  sources[#sources + 1] = [[
    local x <close> = setmetatable({}, {__close = handler})
    fill_all()
    while true do end
  ]]
end

for i, source in ipairs(sources) do
  local box = casting.session {sandbox = true, memory = 1e6, cpu = 0.05}
  local task = box:spawn(helper.loops(fill .. source))
  local ok = task:join(20 * helper.slow)
  assert(ok == false, "program " .. i .. " goes on: " .. tostring(ok))
  assert(box:close(20 * helper.slow))
end
