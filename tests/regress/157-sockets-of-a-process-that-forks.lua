-- 157: a process that had made a socket, and had not waited yet, shared the set
-- of the descriptors that are waited for with its children: an event of the one
-- was told to the other, and lost.
-- still: the main program has not waited when it forks.
-- SPDX-License-Identifier: MIT
local casting = require "casting"
local found, processes = pcall(require, "processes") -- tests/modules
if not found then return end
local net = casting.net

local near, far = assert(net.pair())
local pid = processes.fork()
if pid == 0 then
  local word = near:read("l", 20)
  processes.exit(word == "end" and 0 or 1)
end

local a, b = assert(net.pair())
for i = 1, 200 do
  local reader = casting.spawn(a.read, a, "l", 20)
  casting.yield() -- it waits
  b:write {i, "\n"}
  local line, why = reader:await()
  assert(line == tostring(i), why)
end
far:write "end\n"
local how, code = processes.wait(pid, 20)
assert(how == "exit" and code == 0)
