-- mistakes_spec.lua - what programs get wrong, and what they are told.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local http = require "casting.http"
local net = require "casting.net"
local peers = require "peers"
local LONG = helper.LONG

after_each(peers.close)

-- What calling f raises.
local function raised(f, ...)
  local ok, e = pcall(f, ...)
  assert.is_false(ok)
  return e
end

-- What f, a handler, raises.
local function raised_in(f)
  local said
  local base = peers.serve(function(request, response)
    said = raised(f, response, request)
    response.status, response.headers = 200, {}
  end)
  assert(http.request(base))
  return said
end

-- All that comes back for a request of HTTP/1.1, in a connection of its own.
local function ask(handler, method)
  local _, listener = peers.serve(handler)
  local stream = peers.keep(assert(net.connect(listener:name())))
  stream:write((method or "GET") .. " / HTTP/1.1\r\nHost: x\r\n" ..
    "Connection: close\r\n\r\n")
  return (assert(stream:read("a", LONG)):gsub("Date: [^\r]*\r\n", ""))
end

describe("a table that is no list", function()
  it("is not taken for an empty body", function()
    assert.matches("#1 to 'write' %(a table without items is no list%)",
      raised_in(function(response) response:write {error = "x"} end))
    assert.matches("#1 to 'write' %(a table without items is no list%)",
      raised_in(function(response) response:write {"x", {error = "x"}} end))
    assert.matches("#1 to 'finish' %(a table without items is no list%)",
      raised_in(function(response) response:finish {error = "x"} end))
    local base = peers.serve(function(_, response)
      response:write {}
      response:write {{}, "a", {}}
    end)
    assert.equal("a", http.request(base).body)
  end)

  it("is not taken for an empty body or form of a request", function()
    local function refuses(pattern, options)
      assert.matches(pattern,
        raised(http.request, "http://127.0.0.1:1/", options))
    end
    refuses("body must be .* got a table that is none", {body = {order = 1}})
    refuses("body must be .* got a table that is none", {body = {"", {a = 1}}})
    refuses("form: 'order' is a table without items, and no list",
      {form = {order = {id = 1}}})
    refuses("'X' must be a string, .* not a table without items",
      {headers = {X = {a = 1}}})
    local base = peers.serve(function(request, response)
      response:write(request:read "a")
    end)
    assert.equal("", http.request(base, {body = {}}).body)
    assert.equal("b=1", http.request(base, {form = {a = {}, b = 1}}).body)
  end)

  it("is not taken for a field that does not come", function()
    assert.matches("'Set%-Cookie' must be a string, a number or a list of " ..
      "these, not a table without items", raised_in(function(response)
        response.headers["Set-Cookie"] = {sid = "1"}
        response:flush()
      end))
    assert.matches("^HTTP/1%.1 200 OK\r\nContent%-Length: 0\r\n",
      ask(function(_, response) response.headers["Set-Cookie"] = {} end))
  end)

  it("is not taken for an empty jar", function()
    assert.matches("#1 to 'jar' %(list of cookies expected, got a table " ..
      "without items", raised(http.jar, {session = "abc"}))
    assert.same({}, http.jar({}):list())
  end)
end)

describe("http.serve", function()
  local function nop() end

  it("names what else its first argument may not have", function()
    local function refuses(pattern, where)
      assert.matches("bad argument #1 to 'serve' %(" .. pattern,
        raised(http.serve, where, nop))
    end
    refuses("listener or {host, port} expected, got a table with the " ..
      "unknown field 'tsl'", {"127.0.0.1", 0, tsl = {}})
    refuses(".*unknown field 'port'", {port = 8080})
    refuses("{host, port}: string expected, got nil", {})
    refuses("{host, port}: number expected, got string", {"127.0.0.1", "80"})
    local a, b = net.pair()
    peers.keep(a)
    peers.keep(b)
    refuses("listener or {host, port} expected, got stream", a)
    refuses(".*got udp", peers.keep(assert(net.udp("127.0.0.1", 0))))
    refuses(".*got file", io.stdout)
    refuses(".*got nil", nil)
  end)

  it("tells a log that cannot be sent from its handler", function()
    local listener = peers.keep(assert(net.listen("127.0.0.1", 0)))
    local stream = net.pair()
    peers.keep(stream)
    local function say() return stream end
    assert.matches("bad argument #3 to 'serve' %(log: cannot send",
      raised(http.serve, listener, nop, {sessions = 2, log = say}))
    assert.matches("bad argument #2 to 'serve' %(cannot send",
      raised(http.serve, listener, say, {sessions = 2}))
  end)
end)

describe("a response", function()
  it("with 205 has no content, and says so", function()
    local bare = "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n" ..
      "Connection: close\r\n\r\n"
    assert.equal(bare, ask(function(_, response)
      response.status = 205
      response:write "ab"
    end))
    assert.equal(bare, ask(function(_, response)
      response.status = 205
      response.headers["content-length"] = 2
      response:flush()
      response:write "ab"
    end))
    assert.equal(bare, ask(function(_, response) response.status = 205 end,
      "HEAD"))
  end)

  it("says what is wrong with its status and headers", function()
    assert.matches("^status must be .* got the string 404", raised_in(
      function(response)
        response.status = "404"
        response:finish "x"
      end))
    for _, name in ipairs {"finish", "flush"} do
      assert.matches("^headers must be a table, got string", raised_in(
        function(response)
          response.headers = "x"
          response[name](response)
        end))
    end
  end)
end)

describe("the report of a failure", function()
  after_each(function() casting.on_error(nil) end)

  -- What is reported when a handler raises `e` for that target.
  local function reported(target, e)
    local failures = casting.channel(math.huge)
    casting.on_error(failures)
    local base = peers.serve(function() error(e) end)
    assert.equal(500, http.request(base .. target, {method = "PUT"}).status)
    return assert(failures:receive(LONG)).error
  end

  it("says what was asked, behind the error and without the query", function()
    local e = reported("/a%0Ab?key=secret", "boom")
    assert.matches("^[^\n]*boom\nin the answer to PUT /a%%0Ab\n" ..
      "stack traceback:\n", e)
    assert.is_nil(e:find("secret", 1, true))
    assert.matches("to PUT /x+\n", reported("/" .. ("x"):rep(5000), "boom"))
  end)

  it("leaves errors that are no texts", function()
    assert.equal(7, reported("/", {code = 7}).code)
  end)
end)

describe("a call", function()
  it("shows the number that cannot be read", function()
    for _, n in ipairs {-1, -1.5} do
      assert.matches("number of bytes or \"a\" expected, got %" .. n,
        raised_in(function(_, request) request:read(n) end))
    end
  end)

  it("says that read needs its request", function()
    assert.matches("'read' needs its request: call it with a colon",
      raised_in(function(_, request) request.read() end))
    assert.matches("'read' needs its request: call it with a colon",
      raised_in(function(_, request) request.read "a" end))
  end)

  it("says that a client is no URL", function()
    assert.matches("#1 to 'request' %(a URL is expected, got a client: call " ..
      "client:request%)", raised(http.request, peers.client(), "http://x/"))
  end)

  it("names the function", function()
    assert.matches("bad argument #1 to 'encode' %(string expected, got nil",
      raised(http.encode))
    assert.matches("bad argument #1 to 'date' %(number expected, got string",
      raised(http.date, "now"))
    assert.matches("bad argument #1 to 'date' %(a time in the years",
      raised(http.date, math.huge))
    assert.is_string(http.date())
  end)
end)
