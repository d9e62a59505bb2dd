-- tls_peers_spec.lua - TLS with other programs at the other end.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/tls/tests/?.lua;" .. package.path
local kit = require "tlskit"
local peers = require "peers"
local certs = require "certs"
local net = require "casting.net"
local tls = require "casting.tls"
local LONG = helper.LONG

if not helper.has_children() then
  describe("TLS with other programs", function()
    pending "no other program can be started here"
  end)
  return
end

local c = certs.make()
after_each(kit.close_all)

-- Serves s_client: each line comes back in upper case. `why` is what a read of
-- the server has ended with.
local function serve(options)
  local why = casting.channel(10)
  local port = kit.serve(kit.server_options(options), function(stream)
    local _, e
    while true do
      local line
      line, e = stream:read("L", LONG)
      if not line then break end
      _, e = stream:write(line:upper())
      if e then break end
    end
    why:send(e)
  end)
  return port, why
end

-- -- our server ---------------------------------------------------------------

local OLD = "DEFAULT@SECLEVEL=0"
local HOSTS = {
  ["other.test"] = {cert = c.other.cert, key = c.other.key},
  ["*.wild.test"] = {cert = c.other.cert, key = c.other.key}}
local CLIENTS = {verify = true, ca = c.ca.cert}
local OWN = {"-cert", c.client.cert, "-key", c.client.key}
local STRANGE = {"-cert", c.unknown.cert, "-key", c.unknown.key}
local EXPIRED = {"-cert", c.expired.cert, "-key", c.expired.key}

local function with(first, ...)
  local list = {...}
  for _, word in ipairs(first) do list[#list + 1] = word end
  return list
end

-- {what it is, options of the server, of s_client, is it served?, patterns of
-- what s_client says}
local rows = {
  {"TLS 1.3", {}, {}, true, "TLSv1%.3", "Verify return code: 0 %(ok%)",
    "Compression: NONE"},
  {"TLS 1.2", {}, {"-tls1_2"}, true, "TLSv1%.2", "Extended master secret: yes",
    "Secure Renegotiation IS supported", "Compression: NONE"},
  {"TLS 1.1", {}, {"-tls1_1", "-cipher", OLD}, false,
    "alert protocol version"},
  {"TLS 1.0", {}, {"-tls1", "-cipher", OLD}, false, "alert protocol version"},
  {"TLS 1.2 where 1.3 is the least", {min = "1.3"}, {"-tls1_2"}, false,
    "alert protocol version"},
  {"TLS 1.3 where 1.2 is the most", {max = "1.2"}, {"-tls1_3"}, false,
    "alert protocol version"},
  {"both where 1.2 is the most", {max = "1.2"}, {}, true, "TLSv1%.2"},
  {"a downgrade (RFC 7507)", {}, {"-tls1_2", "-fallback_scsv"}, false,
    "inappropriate fallback"},
  {"no downgrade", {max = "1.2"}, {"-tls1_2", "-fallback_scsv"}, true},
  {"a cipher of TLS 1.2", {}, {"-tls1_2", "-cipher",
    "ECDHE-ECDSA-AES128-GCM-SHA256"}, true,
    "Cipher is ECDHE%-ECDSA%-AES128%-GCM%-SHA256"},
  {"a cipher of TLS 1.3", {}, {"-ciphersuites",
    "TLS_CHACHA20_POLY1305_SHA256"}, true, "TLS_CHACHA20_POLY1305_SHA256"},
  {"the server's choice of ciphers", {max = "1.2"}, {"-cipher",
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"}, true,
    "ECDHE%-ECDSA%-AES256%-GCM%-SHA384"},
  {"a client without AES", {}, {"-ciphersuites",
    "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"}, true,
    "TLS_CHACHA20_POLY1305_SHA256"},
  {"ciphers that are not allowed", {
    ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384", max = "1.2"},
    {"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"}, false,
    "handshake failure"},
  {"no encryption", {}, {"-tls1_2", "-cipher", "eNULL@SECLEVEL=0"}, false,
    "handshake failure"},
  {"no certificates", {}, {"-tls1_2", "-cipher", "aNULL@SECLEVEL=0"}, false,
    "handshake failure"},
  {"keys without secrecy later", {}, {"-tls1_2", "-cipher",
    "kRSA@SECLEVEL=0"}, false, "handshake failure"},
  {"another curve", {}, {"-tls1_3", "-groups", "P-521"}, true, "secp521r1"},
  {"a signature of SHA-1", {}, {"-tls1_2", "-sigalgs", "ECDSA+SHA1",
    "-cipher", OLD}, false, "handshake failure"},
  {"a protocol", {alpn = {"h2", "http/1.1"}}, {"-alpn", "x,http/1.1"}, true,
    "ALPN protocol: http/1%.1"},
  {"another protocol", {alpn = {"h2"}}, {"-alpn", "http/1.1"}, false,
    "no application protocol"},
  {"no protocol", {alpn = {"h2"}}, {}, true, "No ALPN negotiated"},
  {"a name", {hosts = HOSTS}, {"-servername", "other.test"}, true,
    "subject=CN = other"},
  {"a name in upper case", {hosts = HOSTS}, {"-servername", "OTHER.test"},
    true, "subject=CN = other"},
  {"a name below a domain", {hosts = HOSTS}, {"-servername", "a.wild.test"},
    true, "subject=CN = other"},
  {"a name that nobody has", {hosts = HOSTS}, {"-servername", "none.test"},
    true, "subject=CN = localhost"},
  {"no name", {hosts = HOSTS}, {"-noservername"}, true,
    "subject=CN = localhost"},
  {"a client's certificate", CLIENTS, OWN, true,
    "Acceptable client certificate CA names\nCN = test authority"},
  {"a client's certificate, TLS 1.2", CLIENTS, with(OWN, "-tls1_2"), true},
  {"no certificate of a client", CLIENTS, {}, false,
    "alert certificate required"},
  {"no certificate of a client, TLS 1.2", CLIENTS, {"-tls1_2"}, false,
    "alert handshake failure"},
  {"a stranger's certificate", CLIENTS, STRANGE, false, "alert unknown ca"},
  {"a stranger's certificate, TLS 1.2", CLIENTS, with(STRANGE, "-tls1_2"),
    false, "alert unknown ca"},
  {"an expired certificate", CLIENTS, EXPIRED, false,
    "alert certificate expired"},
  {"a certificate that need not be there", {verify = "optional",
    ca = c.ca.cert}, {}, true},
  {"a stranger's, which need not be there", {verify = "optional",
    ca = c.ca.cert}, STRANGE, false, "alert unknown ca"},
  {"small records", {}, {"-maxfraglen", "512"}, true},
  {"records of one byte", {}, {"-max_send_frag", "512", "-split_send_frag",
    "1"}, true},
}

describe("a server", function()
  for _, row in ipairs(rows) do
    it((row[4] and "serves " or "refuses ") .. row[1], function()
      local port = serve(row[2])
      local said, heard = peers.s_client(port, row[3])
      for i = 5, #row do assert.matches(row[i], said) end
      assert.equal(row[4], heard)
      -- Others are served whatever has become of that one.
      if not row[2].verify then
        local max = row[2].min and "1.3" or "1.2"
        local stream = assert(kit.connect(port,
          kit.client_options {max = row[3][1] and max or nil}))
        stream:write "a\n"
        assert.equal("A", stream:read("l", LONG))
      end
    end)
  end

  it("refuses to negotiate again", function()
    local port, why = serve()
    local said, heard = peers.s_client(port, {"-tls1_2"},
      {{"R", "no renegotiation"}})
    assert.is_true(heard)
    assert.matches("RENEGOTIATING", said)
    assert.matches("no renegotiation", said)
    assert.matches("^TLS: .*alert handshake failure$", (why:receive(LONG)))
  end)

  it("gets and gives new keys", function()
    local port, why = serve()
    local said = peers.s_client(port, {"-tls1_3"},
      {{"K", "KEYUPDATE"}, {"one", "ONE\n"}, {"k", "KEYUPDATE"},
        {"two", "TWO\n"}, {"K", "KEYUPDATE"}, {"three", "THREE\n"}})
    assert.matches("THREE\n", said)
    assert.equal("closed", (why:receive(LONG)))
  end)

  it("keeps nothing but in tickets", function()
    local file = os.tmpname()
    for _, version in ipairs {"-tls1_2", "-tls1_3"} do
      local port = serve()
      local said = peers.s_client(port, {version, "-sess_out", file})
      assert.matches("New, TLSv", said)
      said = peers.s_client(port, {version, "-sess_in", file})
      assert.matches("Reused, TLSv", said)
      -- A ticket of another server is none.
      said = peers.s_client((serve()), {version, "-sess_in", file})
      assert.matches("New, TLSv", said)
    end
    local port = serve()
    for _, option in ipairs {"-sess_out", "-sess_in"} do
      local said = peers.s_client(port, {"-tls1_2", "-no_ticket", option,
        file})
      assert.matches("New, TLSv", said)
    end
    os.remove(file)
  end)

  it("tells an end that was cut off", function()
    local port, why = serve()
    local p = assert(casting.process.spawn {"openssl", "s_client", "-connect",
      "127.0.0.1:" .. port, "-quiet", stdin = "pipe", stdout = "pipe",
      stderr = "null"})
    p.stdin:write "hello\n"
    assert.equal("HELLO", p.stdout:read("l", LONG))
    p:kill "KILL"
    p:wait(LONG)
    local e = why:receive(LONG)
    assert.is_true(e == "truncated" or e == "closed", e)
  end)
end)

-- -- our client ---------------------------------------------------------------

-- {what it is, options of s_server, of the client, what the client says, a
-- pattern; nil: it is served}
local servers = {
  {"TLS 1.3", {}, {}},
  {"TLS 1.2", {"-tls1_2"}, {}},
  {"TLS 1.1", {"-tls1_1", "-cipher", OLD}, {}, "^TLS: .*protocol"},
  {"TLS 1.0", {"-tls1", "-cipher", OLD}, {}, "^TLS: .*protocol"},
  {"no encryption", {"-tls1_2", "-cipher", "eNULL@SECLEVEL=0"}, {},
    "^TLS: .*handshake failure$"},
  {"no certificate", {"-tls1_2", "-nocert", "-cipher", "aNULL@SECLEVEL=0"}, {},
    "^TLS: .*handshake failure$"},
  {"an expired certificate", {"-cert", c.expired.cert, "-key", c.expired.key},
    {}, "^TLS: certificate verify failed: certificate has expired$"},
  {"a stranger's certificate", {"-cert", c.unknown.cert, "-key",
    c.unknown.key}, {}, "unable to get local issuer certificate$"},
  {"a certificate that signs itself", {"-cert", c.stranger.cert, "-key",
    c.stranger.key}, {}, "self%-signed certificate$"},
  {"another name", {"-cert", c.other.cert, "-key", c.other.key}, {},
    "hostname mismatch$"},
  {"a client's certificate for a server", {"-cert", c.client.cert, "-key",
    c.client.key}, {}, "hostname mismatch$"},
  {"all of these, unseen", {"-cert", c.expired.cert, "-key", c.expired.key},
    {verify = false, name = "x.test"}},
  {"a wish for a certificate", {"-verify", "1"}, {}},
  {"a need of a certificate", {"-Verify", "1", "-tls1_2"}, {},
    "alert handshake failure$"},
  {"a protocol", {"-alpn", "a,b"}, {alpn = {"b"}}},
  {"another protocol", {"-alpn", "a"}, {alpn = {"b"}},
    "no application protocol$"},
  {"a new hello", {"-groups", "P-384"}, {}},
  {"a certificate of the name", {"-servername", "other.test", "-cert2",
    c.other.cert, "-key2", c.other.key}, {name = "other.test"}},
}

describe("a client", function()
  for _, row in ipairs(servers) do
    it((row[4] and "refuses " or "takes ") .. row[1], function()
      local args = {"-rev"}
      for _, word in ipairs(row[2]) do args[#args + 1] = word end
      local port = peers.s_server(args)
      local stream, why = kit.connect(port, kit.client_options(row[3]))
      if not row[4] then
        assert(stream, why)
        stream:write "hello\n"
        assert.equal("olleh", stream:read("l", LONG))
        return
      end
      assert.is_nil(stream)
      assert.matches(row[4], why)
    end)
  end

  it("learns late that it needs a certificate", function()
    local port = peers.s_server {"-rev", "-Verify", "1"}
    local stream = assert(kit.connect(port))
    local line, why = stream:read("l", LONG)
    assert.is_nil(line)
    assert.equal("TLS: tlsv13 alert certificate required", why)
    stream = assert(kit.connect(port, kit.client_options {
      cert = c.client.cert, key = c.client.key}))
    stream:write "hello\n"
    assert.equal("olleh", stream:read("l", LONG))
  end)

  -- {what it is, options, is it resumed?}
  for _, row in ipairs {
    {"by a ticket", {"-tls1_3"}, true},
    {"by a ticket of TLS 1.2", {"-tls1_2"}, true},
    {"by a number", {"-tls1_2", "-no_ticket"}, true},
    {"by a ticket that is a number", {"-tls1_3", "-no_ticket"}, true},
    {"by nothing", {"-tls1_2", "-no_ticket", "-no_cache"}, false}} do
    it("resumes " .. row[1], function()
      local args = {"-rev"}
      for _, word in ipairs(row[2]) do args[#args + 1] = word end
      local port = peers.s_server(args)
      local context = tls.context(kit.client_options())
      for i = 1, 3 do
        local stream = assert(kit.connect(port, context))
        stream:write "hello\n"
        assert.equal("olleh", stream:read("l", LONG))
        assert.equal(i > 1 and row[3], stream:tls().resumed)
        stream:close()
      end
    end)
  end

  it("does not negotiate again, and gets new keys", function()
    for _, row in ipairs {{"-tls1_2", "r"}, {"-tls1_3", "k"},
      {"-tls1_3", "K"}} do
      local port, p = peers.s_server {row[1]}
      local stream = assert(kit.connect(port))
      p.stdin:write "one\n"
      assert.equal("one", stream:read("l", LONG))
      p.stdin:write(row[2] .. "\n")
      if row[2] == "r" then
        local line, why = stream:read("l", LONG)
        assert.is_nil(line)
        assert.matches("^TLS: ", why)
      else
        -- It takes what it reads at once for one command.
        local line
        repeat
          p.stdin:write "two\n"
          line = stream:read("l", 0.1)
        until line
        assert.equal("two", line)
        stream:write "three\n"
        assert(p.stdout:read_until("three\n", 100000, LONG))
      end
      stream:close()
      p.stdin:close()
    end
  end)

  it("is told of a server that is killed", function()
    local port, p = peers.s_server {}
    local stream = assert(kit.connect(port))
    p.stdin:write "one\n"
    assert.equal("one", stream:read("l", LONG))
    p:kill "KILL"
    p:wait(LONG)
    local bytes, why = stream:read(1, LONG)
    assert.is_nil(bytes)
    assert.is_true(why == "truncated" or why == "closed", why)
  end)
end)

-- -- nginx --------------------------------------------------------------------

local function get(stream, path, version)
  stream:write(("GET %s HTTP/1.%d\r\nHost: localhost\r\n\r\n"):format(path,
    version or 0))
  return assert(stream:read("a", LONG))
end

local function with_nginx(server)
  local port, why = peers.nginx(server)
  if not port then pending("no nginx: " .. why) end
  return port
end

describe("nginx", function()
  local IDENTITY = ([[
    listen 127.0.0.1:PORT ssl;
    ssl_certificate %s;
    ssl_certificate_key %s;
  ]]):format(c.server.cert, c.server.key)

  it("serves our client", function()
    local port = with_nginx(IDENTITY .. [[
      ssl_protocols TLSv1.2 TLSv1.3;
      location / { return 200 "fine\n"; }
    ]])
    for _, version in ipairs {"1.2", "1.3"} do
      local context = tls.context(kit.client_options {max = version,
        alpn = {"http/1.1"}})
      for i = 1, 3 do
        local stream = assert(kit.connect(port, context))
        assert.matches("fine\n$", get(stream, "/"))
        stream:close()
        stream = assert(kit.connect(port, context))
        assert.matches("TLSv" .. version, stream:tls().version)
        assert.equal("http/1.1", stream:tls().alpn)
        assert.is_true(i == 1 or stream:tls().resumed)
        stream:close()
      end
    end
  end)

  it("wants our certificate", function()
    local port = with_nginx(IDENTITY .. ([[
      ssl_client_certificate %s;
      ssl_verify_client on;
      location / { return 200 "$ssl_client_s_dn\n"; }
    ]]):format(c.ca.cert))
    local stream = assert(kit.connect(port, kit.client_options {
      cert = c.client.cert, key = c.client.key}))
    assert.matches("CN=a client\n$", get(stream, "/"))
    stream = assert(kit.connect(port))
    assert.matches("400 No required SSL certificate was sent", get(stream, "/"))
  end)

  it("is a client of our server", function()
    local big = ("0123456789"):rep(100000)
    local resumed = casting.channel(100)
    local inner = kit.serve(kit.server_options(), function(stream)
      stream:read_until("\r\n\r\n", 10000, LONG)
      resumed:send(stream:tls().resumed)
      stream:write {"HTTP/1.0 200 OK\r\n\r\n", big}
    end)
    local port = with_nginx(([[
      listen 127.0.0.1:PORT;
      location / {
        proxy_pass https://127.0.0.1:%d;
        proxy_ssl_verify on;
        proxy_ssl_name localhost;
        proxy_ssl_server_name on;
        proxy_ssl_trusted_certificate %s;
      }
    ]]):format(inner, c.ca.cert))
    for i = 1, 3 do
      local stream = kit.keep(assert(net.connect("127.0.0.1", port)))
      local text = get(stream, "/")
      assert.is_true(text:sub(-#big) == big)
      assert.equal(i > 1, (resumed:receive(LONG)))
    end
  end)
end)

describe("the end", function()
  it("removes the certificates", function() certs.remove() end)
end)
