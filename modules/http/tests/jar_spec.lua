-- jar_spec.lua - cookies: which are kept, and where they go.
-- SPDX-License-Identifier: MIT

local casting = require "casting"
local helper = require "helper"
local _ENV = helper.globals(_ENV) -- luacheck: ignore
package.path = "./modules/http/tests/?.lua;" .. package.path
local http = require "casting.http"
local Jar = require "casting.http.jar"
local peers = require "peers"
local answer, client, script = peers.answer, peers.client, peers.script

after_each(peers.close)

-- What of cookies set at the first URL goes to the second one.
local function at(where, text, to)
  local jar = http.jar()
  for _, one in ipairs(type(text) == "table" and text or {text}) do
    jar:set(one, where)
  end
  return jar:get(to or where)
end

local A = "http://www.example.org/a/b"

describe("a cookie", function()
  it("has a name and a value", function()
    assert.equal("a=b", at(A, "a=b"))
    assert.equal("a=b", at(A, " a\t= b ; Path=/"))
    assert.equal('a="b c"', at(A, 'a="b c"'))
    assert.equal("a=b=c", at(A, "a=b=c"))
    assert.equal("a=", at(A, "a="))
    assert.equal("a=\195\164", at(A, "a=\195\164"))
    for _, none in ipairs {"", "a", "=b", ";", "; a=b", "a=b\0c", "a=b\r\nc",
      "a\1=b", "a=" .. ("x"):rep(4096)} do
      assert.is_nil(at(A, none))
    end
  end)

  it("goes to its host", function()
    local set = {"a=b; Path=/"}
    assert.equal("a=b", at(A, set, "http://WWW.example.org:8080/x"))
    assert.equal("a=b", at(A, set, "https://www.example.org/"))
    assert.is_nil(at(A, set, "http://example.org/"))
    assert.is_nil(at(A, set, "http://x.www.example.org/"))
  end)

  it("goes to the hosts of its domain", function()
    for _, domain in ipairs {"example.org", ".example.org", "EXAMPLE.org"} do
      local set = {"a=b; Path=/; Domain=" .. domain}
      for _, host in ipairs {"example.org", "www.example.org", "x.example.org",
        "x.www.example.org"} do
        assert.equal("a=b", at(A, set, "http://" .. host))
      end
      for _, host in ipairs {"badexample.org", "org", "example.org.evil.net",
        "other.org"} do
        assert.is_nil(at(A, set, "http://" .. host))
      end
    end
    local set = {"a=b; Path=/; Domain=www.example.org"}
    assert.equal("a=b", at(A, set, "http://x.www.example.org"))
    assert.is_nil(at(A, set, "http://example.org"))
  end)

  it("cannot be set for others", function()
    for _, domain in ipairs {"org", "x.www.example.org", "other.org",
      "ww.example.org", "ample.org", "example.org.", "..org", "0.0.1"} do
      assert.is_nil(at(A, "a=b; Path=/; Domain=" .. domain))
    end
    -- An empty domain says nothing.
    assert.equal("a=b", at(A, "a=b; Domain="))
    assert.equal("a=b", at(A, "a=b; Domain=."))
  end)

  it("of an address, or of a host with one label, is that host's", function()
    for host, parent in pairs {["127.0.0.1"] = "0.0.1", localhost = "",
      ["[::1]"] = "1"} do
      local url = "http://" .. host .. "/"
      local name = host:gsub("[%[%]]", "")
      assert.equal("a=b", at(url, "a=b"))
      assert.equal("a=b", at(url, "a=b; Domain=" .. name))
      assert.is_nil(at(url, "a=b; Domain=" .. name, "http://x." .. name:gsub(
        ":", "-") .. "x/"))
      if parent ~= "" then
        assert.is_nil(at(url, "a=b; Domain=" .. parent))
      end
    end
    assert.is_nil(at("http://x.localhost/", "a=b; Domain=localhost"))
    assert.is_nil(at("http://localhost/", "a=b; Domain=localhost",
      "http://x.localhost/"))
    assert.is_nil(at("http://10.0.0.1/", "a=b; Domain=0.0.1",
      "http://11.0.0.1/"))
  end)

  it("has a path", function()
    assert.equal("a=b", at(A, "a=b", "http://www.example.org/a/x"))
    assert.equal("a=b", at(A, "a=b", "http://www.example.org/a"))
    assert.is_nil(at(A, "a=b", "http://www.example.org/ab"))
    assert.is_nil(at(A, "a=b", "http://www.example.org/"))
    assert.equal("a=b", at(A, "a=b; Path=/x", "http://www.example.org/x/y"))
    assert.equal("a=b", at(A, "a=b; Path=/x/", "http://www.example.org/x/"))
    assert.is_nil(at(A, "a=b; Path=/x/", "http://www.example.org/x"))
    assert.equal("a=b", at(A, "a=b; Path=x", "http://www.example.org/a/"))
    assert.equal("a=b", at("http://www.example.org", "a=b",
      "http://www.example.org/x?y"))
    assert.equal("a=b", at("http://www.example.org/x?/y/z", "a=b",
      "http://www.example.org/"))
  end)

  it("that is secure goes by https only, and comes by it", function()
    local S = "https://www.example.org/a/b"
    assert.equal("a=b", at(S, "a=b; Secure"))
    assert.is_nil(at(S, "a=b; secure", A))
    assert.is_nil(at(A, "a=b; Secure", S))
    -- By http it cannot be put aside.
    local jar = http.jar()
    jar:set("a=b; Secure; Domain=example.org; Path=/", S)
    assert.is_false(jar:set("a=c; Path=/", A))
    assert.is_false(jar:set("a=c; Path=/a", A))
    assert.is_false(jar:set("a=c; Domain=example.org; Path=/", A))
    assert.is_false(jar:set("a=c; Max-Age=0; Domain=example.org; Path=/", A))
    assert.is_true(jar:set("d=c; Path=/", A))
    assert.equal("a=b; d=c", jar:get(S))
    assert.is_true(jar:set("a=c; Secure; Domain=example.org; Path=/", S))
    assert.equal("a=c; d=c", jar:get(S))
  end)

  it("may promise something by its name", function()
    local S = "https://www.example.org/"
    assert.equal("__Secure-a=b", at(S, "__Secure-a=b; Secure"))
    assert.is_nil(at(S, "__Secure-a=b"))
    assert.equal("__Host-a=b", at(S, "__Host-a=b; Secure; Path=/"))
    assert.is_nil(at(S, "__Host-a=b; Path=/"))
    assert.is_nil(at(S, "__Host-a=b; Secure; Path=/a", S .. "a"))
    assert.is_nil(at(S, "__host-a=b; Secure; Path=/; Domain=example.org"))
    assert.is_nil(at(S, "__Host-a=b; Secure; Path=/; Domain=www.example.org"))
  end)

  it("expires", function()
    assert.equal("a=b", at(A, "a=b; Max-Age=100"))
    assert.is_nil(at(A, "a=b; Max-Age=0"))
    assert.is_nil(at(A, "a=b; Max-Age=-1"))
    assert.equal("a=b", at(A, "a=b; Max-Age=x"))
    assert.equal("a=b", at(A, "a=b; Expires=Wed, 01 Jan 2200 00:00:00 GMT"))
    assert.is_nil(at(A, "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT"))
    assert.equal("a=b", at(A, "a=b; Expires=some day"))
    -- Max-Age counts, in whatever order.
    assert.equal("a=b", at(A, "a=b; Max-Age=9; Expires=Thu, 01-Jan-70 1:1:1"))
    assert.equal("a=b", at(A, "a=b; Expires=Thu, 01-Jan-70 1:1:1; Max-Age=9"))
    assert.is_nil(at(A, {"a=b", "a=c; Max-Age=0"}))
    local far = http.jar()
    far:set("a=b; Max-Age=" .. ("9"):rep(400), A)
    far:set("b=c; Max-Age=-" .. ("9"):rep(400), A)
    assert.equal("a=b", far:get(A))
    assert.equal("9999-12-31", os.date("!%Y-%m-%d", far:list()[1].expires))
    local jar = http.jar {{name = "a", value = "b", domain = "example.org",
      path = "/", secure = false, http_only = false, host_only = false,
      expires = os.time() - 1}}
    assert.same({}, jar:list())
  end)

  it("takes the place of one with the same name, domain and path", function()
    assert.equal("a=c", at(A, {"a=b", "a=c"}))
    assert.equal("a=c; a=b", at(A, {"a=b; Path=/", "a=c"}))
    assert.equal("a=b; a=c", at(A, {"a=b; Path=/",
      "a=c; Path=/; Domain=example.org"}))
    assert.equal("A=c; a=b", at(A, {"A=c", "a=b"}))
  end)

  it("of a longer path, and of an older one, goes first", function()
    assert.equal("c=3; a=1; b=2", at(A, {"a=1; Path=/", "b=2; Path=/",
      "c=3; Path=/a"}))
    assert.equal("a=3; b=2", at(A, {"a=1", "b=2", "a=3"}))
  end)
end)

describe("a text of a million blanks", function()
  it("is looked at once", function()
    local blanks = (" \t"):rep(500000)
    assert.equal("a=b", at(A, blanks .. "a" .. blanks .. "=" .. blanks .. "b" ..
      blanks .. ";" .. blanks .. "x" .. blanks .. "x"))
    assert.is_nil(at(A, "a=x" .. blanks .. "x"))
  end)
end)

describe("a date", function()
  it("is read in many forms", function()
    local T = 784111777
    for _, text in ipairs {"Sun, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
      "6 november 94 8:49:37", "08:49:37x-6-94-Nov", "1994 nov 06 08:49:37"} do
      assert.equal(T, Jar.date(text), text)
    end
    assert.equal(0, Jar.date "Thu, 01 Jan 1970 00:00:00 GMT")
    assert.equal(951782400, Jar.date "29 Feb 2000 00:00:00")
    assert.equal(4107542400, Jar.date "01 Mar 2100 00:00:00")
    assert.equal(3155760000, Jar.date "01 Jan 2070 00:00:00")
    assert.equal(3124224000, Jar.date "01 Jan 69 00:00:00")
    for _, none in ipairs {"", "tomorrow", "06 Nov 1994", "Nov 1994 08:49:37",
      "32 Nov 1994 08:49:37", "00 Nov 1994 08:49:37", "06 Nov 1600 08:49:37",
      "06 Nov 1994 24:00:00", "06 Nov 1994 08:60:00", "06 Nox 1994 08:49:37",
      "06 Nov 19945 08:49:37", "06 Nov 1994 08:49"} do
      assert.is_nil(Jar.date(none), none)
    end
  end)
end)

describe("a jar", function()
  it("is used by a client", function()
    local base, seen = script {
      answer("", "Set-Cookie: a=b; Path=/\r\nSet-Cookie: c=d; HttpOnly\r\n" ..
        "Location: /next\r\n", "302 X"),
      answer "x", answer "y", answer "z"}
    local jar = http.jar()
    local c = client {jar = jar}
    assert.equal("x", c:request(base .. "/p/q").body)
    assert.is_nil(seen[1].head:find("Cookie", 1, true))
    assert.matches("Cookie: a=b$", seen[2].head)
    c:request(base .. "/p/", {headers = {Cookie = "mine=1"}})
    assert.matches("Cookie: mine=1; c=d; a=b$", seen[3].head)
    c:request(base .. "/p/", {jar = false})
    assert.is_nil(seen[4].head:find("Cookie", 1, true))
    assert.equal("jar: 2 cookies", tostring(jar))
  end)

  it("gives its cookies to another one", function()
    local jar = http.jar()
    jar:set("a=b; Domain=example.org; Max-Age=100; Path=/x", A)
    jar:set("c=d; HttpOnly; Secure", "https://www.example.org/")
    local list = jar:list()
    assert.same({name = "c", value = "d", domain = "www.example.org",
      path = "/", secure = true, http_only = true, host_only = true}, list[2])
    assert.equal("example.org", list[1].domain)
    assert.is_true(list[1].expires >= os.time() + 99)
    local s = casting.session()
    assert.equal("a=b; c=d", s:spawn(function(list)
      return require("casting.http").jar(list):get "https://www.example.org/x"
    end, list):await())
    s:close()
    jar:clear()
    assert.same({}, jar:list())
  end)

  it("gives all that it takes", function()
    local taken = 0
    for byte = 0, 255 do
      for _, text in ipairs {"a%sb=c", "a=b%sc", "a=%s", "%s=c"} do
        local jar = http.jar()
        jar:set(text:format(string.char(byte)), A)
        assert.equal(jar:get(A), http.jar(jar:list()):get(A))
        taken = taken + #jar:list()
      end
    end
    assert.is_true(taken > 800)
    assert.equal("a=x\ty", at(A, "a=x\ty"))
  end)

  it("has limits", function()
    local jar = http.jar()
    for i = 1, 60 do
      jar:set(("n%d=x; Path=/"):format(i), A)
      jar:get(A)
      if i == 50 then jar:set("n1=again; Path=/", A) end
    end
    local list = jar:list()
    assert.equal(50, #list)
    for i = 1, 3200 do
      jar:set("a=b", ("http://h%d.example.org/"):format(i))
    end
    assert.equal(3000, #jar:list())
    assert.is_nil(jar:get "http://h1.example.org/")
    assert.equal("a=b", jar:get "http://h3200.example.org/")
    -- What has expired goes first.
    jar = http.jar()
    for i = 1, 49 do jar:set(("n%d=x; Path=/"):format(i), A) end
    jar:set("gone=x; Path=/; Max-Age=1", A)
    jar.domains["www.example.org"][50].expires = os.time() - 1
    jar:set("last=x; Path=/", A)
    assert.equal(50, #jar:list())
    assert.matches("^n1=x; n2=x;", jar:get(A))
  end)

  it("names bad arguments", function()
    local jar = http.jar()
    local function raises(words, f, ...)
      local ok, e = pcall(f, ...)
      assert.is_false(ok)
      assert.matches(words, e)
    end
    raises("bad argument #1 to 'jar' %(list of cookies expected, got number",
      http.jar, 7)
    raises("bad argument #1 to 'jar' %(%[1%] must be a cookie", http.jar, {7})
    raises("%[1%]%.[%a_]+ must be a %a+, got nil", http.jar, {{}})
    raises("%[1%] has bytes that no cookie has", http.jar, {{name = "a",
      value = "b\r\nX: y", domain = "a.b", path = "/", secure = false,
      http_only = false, host_only = false}})
    raises("bad argument #1 to 'get' %(a URL is expected", jar.get, jar)
    raises("bad argument #1 to 'get' %(malformed URL: ", jar.get, jar, "x")
    raises("bad argument #1 to 'set' %(string expected", jar.set, jar)
    raises("bad argument #2 to 'set' %(malformed URL: ", jar.set, jar, "", "x")
  end)
end)
