-- try_redis.lua - redis-lua: a thousand tasks of one session, each in a call
-- that blocks, over TCP and over a Unix socket; messages; pipelines.
-- SPDX-License-Identifier: MIT

local kit = require "kit"
local casting = kit.casting

local N = 1000

local function blocking(place, prefix)
  local redis = require "redis"
  local began, ready = casting.now(), 0
  local pusher = casting.spawn(function()
    local client = redis.connect(place())
    while ready < N do casting.sleep(0.01) end
    -- The server has all of them in the call: nobody has been answered.
    local waiting
    repeat
      waiting = tonumber(client:info("clients").clients.blocked_clients)
    until waiting == N
    for i = N, 1, -1 do client:rpush(prefix .. i, "v" .. i) end
    client:quit()
  end)
  kit.at_once(N, function(i)
    local client = redis.connect(place())
    ready = ready + 1
    local reply = client:blpop(prefix .. i, 0)
    kit.same("v" .. i, reply[2], "BLPOP")
    client:quit()
  end)
  pusher:await()
  return casting.now() - began
end

local function messages(place)
  local redis = require "redis"
  local listener = casting.spawn(function()
    local client, got = redis.connect(place()), {}
    for message, stop in client:pubsub {subscribe = {"news"}} do
      if message.kind == "message" then got[#got + 1] = message.payload end
      if message.payload == "last" then stop() end
    end
    return table.concat(got, " ")
  end)
  local client = redis.connect(place())
  repeat local n = client:publish("news", "first") until n > 0
  client:publish("news", "last")
  kit.same("first last", listener:await(), "messages")
end

-- These fail on 5.2 and later, also with LuaSocket's own core.
local function together(place)
  local client = require("redis").connect(place())
  local replies = client:pipeline(function(p)
    for i = 1, 100 do p:set("k" .. i, i) end
  end)
  kit.same(100, #replies, "pipeline")
  replies = client:transaction(function(t)
    t:set("a", "1")
    t:get "a"
  end)
  kit.same("1", replies[2], "transaction")
end

local function all(host, port, path)
  local function tcp() return host, port end
  local function unix() return "unix://" .. path end
  local over_tcp, over_unix = blocking(tcp, "tcp"), blocking(unix, "unix")
  messages(tcp)
  messages(unix)
  if _VERSION == "Lua 5.1" then together(tcp) end
  return over_tcp, over_unix
end

kit.figure("%d tasks in BLPOP took %.2f s over TCP, %.2f s over a Unix socket",
  N, casting.session():spawn(all, "127.0.0.1", kit.port "REDIS_PORT",
    kit.at "REDIS_PATH"):await())
