-- proxy_spec.lua - requests through proxies, and by https.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;./modules/tls/tests/?.lua;" ..
  package.path
local http = require "casting.http"
local peers = require "peers"
local Proxy = require "casting.http.proxy"
local Url = require "casting.http.url"
local answer, client, script = peers.answer, peers.client, peers.script
local pack, LONG = helper.pack, helper.LONG

after_each(peers.close)

-- -- which proxy --------------------------------------------------------------

describe("the environment", function()
  -- The proxy for a URL with these variables, and what is wrong.
  local function pick(url, variables)
    local settings = Proxy.environment(function(name)
      return variables[name]
    end)
    local proxy, problem = Proxy.pick(settings, Url.read(url))
    return proxy and proxy.origin or problem
  end

  it("names the proxies", function()
    local P = {http_proxy = "http://a:1", https_proxy = "b"}
    assert.equal("http://a:1", pick("http://x", P))
    assert.equal("http://b:80", pick("https://x", P))
    assert.is_nil(pick("http://x", {}))
    assert.is_nil(pick("http://x", {http_proxy = ""}))
    assert.equal("http://c:80", pick("https://x", {HTTPS_PROXY = "c"}))
    assert.equal("http://b:80", pick("https://x", {https_proxy = "b",
      HTTPS_PROXY = "c"}))
    -- To a CGI program this is a field of the request.
    assert.is_nil(pick("http://x", {HTTP_PROXY = "http://evil"}))
  end)

  it("may be wrong", function()
    assert.equal("http_proxy: its port must be from 1 to 65535",
      pick("http://x", {http_proxy = "a:0"}))
    assert.equal("https_proxy: its scheme must be http or https, not 'socks5'",
      pick("https://x", {https_proxy = "socks5://a"}))
    assert.is_nil(pick("https://x", {http_proxy = "a:0"}))
  end)

  it("names hosts that are asked without a proxy", function()
    local cases = {
      {"http://x", "*", true}, {"http://x.org", "x.org", true},
      {"http://a.x.org", "x.org", true}, {"http://ax.org", "x.org", false},
      {"http://x.org", ".x.org", true}, {"http://a.x.org", ".X.ORG", true},
      {"http://a.x.org", "*.x.org", true}, {"http://org", "x.org", false},
      {"http://x.org", "a,b x.org\tc", true}, {"http://x.org", "", false},
      {"http://x.org.", "x.org", true}, {"http://x.org", ",,", false},
      {"http://x.org:81", "x.org:81", true},
      {"http://x.org", "x.org:81", false},
      {"http://1.2.3.4", "1.2.3.4", true}, {"http://1.2.3.5", "1.2.3.4", false},
      {"http://1.2.3.4", "1.2.0.0/16", true},
      {"http://1.3.3.4", "1.2.0.0/16", false},
      {"http://1.2.3.4", "1.2.3.5/31", true},
      {"http://1.2.3.4", "1.2.3.2/31", false},
      {"http://1.2.3.4", "0.0.0.0/0", true},
      {"http://1.2.3.4", "1.2.3.4/33", false},
      {"http://1.2.3.4", "3.4", false}, {"http://1.2.3.4", "::/0", false},
      {"http://1.2.3.4:5", "1.2.3.4:5", true},
      {"http://[::2]", "::2", true}, {"http://[0:0::2]", "::2", true},
      {"http://[fe80::1]", "fe80::/10", true},
      {"http://[::2]:5", "[::2]:5", true}, {"http://[::2]", "[::2]:5", false},
      {"http://localhost", "", true}, {"http://127.1.2.3", "", true},
      {"http://[::1]", "", true}, {"http://a.localhost", "", true},
    }
    for i, case in ipairs(cases) do
      for _, name in ipairs {"no_proxy", "NO_PROXY"} do
        local found = pick(case[1], {http_proxy = "p", [name] = case[2]})
        assert.equal(case[3], found == nil, i)
      end
    end
  end)
end)

-- -- through a proxy ----------------------------------------------------------

describe("a proxy for http", function()
  it("is asked for whole URLs", function()
    local proxy, seen = script {answer "a", answer "b", answer "c"}
    local c = client {proxy = (proxy:gsub("//", "//u:p@"))}
    assert.equal("a", c:request("http://x.test/y?z").body)
    assert.equal("b", c:request("http://other.test:81").body)
    assert.matches("^GET http://x.test/y%?z HTTP/1.1\r\nHost: x.test\r\n",
      seen[1].head)
    assert.matches("\r\nProxy%-Authorization: Basic dTpw\r\n",
      seen[1].head .. "\r\n")
    assert.matches("^GET http://other.test:81/ HTTP/1.1\r\nHost: " ..
      "other.test:81\r\n", seen[2].head)
    -- All hosts share its connections.
    assert.equal(1, c:stats().made)
  end)

  it("is left out for some", function()
    local proxy = script {answer "by the proxy"}
    local base = script {answer "direct"}
    local c = client {proxy = {http = proxy, except = "127.0.0.0/8"}}
    assert.equal("direct", c:request(base).body)
    assert.equal("by the proxy", c:request("http://x.test").body)
    base = script {answer "direct"}
    assert.equal("direct", c:request(base, {proxy = false}).body)
  end)

  it("may not be there", function()
    assert.same({nil, "proxy: connection refused", n = 2},
      pack(http.request("http://x.test/",
        {proxy = "127.0.0.1:" .. helper.NOBODY})))
  end)

  it("is named by the environment of a program", function()
    if not helper.has_children() then return end
    local proxy = script {answer "by the proxy"}
    local path = os.tmpname()
    helper.spit(path, [[
      print(require("casting.http").request("http://x.test/").body)]])
    helper.environment = "http_proxy=" .. proxy ..
      " HTTP_PROXY=http://127.0.0.1:1"
    local command = helper.command() .. " " .. path
    helper.environment = nil
    local code, out = require("casting.process").run {"sh", "-c", command,
      timeout = LONG}
    os.remove(path)
    assert.equal("by the proxy\n", out)
    assert.equal(0, code)
  end)
end)

local ok, certs = pcall(function()
  require "casting.tls"
  return require("certs").make()
end)
if not ok then return end

-- A server with TLS: where it is, and its port.
local function secure(f)
  local _, port = peers.listen(f or function(stream)
    while true do
      local head = peers.hear(stream)
      if not head then return end
      stream:write(answer(head:match "^%S+ (%S+)"))
    end
  end, {cert = certs.server.cert, key = certs.server.key})
  return "https://localhost:" .. port, port
end

describe("https", function()
  local tls = {ca = certs.ca.cert}

  it("asks a server that is known", function()
    local base = secure()
    local c = client {tls = tls}
    assert.equal("/x", c:request(base .. "/x").body)
    assert.equal("/y", c:request(base .. "/y").body)
    assert.equal(1, c:stats().made)
    assert.equal("/z", c:request((base:gsub("localhost", "127.0.0.1")) .. "/z")
      .body)
  end)

  it("does not ask one that is not", function()
    local base, port = secure()
    local r, why = http.request(base)
    assert.is_nil(r)
    assert.matches("^TLS: certificate verify failed", why)
    r, why = http.request("https://127.0.0.2:" .. port, {tls = tls})
    assert.is_nil(r)
    assert.is_truthy(why)
    assert.equal("/", http.request(base, {tls = {verify = false}}).body)
    -- Nothing is shared with whom it was not looked at.
    r = http.request(base, {tls = tls})
    assert.equal("/", r.body)
    assert.is_nil(http.request(base))
  end)

  it("takes a context, and another name", function()
    local base = secure()
    local context = assert(require("casting.tls").context(tls))
    local c = client()
    assert.equal("/", c:request(base, {tls = context}).body)
    assert.equal("/", c:request(base, {tls = {context = context}}).body)
    local r, why = c:request(base, {tls = {context = context, name = "x.test"}})
    assert.is_nil(r)
    assert.matches("^TLS: ", why)
  end)

  it("keeps no context that the program has forgotten", function()
    local base = secure()
    local seen = setmetatable({}, {__mode = "k"})
    local function ask(wrap)
      local context = assert(require("casting.tls").context(tls))
      seen[context] = true
      local c = http.client()
      assert.equal("/", c:request(base, {tls = wrap(context)}).body)
      assert.equal("/", c:request(base, {tls = wrap(context)}).body)
      assert.equal(wrap(context) == context and 1 or 2, c:stats().made)
      c:close()
    end
    ask(function(context) return context end)
    ask(function(context) return {context = context} end)
    for _ = 1, 1000 do
      casting.yield()
      collectgarbage()
      if next(seen) == nil then break end
    end
    assert.is_nil(next(seen))
  end)

  it("names what is wrong with the option", function()
    assert.error_matches(function()
      http.request("https://localhost:1", {tls = {cx = 1}})
    end, "unknown option 'cx'")
    local r, why = http.request("https://localhost:1", {tls = {ca = "/none"}})
    assert.is_nil(r)
    assert.matches("/none", why)
  end)

  it("tells the end of an answer from that of a connection", function()
    local base = secure(function(stream, n)
      peers.hear(stream)
      stream:write "HTTP/1.1 200 OK\r\n\r\nhello"
      if n == 1 then
        stream:abort() -- not the end that TLS has
      else
        stream:shutdown()
      end
    end)
    local c = client {tls = tls}
    local r, why = c:request(base)
    assert.is_nil(r)
    assert.is_true(why == "truncated" or why == "connection reset by peer", why)
    assert.equal("hello", c:request(base).body)
  end)

  it("sends and receives much", function()
    local base = secure(function(stream)
      local head = stream:read_until("\r\n\r\n", nil, LONG)
      local n = tonumber(head:match "Content%-Length: (%d+)")
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: " .. n .. "\r\n\r\n")
      stream:copy(stream, n)
      stream:read(1, LONG)
    end)
    local body = ("0123456789abcdef"):rep(300000)
    local c = client {tls = tls}
    assert.equal(body, c:request(base, {body = body}).body)
    assert.equal(1, c:stats().idle)
  end)

  it("is told when its module is not there", function()
    local s = casting.session()
    local done, e = s:spawn(function()
      package.preload["casting.tls"] = function() error "not installed" end
      return require("casting.http").request "https://localhost:1"
    end):join(LONG)
    assert.is_false(done)
    assert.matches("https: the module casting.tls cannot be loaded: ",
      tostring(e))
    s:close()
  end)
end)

-- A proxy that connects to wherever it is asked to, and what it has heard.
local function tunnel(reply)
  local heard = {}
  local proxy = peers.listen(function(stream)
    local head = stream:read_until("\r\n\r\n", nil, LONG)
    heard[#heard + 1] = head
    stream:write(reply or "HTTP/1.1 200 Connected\r\nContent-Length: 7\r\n\r\n")
    if reply then return end
    local host, port = head:match "^CONNECT ([^: ]+):(%d+) HTTP/1.1"
    local other = assert(casting.net.connect(host, tonumber(port)))
    casting.spawn(function()
      other:copy(stream)
      stream:shutdown()
    end)
    stream:copy(other)
    other:close()
  end)
  return proxy, heard
end

describe("a proxy for https", function()
  it("connects, and no more", function()
    local base, port = secure()
    local proxy, heard = tunnel()
    local c = client {tls = {ca = certs.ca.cert},
      proxy = {https = (proxy:gsub("//", "//u:p@"))}}
    assert.equal("/x", c:request(base .. "/x",
      {headers = {Authorization = "secret"}}).body)
    assert.equal("/y", c:request(base .. "/y").body)
    assert.equal(("CONNECT localhost:%d HTTP/1.1\r\nHost: localhost:%d\r\n" ..
      "Proxy-Authorization: Basic dTpw"):format(port, port), heard[1])
    assert.equal(1, #heard)
    assert.equal(1, c:stats().made)
  end)

  it("may refuse, or be none", function()
    local base = secure()
    for reply, wanted in pairs {
      ["HTTP/1.1 407 Who are you\r\n\r\n"] = "proxy: 407 Who are you",
      ["HTTP/1.1 302 X\r\nLocation: http://evil/\r\n\r\n"] = "proxy: 302 X",
      ["nonsense\r\n\r\n"] =
        "proxy: malformed response: the first line is malformed",
      ["HTTP/1.1"] = "proxy: closed"} do
      local c = client {proxy = (tunnel(reply))}
      assert.same({nil, wanted, n = 2}, pack(c:request(base)))
      assert.same({idle = 0, busy = 0, waiting = 0, made = 1}, c:stats())
    end
  end)

  it("may not be asked for TLS itself", function()
    assert.error_matches(function()
      http.request("https://x.test", {proxy = "https://x.test"})
    end, "a proxy is spoken to by http only")
  end)

  it("removes the certificates", function() certs.remove() end)
end)
