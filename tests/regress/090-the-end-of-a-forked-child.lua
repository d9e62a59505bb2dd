-- 090: the child of a process that had used casting hung, or aborted, as its
-- Lua state was closed: it waited for threads that it did not have. Its
-- descriptor was the parent's, and told it to poll for ever.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local found, processes = pcall(require, "processes") -- tests/modules
if not found then return end

local session, ch = casting.session(), casting.channel()
session:spawn("(...):receive()", ch)
casting.spawn(function() ch:receive() end)
casting.yield()
local fd = casting.fd()
casting.spawn(function() end) -- to be polled for

for _, way in ipairs {"end", "exit", "close", "poll"} do
  local pid = processes.fork()
  if pid == 0 then
    if way == "exit" then os.exit(0) end
    if way == "close" then os.exit(0, true) end
    if way == "poll" then
      processes.exit(processes.readable(fd, 0.05) and 1 or 0)
    end
    return
  end
  local how, code = processes.wait(pid, 20)
  assert(how == "exit" and code == 0, way)
end
