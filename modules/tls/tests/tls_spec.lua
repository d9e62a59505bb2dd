-- tls_spec.lua - TLS over streams.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local netkit = require "netkit"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/tls/tests/?.lua;" .. package.path
local kit = require "tlskit"
local certs = require "certs"
local tls = require "casting.tls"
local net = require "casting.net"
local process = require "casting.process"
local LONG = helper.LONG
local server_options, client_options = kit.server_options, kit.client_options
local keep, serve, echo = kit.keep, kit.serve, kit.echo
local connect, both, pair = kit.connect, kit.both, kit.pair

after_each(kit.close_all)

-- -- tests --------------------------------------------------------------------

describe("casting.tls", function()
  it("serves and connects", function()
    local port = serve(server_options {alpn = {"h2", "http/1.1"}}, echo)
    local stream = assert(connect(port,
      client_options {alpn = {"other", "http/1.1"}}))
    assert(stream:write "hello\n")
    assert.equal("hello", stream:read("l", LONG))
    local info = assert(stream:tls())
    assert.equal("TLSv1.3", info.version)
    assert.equal("http/1.1", info.alpn)
    assert.equal("localhost", info.name)
    assert.is_true(info.verified)
    assert.is_false(info.resumed)
    assert.is_false(info.server)
    assert.equal("CN=localhost", info.peer.subject)
    assert.equal("CN=test authority", info.peer.issuer)
    assert.same({"localhost"}, info.peer.names)
    assert.equal(64, #info.peer.sha256)
    assert.matches("^%-%-%-%-%-BEGIN CERTIFICATE", info.peer.pem)
    assert.is_true(info.peer.not_before <= os.time())
    assert.is_true(info.peer.not_after > os.time())
    assert.is_true(stream:shutdown())
    assert.same({nil, "closed", 0}, {stream:write "more"})
    assert.equal("", stream:read("a", LONG))
    assert.is_true(stream:close())
    assert.same({nil, "closed"}, {stream:tls()})
  end)

  it("tells what has no TLS", function()
    local a, b = net.pair()
    assert.same({nil, "no TLS"}, {a:tls()})
    a:close()
    b:close()
    assert.same({nil, "closed"}, {a:tls()})
  end)

  it("takes PEM in place of paths", function()
    local c = certs.make()
    local port = serve({cert = certs.slurp(c.server.cert) ..
      certs.slurp(c.server.key)}, echo)
    local stream = assert(connect(port, {ca = certs.slurp(c.ca.cert)}))
    stream:write "x\n"
    assert.equal("x", stream:read("l", LONG))
  end)

  it("asks nobody for a password", function()
    local c = certs.make()
    assert.is_truthy(tls.context {server = true, cert = c.locked.cert,
      key = c.locked.key, password = "secret"})
    local context, why = tls.context {server = true, cert = c.locked.cert,
      key = c.locked.key}
    assert.is_nil(context)
    assert.matches("^key: .*: it needs a password$", why)
    assert.is_nil((tls.context {server = true, cert = c.locked.cert,
      key = c.locked.key, password = "wrong"}))
  end)

  it("says what is wrong with files", function()
    local c = certs.make()
    local function refused(text, o)
      local context, why = tls.context(o)
      assert.is_nil(context)
      assert.matches(text, why)
    end
    refused("^cert: /none: No such file or directory$", {cert = "/none"})
    refused("^ca: /none: No such file or directory$", {ca = "/none"})
    refused("^cert: .*%.key: there is no PEM in it$",
      {cert = c.server.key, key = c.server.key})
    refused("^key: .*: key values mismatch$",
      {cert = c.server.cert, key = c.client.key})
    refused("^key: .*: there is no private key in it$",
      {cert = c.server.cert})
    refused("^ca: %.: there is no PEM in it %(a directory needs a /",
      {ca = "."})
    refused("^ciphers: no cipher match$", {ciphers = "NONE-SUCH"})
    refused("^ca: ", {ca = "-----BEGIN CERTIFICATE-----\nnonsense\n"})
    assert.same({nil, "cert: /none: No such file or directory"},
      {net.listen("127.0.0.1", 0, {tls = {cert = "/none"}})})
  end)
end)

describe("a client", function()
  local function refused(text, client, server)
    local s, c = both(server, client)
    assert.is_nil(c[1])
    assert.matches(text, c[2], 1, true)
    assert.is_nil(s[1])
  end

  it("sees who is nobody it trusts", function()
    local c = certs.make()
    local verify = "TLS: certificate verify failed: "
    refused(verify .. "unable to get local issuer", {}, {
      cert = c.unknown.cert, key = c.unknown.key})
    refused(verify .. "certificate has expired", {}, {
      cert = c.expired.cert, key = c.expired.key})
    refused(verify .. "hostname mismatch", {name = "example.org"})
    refused(verify .. "hostname mismatch", {name = "localhost.example.org"})
    refused(verify .. "IP address mismatch", {name = "127.0.0.2"})
    refused(verify .. "self-signed certificate", {ca = c.stranger.cert}, {
      cert = c.ca.cert, key = c.ca.key})
    refused(verify, {ca = c.stranger.cert})
    refused(verify .. "hostname mismatch", {name = "a client"},
      {cert = c.client.cert, key = c.client.key}) -- that is no host's
    local a, b = net.pair()
    assert.same({nil, "not a host name"},
      {a:starttls(client_options {name = ".test"})})
    b:close()
    pair(nil, {name = "127.0.0.1"})
    pair(nil, {name = "localhost."})
    pair(nil, {name = "LOCALHOST"})
    pair({cert = c.unknown.cert, key = c.unknown.key}, {verify = false})
    pair({cert = c.other.cert, key = c.other.key}, {name = "a.wild.test"})
    refused(verify, {name = "a.b.wild.test"},
      {cert = c.other.cert, key = c.other.key})
  end)

  it("trusts whom the system trusts, if it is not told", function()
    local port = serve(server_options(), echo)
    local stream, why = connect(port, true)
    assert.is_nil(stream)
    assert.matches("^TLS: certificate verify failed", why)
  end)
end)

describe("a server", function()
  it("has a certificate for each name", function()
    local c = certs.make()
    local port = serve(server_options {hosts = {
      ["other.test"] = {cert = c.other.cert, key = c.other.key},
      ["*.Wild.test"] = {cert = c.other.cert, key = c.other.key}}}, echo)
    for name, subject in pairs {["localhost"] = "localhost",
      ["other.test"] = "other", ["x.wild.test"] = "other"} do
      local stream = assert(connect(port, client_options {name = name}))
      assert.equal("CN=" .. subject, stream:tls().peer.subject)
    end
    assert.is_nil((connect(port, client_options {name = "x.y.wild.test"})))
  end)

  it("wants a protocol that both know", function()
    local s, c = both({alpn = {"a", "b"}}, {alpn = {"b", "a"}})
    assert.equal("a", s[1]:tls().alpn)
    assert.equal("a", c[1]:tls().alpn)
    s, c = both({alpn = {"a"}}, {alpn = {"b"}})
    assert.is_nil(s[1])
    assert.matches("no application protocol", c[2])
    s = both({alpn = {"a"}}, {})
    assert.is_nil(assert(s[1]):tls().alpn)
    c = select(2, both({}, {alpn = {"a"}}))
    assert.is_nil(assert(c[1]):tls().alpn)
  end)

  it("looks at certificates of clients", function()
    local c = certs.make()
    local own = {cert = c.client.cert, key = c.client.key}
    local s = pair({verify = true, ca = c.ca.cert}, own)
    assert.equal("CN=a client", s:tls().peer.subject)
    assert.is_true(s:tls().verified)
    s = pair({verify = "optional", ca = c.ca.cert})
    assert.is_nil(s:tls().peer)
    assert.is_false(s:tls().verified)
    -- With TLS 1.3 a client learns of it from the first read.
    for _, bad in ipairs {{}, {cert = c.unknown.cert, key = c.unknown.key}} do
      local refused, client = both({verify = true, ca = c.ca.cert}, bad)
      assert.is_nil(refused[1])
      assert.matches("^TLS: ", refused[2])
      local bytes, why = nil, client[2]
      if client[1] then bytes, why = client[1]:read(1, LONG) end
      assert.is_nil(bytes)
      assert.matches("^TLS: .*alert", why)
    end
  end)

  it("waits for nobody's handshake", function()
    local port, task, listener =
      serve(server_options(), echo, {handshake = 0.1 * helper.slow})
    local mute = {}
    for i = 1, 5 do
      mute[i] = keep(assert(net.connect("127.0.0.1", port)))
    end
    local stream = assert(connect(port))
    stream:write "x\n"
    assert.equal("x", stream:read("l", LONG))
    -- They are closed when their time is over, and nobody hears of them.
    for i = 1, 5 do assert.equal("", mute[i]:read("a", LONG)) end
    stream:close()
    listener:close()
    assert.is_true(task:await(LONG))
  end)

  it("never calls for a connection without a handshake", function()
    local calls = 0
    local port, task, listener = serve(server_options(), function()
      calls = calls + 1
    end)
    for _, bytes in ipairs {"GET / HTTP/1.1\r\n\r\n", "\22\3\1", "\0",
      ("x"):rep(20000), "\22\3\1\255\255" .. ("\1"):rep(70000), ""} do
      local raw = keep(assert(net.connect("127.0.0.1", port)))
      raw:write(bytes)
      raw:shutdown()
      raw:read("a", LONG)
      raw:close()
    end
    listener:close()
    assert.is_true(task:await(LONG))
    assert.equal(0, calls)
  end)

  it("accepts streams whose handshake comes with the first read", function()
    local listener = keep(assert(net.listen("127.0.0.1", 0,
      {tls = server_options()})))
    local _, port = listener:name()
    local client = casting.spawn(function()
      local stream = assert(connect(port))
      stream:write "hello\n"
      local word = stream:read("l", LONG)
      stream:close()
      return word
    end)
    local stream = keep(assert(listener:accept(LONG)))
    assert.equal("hello", stream:read("l", LONG))
    assert.is_true(stream:tls().server)
    stream:write "bye\n"
    assert.equal("bye", client:await(LONG))
    -- Or with the first write, or tls().
    client = casting.spawn(function()
      return assert(connect(port)):read("a", LONG)
    end)
    stream = keep(assert(listener:accept(LONG)))
    assert.is_true(stream:write("first", LONG))
    assert.equal("localhost", stream:tls(LONG).name)
    stream:close()
    assert.equal("first", client:await(LONG))
  end)

  it("says goodbye behind much that was written", function()
    local big = ("x"):rep(20000000)
    local tasks = casting.channel(1)
    local port = serve(server_options(), function(stream)
      tasks:send(casting.self())
      stream:write(big)
    end)
    local stream = assert(connect(port))
    helper.until_waiting((tasks:receive())) -- the system has no more room
    local got, why = stream:read("a", LONG)
    assert.is_nil(why)
    assert.is_true(got == big)
  end)

  it("works in several sessions", function()
    local port = serve(server_options(), function(stream)
      for line in stream:lines() do stream:write(line .. "\n") end
    end, {sessions = 2})
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = casting.spawn(function()
        local stream = assert(connect(port))
        for k = 1, 20 do
          stream:write(i .. " " .. k .. "\n")
          assert(stream:read("l", LONG) == i .. " " .. k)
        end
        return stream:close()
      end)
    end
    for i = 1, 20 do assert.is_true(tasks[i]:await(LONG)) end
  end)
end)

describe("a stream with TLS", function()
  it("reads in all forms", function()
    local a, b = pair()
    a:write {"one\r\ntwo\n12345", {"--", ("x"):rep(100000)}, "--rest"}
    a:close()
    assert.equal("one", b:peek(3, LONG))
    assert.equal("one", b:read("l", LONG))
    assert.equal("two\n", b:read("L", LONG))
    assert.equal("123", b:read(3, LONG))
    assert.equal("45", b:read_until("--", 100, LONG))
    assert.same({nil, "too long"}, {b:read_until("--", 100, LONG)})
    assert.equal(100000, #b:read_until("--", 200000, LONG))
    assert.equal("re", b:read(2, LONG))
    assert.same({nil, "closed", "st"}, {b:read(3, LONG)})
    assert.same({nil, "closed"}, {b:read(nil, LONG)})
  end)

  it("carries much in both directions at once", function()
    local a, b = pair()
    local big = {}
    for i = 1, 3000 do big[i] = i .. (" "):rep(1000) end
    big = table.concat(big)
    local function send(s)
      return casting.spawn(function()
        assert(s:write({big, {"", "end"}}))
        return s:shutdown()
      end)
    end
    local function receive(s)
      return casting.spawn(function()
        return s:read("a", LONG) == big .. "end"
      end)
    end
    local tasks = {send(a), send(b), receive(a), receive(b)}
    for _, task in ipairs(tasks) do assert.is_true(task:await(LONG)) end
    assert.equal(#big + 3, a:stats().written)
    assert.equal(#big + 3, a:stats().read)
  end)

  it("goes on after a write whose time was over", function()
    local a, b = pair()
    a:option("sendbuffer", 4096)
    -- With less than a segment, 64 KiB here, the system tells late that there
    -- is room again.
    b:option("recvbuffer", 131072)
    local parts = {}
    for i = 1, 200000 do parts[i] = ("%07d\n"):format(i) end
    local big, at, timeouts = table.concat(parts), 1, 0
    local reader
    while at <= #big do
      local ok, why, n = a:write(big:sub(at), 0.001)
      if ok then break end
      assert.equal("timeout", why)
      timeouts = timeouts + 1
      at = at + n
      reader = reader or casting.spawn(function() return b:read("a", LONG) end)
    end
    assert.is_true(a:write("", LONG))
    assert.is_true(timeouts > 0)
    assert.is_true(a:shutdown())
    a:close()
    assert.is_true(reader:await(LONG) == big)
  end)

  it("moves to another session", function()
    local a, b = pair()
    a:write "one\ntwo\n"
    assert.equal("one", b:read("l", LONG))
    local jobs = casting.channel()
    local session = casting.session()
    local task = session:spawn(function(jobs)
      local s = jobs:receive()
      local line = s:read("l", 100)
      s:write("got " .. line .. " by " .. s:tls().version .. "\n")
      return s:close()
    end, jobs)
    jobs:send(b)
    assert.equal("got two by TLSv1.3", a:read("l", LONG))
    assert.same({nil, "closed"}, {a:read(1, LONG)})
    assert.is_true(task:await(LONG))
    assert.has_error(function() b:read() end)
    session:close()
  end)

  it("tells of itself in a sandbox", function()
    local a, b = pair({alpn = {"x"}}, {alpn = {"x"}})
    local jobs = casting.channel()
    local box = casting.session {sandbox = true}
    local task = box:spawn([[
      local s = (...):receive()
      local i = s:tls(100)
      s:close()
      return i.version, i.alpn, i.peer.subject, select(2, s:tls())
    ]], jobs)
    jobs:send(b)
    assert.same({"TLSv1.3", "x", "CN=localhost", "closed"}, {task:await(LONG)})
    a:close()
    box:close()
  end)

  it("is closed when its message is never received", function()
    local a, b = pair()
    do
      local jobs = casting.channel(1)
      jobs:send(b)
    end
    collectgarbage()
    collectgarbage()
    assert.same({nil, "closed"}, {a:read(1, LONG)})
  end)

  it("tells an end that was cut off from one that was meant", function()
    local raw, a = netkit.tcp()
    keep(raw)
    keep(a)
    -- The server behind a relay, which ends without a word.
    local inner, outer = netkit.tcp()
    keep(inner)
    keep(outer)
    local s = server_options {server = true}
    local server = casting.spawn(function() return outer:starttls(s) end)
    local up = casting.spawn(function() raw:copy(inner) end)
    local down = casting.spawn(function() inner:copy(raw) end)
    assert(a:starttls(client_options {name = "localhost"}))
    assert(server:await(LONG))
    outer:write "half a li"
    assert.equal("half", a:read(4, LONG))
    down:cancel()
    down:join()
    up:cancel()
    up:join()
    raw:shutdown()
    assert.same({nil, "truncated"}, {a:read("a", LONG)})
    assert.equal(" a li", a:read(nil, LONG))
    assert.same({nil, "truncated"}, {a:read(nil, LONG)})
  end)

  it("waits for room for its last word when it is closed", function()
    local a, b = pair()
    local n = netkit.fill(b)
    local task = casting.spawn(function() return b:close() end)
    helper.until_waiting(task)
    assert.equal("waiting", task:status())
    assert.equal(n, #assert(a:read("a", LONG))) -- and not truncated
    assert.is_true(task:await(LONG))
    assert.is_false(b:close())
    -- Nobody waits for the room if the system has taken all.
    a, b = pair()
    a:write "x"
    assert.is_true(a:close())
    assert.equal("x", b:read("a", LONG))
    -- Nor do tickets destroy what a client has written that reads nothing.
    a, b = pair()
    b:write(("x"):rep(100000))
    assert.is_true(b:close())
    assert.equal(100000, #a:read("a", LONG))
  end)

  it("can be written after the other side has ended without a word", function()
    -- Between a and b is a relay, with an end for each.
    local far, to_a = netkit.tcp()
    local near, to_b = netkit.tcp()
    keep(to_a)
    keep(to_b)
    local up = casting.spawn(function() to_b:copy(to_a) end)
    local down = casting.spawn(function()
      to_a:copy(to_b)
      to_b:shutdown()
    end)
    local a, b = pair(nil, nil, function() return far, near end)
    b:write "to"
    assert.equal("to", a:read(2, LONG))
    up:cancel()
    up:join()
    to_a:shutdown()
    assert.same({nil, "truncated"}, {a:read(nil, LONG)})
    assert.is_true(a:write "still there")
    assert.equal("still there", b:read(11, LONG))
    assert.same({nil, "truncated"}, {a:read(nil, LONG)})
    assert.is_true(a:shutdown())
    assert.equal("", b:read("a", LONG))
    down:await(LONG)
  end)

  it("does not wait to be closed for ever, nor if that is to wake a task",
    function()
      local a, b = pair()
      netkit.fill(b)
      local reader = casting.spawn(function() return b:read(1) end)
      helper.until_waiting(reader)
      assert.is_true(b:close())
      assert.same({nil, "closed"}, {reader:await(LONG)})
      -- The system may have found room for the last word meanwhile.
      assert.not_equal("timeout", (select(2, a:read("a", LONG))))
      -- What ends a wait closes the stream, too.
      for _, how in ipairs {"deadline", "cancelled", "closed", "ready"} do
        a, b = pair()
        netkit.fill(b)
        local closed
        local task = casting.spawn(function()
          if how == "deadline" then
            casting.with_timeout(0.01, function() closed = b:close() end)
          elseif how == "ready" then
            casting.self():cancel()
            closed = b:close()
          else
            closed = b:close()
          end
        end)
        if how == "cancelled" or how == "closed" then
          helper.until_waiting(task)
          if how == "closed" then b:close() else task:cancel() end
        end
        task:join(LONG)
        -- On a slow machine the deadline may end the task behind its close.
        if how ~= "deadline" or closed ~= nil then
          assert.equal(how ~= "closed", closed)
        end
        assert.is_nil((b:fd()))
        a:close()
      end
    end)

  it("is ready in a select when there is something for a task", function()
    local a, b = pair()
    -- What came after the handshake (tickets) is nothing.
    assert.same({nil, "timeout"}, {casting.select {b, timeout = 0.01}})
    local task = casting.spawn(function()
      return casting.select {b, timeout = LONG}
    end)
    helper.until_waiting(task)
    a:write "x"
    assert.equal(1, task:await(LONG))
    assert.equal(1, (casting.select {b, timeout = LONG}))
    assert.equal("x", b:read(nil, 0))
    assert.same({nil, "timeout"}, {b:read(nil, 0)})
    a:close()
    assert.equal(1, (casting.select {b, timeout = LONG}))
    assert.same({nil, "closed"}, {b:read(nil, LONG)})
  end)

  it("can be read after a write has failed", function()
    for _, ends in ipairs {"close", "abort"} do
      local a, b = pair()
      a:write "question"
      assert.equal("que", b:read(3, LONG)) -- the rest makes it a reset
      b:write "too large\n"
      b[ends](b)
      local ok, why
      repeat ok, why = a:write(("x"):rep(1000), LONG) until not ok
      assert.equal("closed", why)
      if ends == "close" then
        assert.equal("too large", a:read("l", LONG))
      end
    end
  end)

  it("is not ready before its handshake is over", function()
    local listener = keep(assert(net.listen("127.0.0.1", 0,
      {tls = server_options()})))
    keep(net.connect("127.0.0.1", select(2, listener:name())))
    local stream = keep(assert(listener:accept(LONG)))
    local task = casting.spawn(function() return stream:write "hello" end)
    helper.until_waiting(task)
    assert.same({nil, "timeout"}, {stream:tls(0.01)})
    assert.same({nil, "timeout", 0}, {stream:write("", 0.01)})
    task:cancel()
    task:join()
  end)

  it("takes nobody's word before the handshake is over", function()
    local listener = keep(assert(net.listen("127.0.0.1", 0,
      {tls = server_options()})))
    local a, b = netkit.tcp()
    keep(a)
    keep(b)
    local client = casting.spawn(function()
      return a:starttls(client_options {name = "localhost"})
    end)
    local raw = keep(net.connect("127.0.0.1", select(2, listener:name())))
    raw:write(b:read(nil, LONG))
    raw:write "\21\3\3\0\2\1\0" -- "this was the end", unencrypted
    local stream = keep(assert(listener:accept(LONG)))
    assert.same({nil, "closed"}, {stream:read("a", LONG)})
    client:cancel()
    client:join()
  end)

  it("wakes who waits for what another task has taken", function()
    local listener = keep(assert(net.listen("127.0.0.1", 0,
      {tls = server_options()})))
    local up = keep(net.connect("127.0.0.1", select(2, listener:name())))
    local stream = keep(assert(listener:accept(LONG)))
    local a, b = netkit.tcp()
    keep(a)
    keep(b)
    local client = casting.spawn(function()
      assert(a:starttls(client_options {name = "localhost"}))
      return a:read("l", LONG)
    end)
    local writer = casting.spawn(function()
      return stream:write("x\n", LONG)
    end)
    up:write(b:read(nil, LONG)) -- the client's first words, and the answer
    b:write(up:read(nil, LONG))
    helper.until_waiting(writer)
    local last = b:read(nil, LONG)
    up:write(last)
    casting.select {stream, timeout = 0} -- takes it, perhaps before an event
    assert.is_true(writer:await(LONG))
    local back = casting.spawn(function() return up:copy(b) end)
    assert.equal("x", client:await(LONG))
    back:cancel()
    back:join()
  end)

  it("is copied from and to", function()
    local a, b = pair()
    local c, d = net.pair()
    keep(c)
    keep(d)
    local big = ("0123456789"):rep(100000)
    local into = casting.spawn(function() return c:copy(a) end)
    local out = casting.spawn(function() return b:read("a", LONG) end)
    d:write(big)
    d:shutdown()
    assert.equal(#big, into:await(LONG))
    a:shutdown()
    assert.is_true(out:await(LONG) == big)
    into = casting.spawn(function()
      local n = a:copy(c)
      c:shutdown()
      return n
    end)
    out = casting.spawn(function() return d:read("a", LONG) end)
    b:write(big)
    b:shutdown()
    assert.equal(#big, into:await(LONG))
    assert.is_true(out:await(LONG) == big)
  end)

  it("is good after a cancelled read", function()
    local a, b = pair()
    local task = casting.spawn(function() return b:read("l") end)
    helper.until_waiting(task)
    a:write "half"
    task:cancel()
    task:join()
    a:write " a line\n"
    assert.equal("half a line", b:read("l", LONG))
  end)

  it("is closed by a handshake that is cancelled, or has no more time",
    function()
      local a, b = netkit.tcp()
      local task = casting.spawn(function()
        return b:starttls(client_options {name = "localhost"})
      end)
      helper.until_waiting(task)
      task:cancel()
      task:join()
      assert.same({nil, "closed", 0}, {b:write "x"})
      a:close()
      a, b = netkit.tcp()
      assert.same({nil, "timeout"},
        {b:starttls(client_options {name = "localhost", timeout = 0.01})})
      assert.same({nil, "closed", 0}, {b:write "x"})
      a:close()
      local listener = keep(net.listen("127.0.0.1", 0))
      local _, port = listener:name()
      assert.same({nil, "timeout"}, {net.connect("127.0.0.1", port,
        {tls = true, timeout = 0.01})})
      assert.same({nil, "timeout"}, {net.connect("127.0.0.1", port,
        {tls = {timeout = 0.01}, timeout = LONG})})
    end)

  it("takes what was read already for a part of the handshake", function()
    -- A server that looks at the first bytes to see what it is.
    local a, b = netkit.tcp()
    keep(a)
    keep(b)
    local client = casting.spawn(function()
      return assert(b:starttls(client_options {name = "localhost"})):read("a")
    end)
    assert.equal("\22\3", a:peek(2, LONG))
    assert(a:starttls(server_options {server = true}))
    a:write "secret"
    a:close()
    assert.equal("secret", client:await(LONG))
    -- Text that somebody has put in before it is no part of what follows.
    a, b = netkit.tcp()
    keep(a)
    keep(b)
    a:write "220 ready\n250 forged\n"
    assert.equal("220 ready", b:read("l", LONG))
    local stream, why = b:starttls(client_options {name = "localhost"})
    assert.is_nil(stream)
    assert.matches("^TLS: ", why)
  end)

  it("agrees on a version, or not", function()
    local a = pair({max = "1.2"})
    assert.equal("TLSv1.2", a:tls().version)
    local s, c = both({min = "1.3"}, {max = "1.2"})
    assert.is_nil(s[1])
    assert.is_nil(c[1])
    assert.matches("^TLS: .*version", c[2])
    local b = pair({max = "1.2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"})
    assert.equal("ECDHE-ECDSA-AES128-GCM-SHA256", b:tls().cipher)
    -- Names of both versions in one list.
    local list = "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_128_GCM_SHA256"
    b = pair({max = "1.2", ciphers = list})
    assert.equal("ECDHE-ECDSA-AES256-GCM-SHA384", b:tls().cipher)
    b = pair({ciphers = list})
    assert.equal("TLS_AES_128_GCM_SHA256", b:tls().cipher)
    assert.is_nil((tls.context {ciphers = "NONE:TLS_AES_128_GCM_SHA256"}))
  end)

  it("keeps its buffers if it is told to", function()
    local a, b = pair({buffers = true}, {buffers = true})
    a:write "x"
    assert.equal("x", b:read(1, LONG))
  end)

  it("lies over Unix sockets, too", function()
    local a, b = pair(nil, nil, net.pair)
    a:write "x"
    assert.equal("x", b:read(1, LONG))
  end)

  it("survives each bit that is wrong on the way", function()
    -- The bytes of a whole connection pass a relay, which spoils one of them.
    -- Where that is a length, both wait for what never comes.
    local SHORT = 0.2 * helper.slow
    local function spoiled(position, direction)
      local a1, a2 = netkit.tcp()
      local b1, b2 = netkit.tcp()
      local function relay(from, to, where)
        return casting.spawn(function()
          local at = 0
          while true do
            local bytes = from:read(nil, LONG)
            if not bytes then break end
            local k = where and where - at
            at = at + #bytes
            if k and k >= 1 and k <= #bytes then
              bytes = bytes:sub(1, k - 1) ..
                string.char((bytes:byte(k) + 128) % 256) .. bytes:sub(k + 1)
            end
            if not to:write(bytes) then break end
          end
          to:shutdown()
        end)
      end
      local relays = {relay(a2, b2, direction == 1 and position),
        relay(b2, a2, direction == 2 and position)}
      local server = casting.spawn(function()
        local ok, why = b1:starttls(server_options {server = true,
          timeout = SHORT})
        if not ok then return nil, why end
        local text
        text, why = b1:read(5, SHORT)
        b1:write(text or "none")
        b1:close()
        return text, why
      end)
      local ok = a1:starttls(client_options {name = "localhost",
        timeout = SHORT})
      local text
      if ok then
        a1:write "hello"
        text = a1:read(5, SHORT)
      end
      a1:close()
      local heard = server:await(LONG)
      for _, task in ipairs(relays) do task:await(LONG) end
      a2:close()
      b2:close()
      -- Whatever happens, nobody has read anything else.
      assert(heard == nil or heard == "hello", heard)
      assert(text == nil or text == "hello", text)
      return text ~= nil
    end
    assert.is_true(spoiled(nil, 1))
    for position = 1, 700, 37 do
      for direction = 1, 2 do spoiled(position, direction) end
    end
  end)
end)

describe("misuse of TLS", function()
  local function raises(text, f, ...)
    local ok, e = pcall(f, ...)
    assert.is_false(ok)
    assert.matches(text, tostring(e), 1, true)
  end

  it("is told", function()
    local a, b = net.pair()
    keep(a)
    keep(b)
    raises("name is missing", a.starttls, a)
    raises("name is missing", a.starttls, a, {ca = certs.make().ca.cert})
    raises("name is missing", a.starttls, a, tls.context {})
    raises("unknown option 'nonsense'", a.starttls, a, {nonsense = 1})
    raises("cert must be a string, got 1", a.starttls, a, {cert = 1})
    raises("a server needs a certificate", a.starttls, a, {server = true})
    raises('min must be "1.2" or "1.3", got "1.1"', a.starttls, a,
      {min = "1.1", name = "x"})
    raises("min must not be above max", a.starttls, a,
      {min = "1.3", max = "1.2", name = "x"})
    raises("alpn must be a list", a.starttls, a, {alpn = {}, name = "x"})
    raises("alpn must be a list", a.starttls, a, {alpn = {""}, name = "x"})
    raises('verify must be true or false, got "optional"', a.starttls, a,
      {verify = "optional", name = "x"})
    raises("tls must be true, a table or a TLS context, got 1",
      net.connect, "127.0.0.1", 1, {tls = 1})
    raises("tls must be a table or a TLS context, got true",
      net.listen, "127.0.0.1", 0, {tls = true})
    raises("a server needs a certificate", net.listen, "127.0.0.1", 0,
      {tls = {}})
    raises("a listener needs the context of a server", net.listen,
      "127.0.0.1", 0, {tls = tls.context {}})
    local of_server = assert(tls.context(server_options {server = true}))
    for _, options in ipairs {of_server, {context = of_server},
        server_options {server = true}} do
      raises("a client needs the context of a client, not of a server",
        net.connect, "127.0.0.1", 1, {tls = options})
    end
    raises("name is missing", net.connect, "unix:@none such", {tls = true})
    raises("ca must have no zero bytes", tls.context, {ca = "a\0b"})
    raises("ca is missing", tls.context,
      server_options {server = true, verify = true})
    raises("only a server has hosts", tls.context, {hosts = {}})
    raises("a context has all options but name and timeout", a.starttls, a,
      {context = tls.context {}, cert = "x"})
    raises("table expected, got nil", tls.context)
    raises("this is the context of a client", function()
      tls.context {}:reload {server = true, cert = "x"}
    end)
    assert.is_true(b:write "the stream is as it was")
    assert.equal("the", a:read(3, LONG))
  end)

  -- As of other functions: arguments are counted as the call is written.
  it("is told with the line of the program", function()
    local a, b = net.pair()
    keep(a)
    keep(b)
    local function place(f)
      local e = select(2, pcall(f))
      return (e:gsub("^.*tls_spec%.lua:%d+: ", "line: "):gsub(" %(.*", ""))
    end
    local nonsense = {nonsense = 1}
    assert.equal("line: bad argument #1 to 'context'",
      place(function() local x = tls.context(nonsense) return x end))
    assert.equal("line: bad argument #1 to 'starttls'",
      place(function() local x = a:starttls(nonsense) return x end))
    assert.equal("line: bad argument #1 to 'reload'",
      place(function() local x = tls.context {}:reload(nonsense) return x end))
    assert.equal("line: bad argument #3 to 'connect'", place(function()
      local x = net.connect("127.0.0.1", 1, {tls = nonsense})
      return x
    end))
    assert.equal("line: bad argument #2 to 'connect'", place(function()
      local x = net.connect("unix:@none such", {tls = nonsense})
      return x
    end))
    assert.equal("line: bad argument #3 to 'listen'", place(function()
      local x = net.listen("127.0.0.1", 0, {tls = nonsense})
      return x
    end))
    assert.matches("^bad argument #2 to 'starttls'",
      select(2, pcall(a.starttls, a, nonsense)))
    assert.matches("^bad argument #1 to 'context'",
      select(2, pcall(tls.context, nonsense)))
    local c = pair()
    assert.equal("line: starttls: this stream has TLS already", place(function()
      local x = c:starttls {verify = false}
      return x
    end))
  end)

  it("is told of streams that cannot have it", function()
    local a, b = pair()
    raises("this stream has TLS already",
      b.starttls, b, client_options {name = "localhost"})
    local cat = assert(process.spawn {"cat", stdin = "pipe"})
    raises("this stream is no socket",
      cat.stdin.starttls, cat.stdin, client_options {name = "localhost"})
    cat.stdin:close()
    cat:wait(LONG)
    local c, d = net.pair()
    keep(c)
    keep(d)
    local task = casting.spawn(function() return c:read(1) end)
    helper.until_waiting(task)
    raises("a task waits for this stream", c.starttls, c,
      client_options {name = "localhost"})
    d:write "x"
    assert.equal("x", task:await(LONG))
    c:close()
    assert.same({nil, "closed"},
      {c:starttls(client_options {name = "localhost"})})
    a:write "y"
    assert.equal("y", b:read(1, LONG))
  end)
end)

describe("the end", function()
  it("removes the certificates", function() certs.remove() end)
end)
