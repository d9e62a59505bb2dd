-- 166: If there was no memory for the coroutine of a LuaJIT program's first
-- task, that was taken for Ctrl-C: the main program's wait raised
-- "interrupted!".
-- SPDX-License-Identifier: MIT
if not rawget(_G, "jit") then return end

-- Limits of memory are those of a process, so it is a process of its own; one
-- of a sanitizer does not even begin.
if arg[1] ~= "child" then
  local command = ("(ulimit -v %d && exec '%s' '%s' child) 2>&1")
  for _, limit in ipairs {400000, 700000, 1000000} do
    local pipe = assert(io.popen(command:format(limit,
      os.getenv "LUA" or arg[-1], arg[0])))
    local text = pipe:read "*a"
    pipe:close()
    assert(not text:find("interrupted!", 1, true), text)
  end
  return
end

local casting = require "casting"
casting.sleep(0.001)
collectgarbage "stop"
local task = casting.spawn(function() end)
local keep, list = nil, {} -- luacheck: ignore
for _, size in ipairs {1048576, 65536, 4096, 1024} do
  local i, ok = 0, true
  while ok do
    i = i + 1
    ok = pcall(function() list = {list, ("x"):rep(size - i % 7) .. i} end)
  end
end
pcall(function() local t = {} while true do t = {t} keep = t end end)
local ok, why = pcall(casting.sleep, 0.05)
list, keep = nil, nil -- luacheck: ignore
collectgarbage()
collectgarbage "restart"
task:join(60)
if not ok then io.write(tostring(why), "\n") end
