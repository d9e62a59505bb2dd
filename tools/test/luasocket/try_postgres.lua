-- try_postgres.lua - a client of PostgreSQL that is written for LuaSocket
-- (pg.lua).
-- SPDX-License-Identifier: MIT

local kit = require "kit"
local casting = kit.casting

local pg = require "pg"
local socket = require "socket"
local unix = require "socket.unix"

local function over_tcp()
  return pg(socket.connect("127.0.0.1", kit.port "PG_PORT"), "casting",
    "postgres")
end
local function over_unix()
  local connection = unix()
  assert(connection:connect(("%s/.s.PGSQL.%d"):format(kit.at "PG_PATH",
    kit.port "PG_PORT")))
  return pg(connection, "casting", "postgres")
end

for _, connect in ipairs {over_tcp, over_unix} do
  local began = casting.now()
  kit.at_once(20, function(i)
    local client = connect()
    local rows = assert(client:query(
      "select i, null, repeat('x', i) from generate_series(1, 100) as i"))
    kit.same(100, #rows, "rows")
    kit.same("100", rows[100][1], "a number")
    kit.same(nil, rows[100][2], "NULL")
    kit.same(("x"):rep(100), rows[100][3], "a string")
    assert(client:query "select pg_sleep(1)")
    local none, why = client:query "select 1/0"
    assert(none == nil and why == "division by zero", why)
    rows = assert(client:query("select repeat('0123456789', 100000), " .. i))
    kit.same(("0123456789"):rep(100000), rows[1][1], "a long string")
    client:close()
  end)
  assert(casting.now() - began < 15, "one after the other")

  local listener = connect()
  assert(listener:query "listen news")
  local task = casting.spawn(function()
    return (select(2, listener:notification()))
  end)
  local client = connect()
  assert(client:query "notify news, 'what is new'")
  kit.same("what is new", task:await(), "a notification")
  listener:close()
  client:close()
end
