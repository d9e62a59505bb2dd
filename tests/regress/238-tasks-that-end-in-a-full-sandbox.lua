-- 238: As a task of the program in a sandbox ended, its address was looked for
-- in the table of handles outside of a protected call. LuaJIT allocates when it
-- meets an address in a part of memory that is new to the state: without memory
-- the process ended. Where the parts begin differs from run to run.
-- SPDX-License-Identifier: MIT
local helper = require "helper"

if not helper.has_children() then return end

local program = [[
  local c = require "casting"
  for _ = 1, 4 do
    local box = c.session {sandbox = true, memory = 2e6, cpu = 60}
    local task = box:spawn([=[
      collectgarbage "stop"
      local kept, rep, count = {}, string.rep, 0
      for i = 1, 5000 do kept[i] = i end
      local function keep(n)
        kept[count + 1] = rep("x", n - 8) .. 10000000 + count
        count = count + 1
      end
      -- Strings of ever smaller sizes: then less than four bytes are left.
      local size = 65536
      while size > 256 do
        if not pcall(keep, size) then size = size / 2 end
      end
      for n = 256, 8, -1 do pcall(keep, n) end
      full = kept
    ]=])
    assert(task:join(60) ~= nil) -- it may fail, too
    assert(box:close(60))
  end
]]

for _ = 1, 6 do
  local result = helper.run(program)
  assert(result.status == 0, ("status %s\n%s"):format(
    tostring(result.status), result.err))
end
