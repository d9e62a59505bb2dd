-- tls_resume_spec.lua - sessions that are resumed, and the keys of tickets.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/tls/tests/?.lua;" .. package.path
local kit = require "tlskit"
local certs = require "certs"
local tls = require "casting.tls"
local net = require "casting.net"
local LONG = helper.LONG
local server_options, client_options = kit.server_options, kit.client_options
local serve, echo, connect = kit.serve, kit.echo, kit.connect

after_each(kit.close_all)

describe("a client", function()
  it("resumes a session", function()
    for _, version in ipairs {"1.2", "1.3"} do
      local context = tls.context(client_options {max = version})
      local port = serve(server_options(), echo)
      for i = 1, 4 do
        local stream = assert(connect(port, context))
        stream:write "x\n"
        assert.equal("x", stream:read("l", LONG))
        assert.equal(i > 1, stream:tls().resumed)
        stream:close()
      end
      -- Nobody else has that session.
      local stream = assert(connect(port, context, "127.0.0.1"))
      assert.is_false(stream:tls().resumed)
    end
  end)

  it("resumes it when the server has another certificate", function()
    local c = certs.make()
    local own = assert(tls.context(server_options {server = true}))
    local context = tls.context(client_options())
    local port = serve(own, echo)
    local function round()
      local stream = assert(connect(port, context))
      stream:write "x\n"
      assert.equal("x", stream:read("l", LONG))
      local info = stream:tls()
      stream:close()
      return info
    end
    local first = round()
    assert.is_true(own:reload {cert = c.second.cert, key = c.second.key})
    assert.is_true(round().resumed)
    context = tls.context(client_options())
    local second = round()
    assert.is_false(second.resumed)
    assert.not_equal(first.peer.sha256, second.peer.sha256)
    -- What cannot be read changes nothing.
    assert.same({nil, "cert: /none: No such file or directory"},
      {own:reload {cert = "/none"}})
    context = tls.context(client_options())
    assert.equal(second.peer.sha256, round().peer.sha256)
  end)
end)

describe("a context that was reloaded", function()
  it("does not let in who was let in before", function()
    local c = certs.make()
    for _, version in ipairs {"1.2", "1.3"} do
      local own = tls.context(server_options {server = true})
      local port = serve(own, function(stream)
        stream:write "welcome\n"
        stream:read("l", LONG)
      end)
      local context = tls.context(client_options {max = version})
      local stream = assert(connect(port, context))
      assert.equal("welcome", stream:read("l", LONG))
      stream:close()
      assert(own:reload(server_options {verify = true, ca = c.ca.cert}))
      local why
      stream, why = connect(port, context) -- which has a ticket
      if stream then stream, why = stream:read("l", LONG) end
      assert.is_nil(stream)
      assert.matches("^TLS: ", why)
    end
  end)

  it("does not resume what it would not trust any more", function()
    local c = certs.make()
    local port = serve({cert = c.unknown.cert, key = c.unknown.key},
      function(stream)
        stream:read("l", LONG)
        stream:write "x\n"
      end)
    local context = tls.context {ca = c.stranger.cert}
    local stream = assert(connect(port, context))
    assert(context:reload {ca = c.ca.cert})
    stream:write "tickets come with the answer\n"
    assert.equal("x", stream:read("l", LONG))
    assert.is_nil((connect(port, context)))
  end)
end)

-- A word there and back. Was the session resumed?
local function round(port, context)
  local stream = assert(connect(port, context))
  stream:write "x\n"
  assert.equal("x", stream:read("l", LONG))
  local resumed = stream:tls().resumed
  stream:close()
  return resumed
end

describe("one session of TLS 1.2", function()
  it("is resumed by connections of several sessions at once", function()
    local context = tls.context(client_options {max = "1.2"})
    local port = serve(server_options(), echo, {sessions = 2})
    assert.is_false(round(port, context))
    local ready, go = casting.channel(100), casting.channel()
    local function many(context, port, ready, go, n, LONG) -- luacheck: ignore
      local casting = require "casting" -- luacheck: ignore
      local net, tasks = require "casting.net", {}
      local function one(i)
        ready:send(true)
        go:receive(LONG)
        local stream = assert(net.connect("localhost", port,
          {tls = context, timeout = LONG}))
        local resumed = stream:tls().resumed
        stream:write(i .. "\n")
        assert(stream:read("l", LONG) == tostring(i))
        -- How it ends does not matter for the others.
        stream[i % 2 == 0 and "close" or "abort"](stream)
        return resumed
      end
      for i = 1, n do tasks[i] = casting.spawn(one, i) end
      local resumed = 0
      for i = 1, n do
        if tasks[i]:await(LONG) then resumed = resumed + 1 end
      end
      return resumed
    end
    local sessions, tasks = {}, {}
    for i = 1, 4 do
      sessions[i] = casting.session()
      tasks[i] = sessions[i]:spawn(many, context, port, ready, go, 5, LONG)
    end
    for _ = 1, 20 do assert.is_true(ready:receive(LONG)) end
    go:close()
    for i = 1, 4 do assert.equal(5, tasks[i]:await(LONG)) end
    for i = 1, 4 do sessions[i]:close() end
    assert.is_true(round(port, context))
  end)
end)

describe("a session", function()
  it("is good after a connection that was reset", function()
    for _, version in ipairs {"1.2", "1.3"} do
      local context = tls.context(client_options {max = version})
      local port = serve(server_options(), echo)
      for i = 1, 3 do
        local stream = assert(connect(port, context))
        stream:write "x\n"
        assert.equal("x", stream:read("l", LONG))
        assert.equal(i > 1, stream:tls().resumed)
        stream:abort()
      end
    end
  end)

  it("is not resumed after a failure", function()
    local context = tls.context(client_options {max = "1.2"})
    local own = assert(tls.context(server_options {server = true}))
    local port, task, listener = serve(own, echo)
    assert.is_false(round(port, context))
    assert.is_true(round(port, context))
    listener:close()
    task:await(LONG)
    listener = kit.keep(assert(net.listen("127.0.0.1", port)))
    task = casting.spawn(function()
      listener:accept(LONG):write("this is no TLS\r\n\r\n")
    end)
    local stream, why = connect(port, context)
    assert.is_nil(stream)
    assert.matches("may not speak TLS", why)
    task:await(LONG)
    listener:close()
    listener = kit.keep(assert(net.listen("127.0.0.1", port, {tls = own})))
    casting.spawn(function() return listener:serve(echo) end)
    assert.is_false(round(port, context))
    assert.is_true(round(port, context))
  end)
end)

describe("the key of tickets", function()
  local HOUR, core = 3600, require "casting.tls.core"

  -- A server, and a client of TLS 1.2 with its first ticket. It keeps that:
  -- resuming gives it another one only if that has the key before.
  local function first(more)
    local own = assert(tls.context(server_options(more or {server = true})))
    local context = tls.context(client_options {max = "1.2"})
    local port = serve(own, echo)
    assert.is_false(round(port, context))
    assert.is_true(round(port, context))
    return own, port, context
  end

  it("becomes the one before after twelve hours", function()
    local own, port, context = first()
    core.age(own, 12 * HOUR)
    assert.is_true(round(port, context)) -- and has a ticket with the new key
    core.age(own, 12 * HOUR)
    assert.is_true(round(port, context))
    core.age(own, 11 * HOUR)
    assert.is_true(round(port, context))
  end)

  it("is forgotten after twelve more", function()
    local own, port, context = first()
    core.age(own, 12 * HOUR)
    assert.is_false(round(port, tls.context(client_options {max = "1.2"})))
    core.age(own, 12 * HOUR)
    assert.is_false(round(port, context))
    own, port, context = first()
    core.age(own, 24 * HOUR) -- and nobody came meanwhile
    assert.is_false(round(port, context))
    assert.is_true(round(port, context))
  end)

  it("changes with a reload unless it is new", function()
    local own, port, context = first()
    for _ = 1, 3 do assert.is_true(own:reload(server_options())) end
    assert.is_true(round(port, context))
    core.age(own, 3 * HOUR)
    assert.is_true(own:reload(server_options()))
    core.age(own, 11 * HOUR)
    assert.is_true(round(port, context)) -- gets a ticket with the new key
    core.age(own, 2 * HOUR)
    assert.is_true(round(port, context))
    own, port, context = first()
    core.age(own, 3 * HOUR)
    assert.is_true(own:reload(server_options()))
    core.age(own, 12 * HOUR)
    assert.is_false(round(port, context))
  end)

  it("is used by TLS 1.3 too", function()
    local own = assert(tls.context(server_options {server = true}))
    local context = tls.context(client_options())
    local port = serve(own, echo)
    assert.is_false(round(port, context))
    for _ = 1, 3 do
      core.age(own, 12 * HOUR)
      assert.is_true(round(port, context))
    end
    core.age(own, 24 * HOUR)
    assert.is_false(round(port, context))
  end)
end)

describe("the end", function()
  it("removes the certificates", function() certs.remove() end)
end)
