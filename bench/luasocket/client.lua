-- client.lua - one run of `./dev bench luasocket`: prints steps per second.
-- SPDX-License-Identifier: MIT
--
--   client.lua CORE WORKLOAD PORT SECONDS
--
-- CORE: "original", LuaSocket's own, in the main program; "task", that of
-- casting, in a task of the main session; "session", in a session of its own.

local core, workload, port, seconds = arg[1], arg[2], arg[3],
  tonumber(arg[4])

local function measure(workload, port, seconds)
  local socket = require "socket"
  local c = assert(socket.connect("127.0.0.1", port))
  c:setoption("tcp-nodelay", true)
  local step
  if workload == "echo" then
    local text = ("x"):rep(64)
    assert(c:send "E")
    function step()
      c:send(text)
      return c:receive(64) == text
    end
  elseif workload == "line" then
    assert(c:send "L")
    function step() return #c:receive() == 63 end
  else
    assert(c:send "L")
    function step() return #c:receive(1000) == 1000 end
  end
  for _ = 1, 1000 do assert(step()) end
  local n, began = 0, socket.gettime()
  repeat
    for _ = 1, 500 do assert(step()) end
    n = n + 500
  until socket.gettime() - began >= seconds
  local rate = n / (socket.gettime() - began)
  c:close()
  return rate
end

if core == "original" then
  print(measure(workload, port, seconds))
else
  local casting = require "casting"
  require("casting.socket").install()
  local spawn = casting.spawn
  if core == "session" then
    local session = casting.session()
    function spawn(...) return session:spawn(...) end
  end
  print(spawn(measure, workload, port, seconds):await())
end
