-- redis.lua - tasks of one session that query Redis at the same time.
-- SPDX-License-Identifier: MIT
--
--   lua redis.lua [HOST PORT | unix:PATH]
--
-- The module must be built first; redismod.c, beside this file, says how. Lua
-- must find it: LUA_CPATH="./?.so;;" does where the module is in the current
-- directory. Keys that begin with "casting:" are written and removed.
local casting = require "casting"
local ok, redismod = pcall(require, "redismod")
if not ok then
  io.stderr:write("redis: build the module first, as redismod.c says: ",
    redismod, "\n")
  os.exit(1)
end

local host, port = arg[1] or "127.0.0.1", tonumber(arg[2])

-- Sends a command and waits for its reply. Only the calling task waits.
local function query(connection, ...)
  connection:append(...)
  local sent, done, reply
  repeat
    sent, reply = connection:flush(10)
    if sent == nil then error("redis: " .. reply) end
  until sent
  repeat
    done, reply = connection:reply(10)
    if done == nil then error("redis: " .. reply) end
  until done
  if type(reply) == "table" and reply.err then error("redis: " .. reply.err) end
  return reply
end

local function connect()
  local connection, why = redismod.connect(host, port)
  if connection then return connection end
  io.stderr:write(("redis: %s: %s\n"):format(host, why))
  os.exit(1)
end

local main = connect()
query(main, "DEL", "casting:count", "casting:words", "casting:done")

-- A task that waits in Redis itself, until somebody pushes.
local waiting = casting.spawn(function()
  local words, c = {}, connect()
  while true do
    local word = query(c, "BLPOP", "casting:words", 5)[2]
    if word == "end" then return table.concat(words, " ") end
    words[#words + 1] = word
  end
end)

-- Eight tasks that count, each with a connection of its own.
local tasks = {}
for i = 1, 8 do
  tasks[i] = casting.spawn(function()
    local c = connect()
    for _ = 1, 100 do query(c, "INCR", "casting:count") end
    query(c, "SADD", "casting:done", "task " .. i)
    c:close()
  end)
end
for i = 1, 8 do tasks[i]:await() end
for word in ("tasks wait, the thread does not"):gmatch "%S+" do
  query(main, "RPUSH", "casting:words", word)
end
query(main, "RPUSH", "casting:words", "end")

print("count: " .. query(main, "GET", "casting:count"))
print("done: " .. #query(main, "SMEMBERS", "casting:done"))
print("words: " .. waiting:await())
print("there is no such key: " .. tostring(query(main, "GET", "casting:none")))
query(main, "DEL", "casting:count", "casting:words", "casting:done")
main:close()
