-- redismod_spec.lua - a C module on hiredis, and a server to talk to.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
local pack, LONG = helper.pack, helper.LONG

-- Built with the unit tests (examples/c/redismod.c), if hiredis is installed.
local there, redismod = pcall(require, "redismod")
-- The program of the server. It is a server by its name: Debian's package of
-- tools has it by another one.
local function find_server()
  if not helper.has_children() then return nil end
  local pipe = io.popen "command -v redis-server || command -v redis-check-rdb"
  local program = pipe:read "*l"
  pipe:close()
  return program
end
local server = find_server()
if not there or not server then
  describe("examples/c/redismod.c", function()
    pending(there and "needs redis-server" or
      "is not built here: it needs hiredis")
  end)
  return
end

-- Commands that are sent together; their replies, or nil and why.
local function queries(c, ...)
  local n, replies = select("#", ...), {}
  for i = 1, n do c:append(helper.unpack((select(i, ...)))) end
  repeat
    local sent, why = c:flush(LONG)
    if sent == nil then return nil, why end
  until sent
  for i = 1, n do
    repeat
      local done, reply = c:reply(LONG)
      if done == nil then return nil, reply end
      replies[i] = reply
    until done
  end
  return replies
end
local function query(c, ...)
  local replies, why = queries(c, {...})
  if not replies then return nil, why end
  return replies[1]
end

local dir, path, port
local function answers(host, p)
  local c = redismod.connect(host, p)
  local reply = c and query(c, "PING")
  if c then c:close() end
  return reply == "PONG"
end

local function start()
  local listener = casting.net.listen("127.0.0.1", 0, {})
  local pipe = io.popen "mktemp -d"
  dir = pipe:read "*l"
  pipe:close()
  path = "unix:" .. dir .. "/socket"
  port = select(2, listener:name()) -- it is free again, for the server
  listener:close()
  os.execute(("cd %s && ln -s %s redis-server && timeout -k 2 %d" ..
    " ./redis-server --port %d --bind 127.0.0.1 --unixsocket %s/socket" ..
    " --save '' --appendonly no --daemonize no >log 2>&1 &"):format(dir,
    server, math.ceil(2 * LONG), port, dir))
  helper.until_true(function()
    return answers(path) and answers("127.0.0.1", port)
  end, "that redis-server answers")
end

local function stop()
  query(redismod.connect(path), "SHUTDOWN", "NOSAVE")
  helper.until_true(function() return not answers(path) end,
    "that redis-server has ended")
  os.execute("rm -rf " .. dir)
end

describe("examples/c/redismod.c", function()
  start()

  local function connect() return assert(redismod.connect(path)) end

  it("has values of all kinds", function()
    local c = assert(redismod.connect("127.0.0.1", port))
    assert.equal("OK", query(c, "SET", "k", "v\0w"))
    assert.equal("v\0w", query(c, "GET", "k"))
    assert.is_nil(query(c, "GET", "none"))
    assert.equal(3, query(c, "RPUSH", "list", "a", "b", "c"))
    assert.same({"a", "b", "c"}, query(c, "LRANGE", "list", 0, -1))
    assert.matches("WRONGTYPE", query(c, "GET", "list").err)
    assert.same({"v\0w", 4}, queries(c, {"GET", "k"}, {"RPUSH", "list", 1}))
    local long = ("0123456789"):rep(200000)
    assert.equal("OK", query(c, "SET", "long", long))
    assert.equal(long, query(c, "GET", "long"))
    c:close()
    helper.misuse(function() c:append "PING" end, "closed")
  end)

  it("lets tasks of one session wait at the same time", function()
    local session = casting.session()
    local n = session:spawn(function(connect, query) -- luacheck: ignore
      local casting, tasks = require "casting", {} -- luacheck: ignore
      for i = 1, 10 do
        tasks[i] = casting.spawn(function()
          local c = connect()
          -- Each waits for the one before, in the server.
          local got = query(c, "BLPOP", "chain" .. i, 100)
          query(c, "RPUSH", "chain" .. (i + 1), got[2] .. i)
          c:close()
        end)
      end
      local c = connect()
      query(c, "RPUSH", "chain1", "x")
      local last = query(c, "BLPOP", "chain11", 100)
      for i = 1, 10 do tasks[i]:await() end
      c:close()
      return last[2]
    end, function()
      return assert(require "redismod".connect(path))
    end, query):await(LONG)
    assert.equal("x12345678910", n)
    session:close()
  end)

  it("times out, and is cancelled", function()
    local c = connect()
    c:append("BLPOP", "never", 0)
    assert.is_true(c:flush())
    assert.same(pack(nil, "timeout"), pack(c:reply(0.002)))
    local t = casting.spawn(c.reply, c)
    helper.until_waiting(t)
    assert.matches("waiting for descriptor", casting.report(), 1, true)
    helper.misuse(function() c:reply() end, "another task")
    helper.misuse(function() c:close() end, "another task")
    t:cancel()
    local ok, e = t:join(LONG)
    assert.is_false(ok)
    assert.is_true(casting.is_cancelled(e))
    local other = connect()
    assert.equal(1, query(other, "RPUSH", "never", "now"))
    repeat
      local done, reply = c:reply(LONG)
      if done then assert.same({"never", "now"}, reply) end
    until done
    c:close()
    other:close()
  end)

  it("fails when nobody listens", function()
    local c, why = redismod.connect("unix:" .. dir .. "/nobody")
    if c then why = select(2, query(c, "PING")) end
    assert.is_string(why)
  end)

  it("is what examples/c/redis.lua shows", function()
    for _, where in ipairs {path, "127.0.0.1 " .. port} do
      local pipe = io.popen(("timeout -k 2 %d %s examples/c/redis.lua %s 2>&1")
        :format(math.ceil(LONG), helper.command(), where))
      local out = pipe:read "*a"
      pipe:close()
      assert.equal("count: 800\ndone: 8\nwords: tasks wait, the thread does" ..
        " not\nthere is no such key: nil\n", out)
    end
  end)

  it("is told when the server goes", function()
    local c = connect()
    c:append("BLPOP", "never", 0)
    assert.is_true(c:flush())
    local t = casting.spawn(c.reply, c)
    helper.until_waiting(t)
    stop()
    local ok, done, why = t:join(LONG)
    assert.is_true(ok)
    assert.is_nil(done)
    assert.is_string(why)
  end)
end)
