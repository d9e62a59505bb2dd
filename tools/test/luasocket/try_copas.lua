-- try_copas.lua - copas: its server and its clients, beside tasks that are
-- clients.
-- SPDX-License-Identifier: MIT

local kit = require "kit"
local casting = kit.casting

local socket = require "socket"
local copas = require "copas"

local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()
local served, finished = 0, 0
copas.addserver(server, function(connection)
  connection = copas.wrap(connection)
  while true do
    local line = connection:receive()
    if not line then break end
    connection:send(line:upper() .. "\n")
    served = served + 1
  end
end)

local N = 20
for _ = 1, N do
  copas.addthread(function()
    local client = socket.tcp()
    assert(copas.connect(client, "127.0.0.1", port))
    client = copas.wrap(client)
    for j = 1, 10 do
      client:send("copas " .. j .. "\n")
      kit.same("COPAS " .. j, client:receive(), "an answer to a thread")
    end
    client.socket:close()
    finished = finished + 1
  end)
end

local over = false
local loop = casting.spawn(function()
  while not over do copas.step(0.1) end
end)
kit.at_once(N, function()
  local client = assert(socket.connect("127.0.0.1", port))
  for j = 1, 10 do
    client:send("task " .. j .. "\n")
    kit.same("TASK " .. j, client:receive(), "an answer to a task")
  end
  client:close()
end)
while finished < N do casting.sleep(0.01) end
over = true
loop:await()
kit.same(2 * N * 10, served, "lines")
