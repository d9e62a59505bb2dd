-- redirect_spec.lua - redirects of the client.
-- SPDX-License-Identifier: MIT

local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local http = require "casting.http"
local peers = require "peers"
local answer, client, script = peers.answer, peers.client, peers.script

after_each(peers.close)

local function to(where, status, body)
  return answer(body or "", "Location: " .. where .. "\r\n", status or "302 X")
end

local function line(request) return request.head:match "^[^\r]*" end

describe("a redirect", function()
  it("is followed, on the same connection", function()
    local base, seen = script {to "/b?c", to("d", nil, "some text"),
      answer "here"}
    local c = client()
    local r = c:request(base .. "/a/x")
    assert.equal("here", r.body)
    assert.equal(base .. "/d", r.url)
    assert.equal("GET /b?c HTTP/1.1", line(seen[2]))
    assert.equal(1, c:stats().made)
  end)

  -- What becomes of a POST and its body.
  for status, wanted in pairs {[301] = "GET", [302] = "GET", [303] = "GET",
    [307] = "POST", [308] = "POST"} do
    it(("%d of a POST is a %s"):format(status, wanted), function()
      local base, seen = script {to("/b", status .. " X"), answer "here"}
      assert(client():request(base, {body = "text",
        headers = {["Content-Type"] = "text/x", ["X-Own"] = "y"}}))
      assert.equal(wanted .. " /b HTTP/1.1", line(seen[2]))
      assert.equal(wanted == "POST" and "text" or "", seen[2].body)
      assert.equal(wanted == "POST",
        seen[2].head:find("text/x", 1, true) ~= nil)
      assert.is_truthy(seen[2].head:find("X-Own: y", 1, true))
    end)
  end

  it("of another method keeps it, but for 303", function()
    for status, wanted in pairs {[301] = "PUT", [302] = "PUT", [303] = "GET",
      [307] = "PUT"} do
      local base, seen = script {to("/b", status .. " X"), answer "here"}
      assert(client():request(base, {method = "PUT", body = "text"}))
      assert.equal(wanted .. " /b HTTP/1.1", line(seen[2]))
    end
    local base, seen = script {to("/b", "303 X"),
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"}
    assert(client():request(base, {method = "HEAD"}))
    assert.equal("HEAD /b HTTP/1.1", line(seen[2]))
  end)

  it("is the answer if the body cannot be sent again", function()
    local base = script {to("/b", "307 X")}
    local n = 0
    local r = client():request(base, {body = function()
      n = n + 1
      return n == 1 and "x" or nil
    end})
    assert.equal(307, r.status)
    assert.equal("/b", r.headers.location)
  end)

  it("is the answer without a place, and if none is to be followed", function()
    local base, seen = script {answer("x", nil, "302 X"), to "/b", to "/b",
      answer("y", "Location: /b\r\n", "300 X"),
      answer("z", "Location: /b\r\n", "201 X")}
    local c = client()
    assert.equal(302, c:request(base).status)
    assert.equal(302, c:request(base, {redirects = 0}).status)
    assert.equal(302, c:request(base, {redirects = false}).status)
    assert.equal(300, c:request(base).status)
    assert.equal(201, c:request(base).status)
    assert.equal(5, #seen)
  end)

  it("must not come too often", function()
    local many = {}
    for i = 1, 20 do many[i] = to "/again" end
    local base, seen = script(many)
    local r, why = client():request(base)
    assert.is_nil(r)
    assert.equal("too many redirects", why)
    assert.equal(11, #seen)
    base, seen = script(many)
    r, why = client():request(base, {redirects = 2})
    assert.is_nil(r)
    assert.equal("too many redirects", why)
    assert.equal(3, #seen)
  end)

  it("must lead somewhere", function()
    for where, wanted in pairs {
      ["ftp://x/"] = "its scheme must be http or https, not 'ftp'",
      ["http://a b/"] = "its host is malformed",
      ["http://a@b@c/"] = "its host is malformed",
      ["/%zz"] = "a percent sign in it must have two hexadecimal digits " ..
        "behind it"} do
      local base = script {to(where)}
      local r, why = client():request(base)
      assert.is_nil(r)
      assert.equal("malformed response: Location: " .. wanted, why)
    end
  end)

  it("to another server has nothing that was for the first one", function()
    local other, seen = script {answer "there", "hold"}
    local base, first = script {to "/same", to(other .. "/x"), "hold"}
    local url = base:gsub("//", "//u:p@")
    assert(client():request(url, {headers = {Cookie = "a=b", Host = "me",
      ["Proxy-Authorization"] = "x", ["X-Own"] = "y"}}))
    for i = 1, 2 do
      local head = first[i].head
      assert.is_truthy(head:find("Authorization: Basic dTpw", 1, true))
      assert.is_truthy(head:find("Cookie: a=b", 1, true))
      assert.is_truthy(head:find("Host: me", 1, true))
    end
    local head = seen[1].head
    for _, word in ipairs {"Authorization", "Cookie", "Host: me"} do
      assert.is_nil(head:find(word, 1, true), word)
    end
    assert.is_truthy(head:find("X-Own: y", 1, true))
  end)

  it("that leads back does not bring them back", function()
    local _, seen, port = script {answer "x", "hold"}
    local other = script {to(("http://127.0.0.1:%d/back"):format(port)), "hold"}
    local first = script {to(other), "hold"}
    assert.equal("x", http.request(first, {auth = {"a", "b"}}).body)
    assert.is_nil(seen[1].head:find("Authorization", 1, true))
  end)

  it("may bring a user of its own", function()
    local other, seen = script {answer "there", "hold"}
    local base = script {to((other:gsub("//", "//x:y@"))), "hold"}
    assert(client():request(base))
    assert.is_truthy(seen[1].head:find("Authorization: Basic eDp5", 1, true))
  end)

  it("with a long body costs the connection", function()
    local base = script({to("/b", nil, ("x"):rep(3000000))}, {answer "here"})
    local c = client()
    assert.equal("here", c:request(base).body)
    assert.equal(2, c:stats().made)
  end)
end)
