-- stream_spec.lua - responses of the client that are read piece by piece.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local peers = require "peers"
local answer, client, script = peers.answer, peers.client, peers.script
local pack, LONG = helper.pack, helper.LONG

after_each(peers.close)

local CHUNKS = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

-- A server that says the head and then what it gets by a channel.
local function told(head)
  local words = casting.channel()
  local base = peers.listen(function(stream)
    while peers.hear(stream) do
      stream:write(head)
      for word in words do
        if word == "next" then break end
        stream:write(word)
      end
    end
  end)
  return base, words
end

describe("a streamed response", function()
  it("comes as its server sends it", function()
    local base, words = told(CHUNKS)
    local c = client()
    local r = c:request(base, {stream = true})
    assert.equal(200, r.status)
    assert.is_nil(r.body)
    assert.equal("response: 200", tostring(r))
    words:send "3\r\none\r\n"
    assert.equal("one", r:read())
    words:send "3\r\ntwo\r\n5"
    assert.equal("two", r:read())
    words:send "\r\nthree\r\n1\r\n!\r\n0\r\n\r\n"
    assert.equal("th", r:read(2))
    assert.equal("ree!", r:read(10))
    assert.same({nil, "closed", n = 2}, pack(r:read()))
    assert.same({nil, "closed", n = 2}, pack(r:read(1)))
    assert.equal("", r:read "a")
    assert.equal("", r:read(0))
    assert.is_false(r:close())
    assert.same({idle = 1, busy = 0, waiting = 0, made = 1}, c:stats())
    words:send "next"
  end)

  it("gives its connection back with its last byte", function()
    local base = script {answer "hello", answer "next"}
    local c = client()
    local r = c:request(base, {stream = true})
    assert.equal(1, c:stats().busy)
    assert.equal("hello", r:read(5))
    assert.equal(1, c:stats().idle)
    assert.equal("next", c:request(base).body)
    -- It is another one's by now.
    assert.same({nil, "closed", n = 2}, pack(r:read()))
    assert.is_false(r:close())
    assert.equal(1, c:stats().made)
  end)

  it("without a body is over at once", function()
    local base = script {answer "", "HTTP/1.1 204 X\r\n\r\n"}
    local c = client()
    for _ = 1, 2 do
      local r = c:request(base, {stream = true})
      assert.equal(1, c:stats().idle)
      assert.same({nil, "closed", n = 2}, pack(r:read()))
    end
  end)

  it("that is closed costs the connection", function()
    local base = script({answer(("x"):rep(100))}, {answer "b"})
    local c = client()
    local r = c:request(base, {stream = true})
    assert.equal("xx", r:read(2))
    assert.is_true(r:close())
    assert.is_false(r:close())
    for _, what in ipairs {"a", 1} do
      local data, why = r:read(what)
      assert.is_nil(data)
      assert.equal("the response was closed", why)
    end
    assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
    assert.equal("b", c:request(base).body)
  end)

  it("closes at the end of a block", function()
    if helper.version < "5.4" then return end
    local base = script({answer "a"}, {answer "b"})
    local c = client()
    local f = assert(load [[
      local c, base = ...
      local r <close> = c:request(base, {stream = true})
      return r.status
    ]])
    assert.equal(200, f(c, base))
    assert.equal(0, c:stats().busy)
  end)

  it("may be longer than the client reads as a whole", function()
    local base = script {answer(("x"):rep(1000)), answer(("x"):rep(1000)),
      answer(("x"):rep(1000))}
    local c = client {max_body = 100}
    local r = c:request(base, {stream = true})
    local n = 0
    while true do
      local piece = r:read()
      if not piece then break end
      n = n + #piece
    end
    assert.equal(1000, n)
    r = c:request(base, {stream = true})
    assert.equal(100, #r:read(100))
    local data, why = r:read "a"
    assert.is_nil(data)
    assert.equal("too long", why)
    r:close()
    assert.equal(0, c:stats().idle)
  end)

  it("has a time for each read, and can be read on after it", function()
    local base, words = told "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    local c = client()
    local r = c:request(base, {stream = true})
    -- It is that of the request, which is too short for that.
    r.exchange.conn.timeout = 0.01
    assert.same({nil, "timeout", n = 2}, pack(r:read()))
    words:send "abc"
    r.exchange.conn.timeout = LONG
    assert.equal("abc", r:read())
    words:send "de"
    assert.equal("d", r:read(1))
    r.exchange.conn.timeout = 0.01
    local data, why, rest = r:read(3)
    assert.is_nil(data)
    assert.equal("timeout", why)
    assert.equal("e", rest)
    words:send "f"
    r.exchange.conn.timeout = LONG
    assert.equal("f", r:read "a")
    -- It has run out of time once: who knows where it stands.
    assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
  end)

  it("is truncated, or malformed", function()
    for text, wanted in pairs {
      ["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"] = "truncated",
      [CHUNKS .. "3\r\nabc\r\nx\r\n"] = "malformed",
      [CHUNKS .. "3\r\nabc\r\n"] = "truncated"} do
      local base = script {text}
      local c = client()
      local r = c:request(base, {stream = true})
      assert.equal("abc", r:read())
      -- What was wrong is told again.
      for _ = 1, 2 do
        local data, why = r:read()
        assert.is_nil(data)
        assert.equal(wanted, why)
      end
      assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
    end
  end)

  it("goes on when a read of it was cancelled", function()
    local base, words = told "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    local c = client()
    local r = c:request(base, {stream = true})
    local task = casting.spawn(function() return r:read() end)
    casting.yield()
    task:cancel()
    task:join(LONG)
    words:send "abcdef"
    assert.equal("abcdef", r:read(6))
    assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
  end)

  it("belongs to its session", function()
    local base = script {answer "a"}
    local c = client()
    local r = c:request(base, {stream = true})
    local ch = casting.channel(1)
    assert.error_matches(function() ch:send(r) end, "belongs to one session")
    assert.error_matches(function() ch:send(c) end, "belongs to one session")
    assert.equal("a", r:read())
  end)

  it("says what it is asked for", function()
    local base = script {answer "a"}
    local r = client():request(base, {stream = true})
    for _, what in ipairs {"l", -1, 1.5, true} do
      assert.error_matches(function() r:read(what) end,
        "bad argument #1 to 'read' %(a number of bytes or \"a\" expected")
    end
  end)

  it("can be read while its request is still sent", function()
    local base = peers.listen(function(stream)
      stream:read_until("\r\n\r\n", nil, LONG)
      stream:write(CHUNKS)
      while true do
        local size = tonumber(stream:read("l", LONG), 16)
        stream:write(("%x\r\n%s"):format(size, stream:read(size + 2, LONG)))
        if size == 0 then break end
      end
      stream:read(1, LONG)
    end)
    local words = casting.channel()
    local c = client()
    local r = c:request(base, {stream = true, body = function()
      return (words:receive(LONG))
    end})
    for _, word in ipairs {"one", "two", "three"} do
      words:send(word)
      assert.equal(word, r:read(#word))
    end
    words:close()
    assert.same({nil, "closed", n = 2}, pack(r:read()))
    assert.same({idle = 1, busy = 0, waiting = 0, made = 1}, c:stats())
  end)

  it("that is closed ends its request", function()
    local base = peers.listen(function(stream)
      stream:read_until("\r\n\r\n", nil, LONG)
      stream:write(CHUNKS)
      while stream:read(nil, LONG) do end
    end)
    local ended, cancelled = casting.channel(), nil
    local c = client()
    local r = c:request(base, {stream = true, body = function()
      local ok, e = pcall(casting.sleep, 1000)
      cancelled = not ok and casting.is_cancelled(e)
      ended:close()
      error(e, 0)
    end})
    r:close()
    ended:receive(LONG)
    assert.is_true(cancelled)
  end)
end)
